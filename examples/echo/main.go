// Echo sends every line back to the client that sent it, on a UNIX socket. One
// goroutine serves all clients, and none of them can hold up the others: reads and
// writes may be partial, and a client that does not read its echo is not read from.
//
//	go run ./examples/echo -socket /tmp/echo.sock
//	nc -U /tmp/echo.sock        # in another terminal, and in a third
//
// Control-C ends it: the clients are disconnected and the socket is removed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

const (
	maxLine   = 64 << 10 // a client with a longer one is disconnected
	maxUnsent = 64 << 10 // a client that leaves more unread has to read first
)

func main() {
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	path := flag.String("socket", "echo.sock", "`path` of the socket to listen on")
	flag.Parse()
	log.SetFlags(0)
	if err := run(backend, *path); err != nil {
		log.Fatal("echo: ", err)
	}
}

// run serves until a signal arrives. Had it forgotten a client, Close would name it.
func run(backend aio.Backend, path string) (err error) {
	loop, err := aio.New(aio.WithName("echo"), aio.WithBackend(backend))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()

	s := &server{loop: loop, clients: make(map[*client]struct{})}
	if err := s.listen(path); err != nil {
		return err
	}
	defer s.close(path)
	fmt.Printf("listening on %s with %v\n", path, loop.Backend())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := loop.Run(ctx); err != nil {
		return err
	}
	fmt.Printf("stopping, %d clients connected\n", len(s.clients))
	return nil
}

// server belongs to the home goroutine, like everything below; so it has no mutex.
type server struct {
	loop    *aio.Context
	fd      int
	handler *aio.Handler
	retry   *aio.Timer
	clients map[*client]struct{}
}

func (s *server) listen(path string) (err error) {
	s.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(s.fd)
		}
	}()
	if err := unix.Bind(s.fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	if err := unix.Listen(s.fd, unix.SOMAXCONN); err != nil {
		return os.NewSyscallError("listen", err)
	}
	s.retry = s.loop.NewTimer(aio.Realtime, func() { s.watch() }).Named("accept again")
	return s.watch()
}

func (s *server) watch() (err error) {
	s.handler, err = s.loop.Watch(s.fd, aio.Callbacks{Read: s.accept, Name: "listener"})
	return err
}

// accept takes one client. If there are more, the loop calls again.
func (s *server) accept(*aio.Handler) {
	fd, _, err := unix.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	switch err {
	case nil:
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED: // the client has changed its mind
		return
	default: // EMFILE: the listener stays readable, so look away for a while
		log.Print("accept: ", err)
		s.handler.Close()
		s.retry.Reset(100 * time.Millisecond)
		return
	}
	c := &client{server: s, fd: fd}
	c.handler, err = s.loop.Watch(fd, aio.Callbacks{Read: c.read, Write: func(*aio.Handler) { c.write() }})
	if err != nil {
		log.Print(err)
		unix.Close(fd)
		return
	}
	s.clients[c] = struct{}{}
	c.proceed()
}

func (s *server) close(path string) {
	for c := range s.clients {
		c.close()
	}
	s.retry.Stop()
	s.handler.Close() // the handler first,
	unix.Close(s.fd)  // then the descriptor
	os.Remove(path)
}

// client is one connection.
type client struct {
	server  *server
	fd      int
	handler *aio.Handler
	line    []byte // read, and not ended yet
	unsent  []byte // whole lines, not written yet
	ended   bool   // the client sends no more
}

// want asks for what the client needs next: there is room in the socket most of the time, and
// no end of callbacks if one asks for it without a need.
func (c *client) want() error {
	return c.handler.Want(!c.ended && len(c.unsent) < maxUnsent, len(c.unsent) > 0)
}

func (c *client) read(h *aio.Handler) {
	var buf [16 << 10]byte
	n, err := h.TryRead(buf[:])
	switch err {
	case nil:
		c.line = append(c.line, buf[:n]...)
		end := bytes.LastIndexByte(c.line, '\n') + 1
		c.unsent = append(c.unsent, c.line[:end]...)
		c.line = append(c.line[:0], c.line[end:]...)
	case io.EOF: // what remains is a line as well
		c.ended = true
		c.unsent, c.line = append(c.unsent, c.line...), nil
	default: // ECONNRESET
		c.close()
		return
	}
	c.write() // most often there is room immediately
}

func (c *client) write() {
	n, err := c.handler.TryWrite(c.unsent)
	if err != nil { // EPIPE: the client has gone
		c.close()
		return
	}
	c.unsent = c.unsent[n:]
	c.proceed()
}

// proceed closes the client if there is nothing left to do.
func (c *client) proceed() {
	if c.ended && len(c.unsent) == 0 || len(c.line) > maxLine {
		c.close()
		return
	}
	if err := c.want(); err != nil {
		log.Print(err)
		c.close()
	}
}

func (c *client) close() {
	c.handler.Close()
	unix.Close(c.fd)
	delete(c.server.clients, c)
}
