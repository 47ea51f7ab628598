// Echo-coroutine is examples/echo with a coroutine for each client: it sends every line back to the
// client that sent it, on a UNIX socket. One goroutine serves all clients, as there; what a client
// is about to do next is a place in a function here, and fields of a struct there.
//
//	go run ./examples/echo-coroutine -socket /tmp/echo.sock
//	nc -U /tmp/echo.sock        # in another terminal, and in a third
//
// Control-C ends it: Close ends the coroutines, which disconnect their clients.
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
	"github.com/aioloop/aioloop/coroutine"
)

const maxLine = 64 << 10 // a client with a longer one is disconnected

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

// run serves until a signal arrives.
func run(backend aio.Backend, path string) (err error) {
	loop, err := aio.New(aio.WithName("echo"), aio.WithBackend(backend))
	if err != nil {
		return err
	}
	fd, err := listen(path)
	if err != nil {
		return errors.Join(err, loop.Close())
	}
	defer os.Remove(path)
	defer unix.Close(fd)
	defer func() { err = errors.Join(err, loop.Close()) }() // first of all

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &server{}
	listener := coroutine.Go(loop, func(co *coroutine.Co) error {
		defer stop()
		return s.accept(co.Named("listener"), fd)
	})
	fmt.Printf("listening on %s with %v\n", path, loop.Backend())
	if err := loop.Run(ctx); err != nil {
		return err
	}
	fmt.Printf("stopping, %d clients connected\n", s.clients)
	return listener.Err()
}

func listen(path string) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, errors.Join(fmt.Errorf("bind %s: %w", path, err), unix.Close(fd))
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		return -1, errors.Join(os.NewSyscallError("listen", err), unix.Close(fd))
	}
	return fd, nil
}

// server belongs to the loop, like everything below; so it has no mutex.
type server struct{ clients int }

// accept starts a coroutine for each client, until the loop is closed.
func (s *server) accept(co *coroutine.Co, listener int) error {
	for {
		if err := s.acceptAll(co, listener); err != nil {
			return err
		}
		if err := co.Sleep(100 * time.Millisecond); err != nil {
			return err
		}
	}
}

// acceptAll returns nil when the process has too many descriptors: the listener stays readable then,
// so it is not watched for a while.
func (s *server) acceptAll(co *coroutine.Co, listener int) error {
	l, err := open(co, listener)
	if err != nil {
		return err
	}
	defer l.handler.Close()
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			coroutine.Go(co.Loop(), func(co *coroutine.Co) error { return s.serve(co, fd) })
		case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED: // the client has changed its mind
			if err := l.readable(co); err != nil {
				return err
			}
		default: // EMFILE
			log.Print("accept: ", err)
			return nil
		}
	}
}

// serve is one client, to its end.
func (s *server) serve(co *coroutine.Co, fd int) error {
	defer unix.Close(fd)
	c, err := open(co, fd)
	if err != nil {
		log.Print(err)
		return err
	}
	defer c.handler.Close() // before the descriptor
	s.clients++
	defer func() { s.clients-- }()

	var buf [16 << 10]byte
	var line []byte
	for len(line) <= maxLine {
		n, err := c.read(co, buf[:])
		if err == io.EOF { // what remains is a line as well
			return c.write(co, line)
		}
		if err != nil { // ECONNRESET
			return err
		}
		line = append(line, buf[:n]...)
		end := bytes.LastIndexByte(line, '\n') + 1
		if err := c.write(co, line[:end]); err != nil { // EPIPE: the client has gone
			return err
		}
		line = append(line[:0], line[end:]...)
	}
	return errors.New("the line is too long")
}

// conn is a descriptor that a coroutine reads and writes.
type conn struct {
	handler *aio.Handler
	ready   func() // ends the wait, nil if there is none
}

func open(co *coroutine.Co, fd int) (*conn, error) {
	c := &conn{}
	end := func(*aio.Handler) {
		if ready := c.ready; ready != nil {
			c.ready = nil
			ready()
		}
	}
	var err error
	c.handler, err = co.Loop().Watch(fd, aio.Callbacks{Read: end, Write: end})
	return c, err
}

func (c *conn) readable(co *coroutine.Co) error { return c.wait(co, true) }

func (c *conn) writable(co *coroutine.Co) error { return c.wait(co, false) }

func (c *conn) wait(co *coroutine.Co, read bool) error {
	if err := c.handler.Want(read, !read); err != nil {
		return err
	}
	return co.Wait(func(ready func()) { c.ready = ready })
}

// read waits until there is something.
func (c *conn) read(co *coroutine.Co, b []byte) (n int, err error) {
	for n, err = c.handler.TryRead(b); n == 0 && err == nil; n, err = c.handler.TryRead(b) {
		if err := c.readable(co); err != nil {
			return 0, err
		}
	}
	return n, err
}

// write writes all of b.
func (c *conn) write(co *coroutine.Co, b []byte) error {
	for len(b) > 0 {
		n, err := c.handler.TryWrite(b)
		if err != nil {
			return err
		}
		if b = b[n:]; n == 0 {
			if err := c.writable(co); err != nil {
				return err
			}
		}
	}
	return nil
}
