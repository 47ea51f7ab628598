// Dial connects to a server, sends it a line and prints what comes back, until the server closes
// the connection or sends nothing for a while. Package net makes the connection, with all that
// it knows of names and addresses; then a loop owns it, together with a timer.
//
//	go run ./examples/dial -line example.com whois.iana.org:43
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
)

func main() {
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	network := flag.String("network", "tcp", "tcp or unix")
	line := flag.String("line", "", "what to send")
	idle := flag.Duration("idle", 5*time.Second, "how long the server may send nothing")
	flag.Parse()
	log.SetFlags(0)
	if flag.NArg() != 1 {
		log.Fatal("usage: dial [flags] address")
	}
	conn, err := net.Dial(*network, flag.Arg(0))
	if err == nil {
		_, err = fmt.Fprintf(conn, "%s\r\n", *line) // it may wait: the loop does not run yet
	}
	if err == nil {
		err = receive(conn.(syscall.Conn), *idle, backend)
	}
	if err == nil {
		err = conn.Close() // the watch has ended
	}
	if err != nil {
		log.Fatal("dial: ", err)
	}
}

// receiver prints what comes on a connection.
type receiver struct {
	in    input
	idle  time.Duration
	timer *aio.Timer
	done  context.CancelFunc
	err   error
}

func receive(conn syscall.Conn, idle time.Duration, backend aio.Backend) (err error) {
	loop, err := aio.New(aio.WithBackend(backend))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()
	raw, err := conn.SyscallConn() // File would give a second descriptor for the same socket
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	r := &receiver{in: input{raw: raw}, idle: idle, done: stop}
	r.timer = loop.NewTimer(aio.Realtime, func() { r.end("it sends nothing") }).Named("idle")
	r.timer.Reset(idle)
	defer r.timer.Stop()
	handler, err := watch(loop, raw, aio.Callbacks{Read: r.read, Name: "connection"})
	if err != nil {
		return err
	}
	defer handler.Close()
	fmt.Println("connected, with", loop.Backend())
	return errors.Join(loop.Run(ctx), r.err)
}

// watch is Watch for the descriptor of a net.Conn or an os.File.
func watch(loop *aio.Context, raw syscall.RawConn, cb aio.Callbacks) (handler *aio.Handler, err error) {
	var watchErr error
	err = raw.Control(func(fd uintptr) { // while it runs, fd stays open
		handler, watchErr = loop.Watch(int(fd), cb)
	})
	return handler, errors.Join(err, watchErr)
}

func (r *receiver) read(*aio.Handler) {
	b, err := r.in.read()
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR): // called for nothing
	case err != nil:
		r.err = err
		r.end("the connection is broken")
	case len(b) == 0:
		r.end("the server has closed the connection")
	default:
		os.Stdout.Write(b)
		r.timer.Reset(r.idle)
	}
}

func (r *receiver) end(why string) {
	fmt.Println(why)
	r.done()
}

// input reads what there is from a connection or a file, and never waits for more. It holds the
// RawConn, so the garbage collector does not close the descriptor, and a Close elsewhere makes
// a read fail, instead of reading from the next file with the same number.
type input struct {
	raw syscall.RawConn
	buf [4096]byte
	n   int
	err error
}

// read returns 0 bytes at the end, and syscall.EAGAIN if there is nothing.
func (in *input) read() ([]byte, error) {
	if err := in.raw.Read(in.once); err != nil {
		return nil, err
	}
	return in.buf[:max(in.n, 0)], in.err
}

// once reports that it is done in any case: after false, Read would wait in Go's scheduler.
func (in *input) once(fd uintptr) bool {
	in.n, in.err = syscall.Read(int(fd), in.buf[:])
	return true
}
