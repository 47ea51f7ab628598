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
	"io"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	r := &receiver{idle: idle, done: stop}
	r.timer = loop.NewTimer(aio.Realtime, func() { r.end("it sends nothing") }).Named("idle")
	r.timer.Reset(idle)
	defer r.timer.Stop()
	handler, err := loop.WatchConn(conn, aio.Callbacks{Read: r.read, Name: "connection"})
	if err != nil {
		return err
	}
	defer handler.Close()
	fmt.Println("connected, with", loop.Backend())
	return errors.Join(loop.Run(ctx), r.err)
}

func (r *receiver) read(h *aio.Handler) {
	var b [4096]byte
	switch n, err := h.TryRead(b[:]); {
	case err == io.EOF:
		r.end("the server has closed the connection")
	case err != nil:
		r.err = err
		r.end("the connection is broken")
	case n > 0: // else it was called for nothing
		os.Stdout.Write(b[:n])
		r.timer.Reset(r.idle)
	}
}

func (r *receiver) end(why string) {
	fmt.Println(why)
	r.done()
}
