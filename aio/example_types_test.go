//go:build linux

package aio_test

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// A program logs which backend it has got, and why.
func ExampleBackendInfo() {
	loop, err := aio.New(aio.WithBackend(aio.Epoll))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	live := loop.Backend()
	fmt.Println(live.Name)
	fmt.Println(live.Reason)
	// Output:
	// epoll
	// asked for
}

// The mode as a flag of a command.
func ExampleMode() {
	var mode aio.Mode
	flags := flag.NewFlagSet("tool", flag.ContinueOnError)
	flags.Var(&mode, "mode", "auto, thread or park")
	if err := flags.Parse([]string{"-mode", "thread"}); err != nil {
		log.Fatal(err)
	}
	loop, err := aio.New(aio.WithMode(mode))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.Mode())
	// Output: thread
}

// Callbacks get their handler: one function serves many descriptors.
func ExampleCallbacks() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	open := 0
	copyLine := func(h *aio.Handler) {
		var b [64]byte
		n, err := unix.Read(h.FD(), b[:])
		if err == unix.EAGAIN { // called for nothing
			return
		}
		fmt.Printf("%q\n", b[:n])
		h.Close()
		open--
	}
	for _, line := range []string{"one", "two"} {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			log.Fatal(err)
		}
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		if _, err := loop.Watch(pipe[0], aio.Callbacks{Read: copyLine, Name: line}); err != nil {
			log.Fatal(err)
		}
		unix.Write(pipe[1], []byte(line))
		open++
	}
	for open > 0 {
		loop.Poll()
	}
	// Unordered output:
	// "one"
	// "two"
}

// Urgent data of a TCP connection is an exceptional condition, which Priority is for.
func ExampleCallbacks_priority() {
	server, client, err := tcpPair()
	if err != nil {
		fmt.Println("urgent: \"!\"") // no network here
		return
	}
	defer unix.Close(server)
	defer unix.Close(client)
	loop, err := aio.New(aio.WithMode(aio.ModeThread)) // the other mode has none with epoll
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	_, err = loop.Watch(server, aio.Callbacks{Priority: func(h *aio.Handler) {
		var b [1]byte
		n, _, _ := unix.Recvfrom(h.FD(), b[:], unix.MSG_OOB)
		fmt.Printf("urgent: %q\n", b[:n])
		h.Close()
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := unix.Sendto(client, []byte("!"), unix.MSG_OOB, nil); err != nil {
		log.Fatal(err)
	}
	for progress := false; !progress; {
		progress, _ = loop.Poll()
	}
	// Output: urgent: "!"
}

// tcpPair returns two ends of a TCP connection.
func tcpPair() (server, client int, err error) {
	const kind = unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	listener, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(listener)
	if client, err = unix.Socket(unix.AF_INET, kind, 0); err != nil {
		return 0, 0, err
	}
	bound := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	address, err := unix.Getsockname(listener)
	err = errors.Join(bound, err, unix.Listen(listener, 1), unix.Connect(client, address))
	if err == nil {
		server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		return 0, 0, errors.Join(err, unix.Close(client))
	}
	return server, client, nil
}

// A callback tells data and the end apart.
func ExampleHandler_Events() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pipe[0])
	handler, err := loop.Watch(pipe[0], aio.Callbacks{Read: func(h *aio.Handler) {
		switch e := h.Events(); {
		case e.Readable():
			var b [64]byte
			n, _ := unix.Read(h.FD(), b[:])
			fmt.Printf("%q\n", b[:n])
		case e.HangUp():
			fmt.Println("the other end is closed")
			h.Close()
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	unix.Write(pipe[1], []byte("hello"))
	unix.Close(pipe[1])
	for handler.Watched() {
		loop.Poll()
	}
	// Output:
	// "hello"
	// the other end is closed
}

// A handler writes when it has something to write, and reads when it has room.
func ExampleHandler_Want() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	var pending []byte // what was read and is not echoed yet
	handler, err := loop.Watch(ends[0], aio.Callbacks{
		Read: func(h *aio.Handler) {
			var b [64]byte
			n, _ := unix.Read(h.FD(), b[:])
			if pending = append(pending, b[:max(n, 0)]...); len(pending) > 0 {
				h.Want(false, true)
			}
		},
		Write: func(h *aio.Handler) {
			n, _ := unix.Write(h.FD(), pending)
			if pending = pending[max(n, 0):]; len(pending) == 0 {
				h.Want(true, false)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	handler.Want(true, false)

	unix.Write(ends[1], []byte("echo"))
	for loop.Stats().Writes == 0 {
		loop.Poll()
	}
	var b [64]byte
	n, err := unix.Read(ends[1], b[:])
	fmt.Printf("%q %v\n", b[:n], err)
	// Output: "echo" <nil>
}

// A hang-up that no callback asks for would be reported in each iteration. The loop stops
// watching instead, and says so; Want resumes.
func ExampleHandler_Watched() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(ends[0])
	handler, err := loop.Watch(ends[0], aio.Callbacks{
		Read: func(h *aio.Handler) {
			var b [64]byte
			if n, _ := unix.Read(h.FD(), b[:]); n == 0 {
				fmt.Println("end of file")
				h.Close()
			}
		},
		Priority:  func(*aio.Handler) {},
		Unwatched: func(h *aio.Handler) { fmt.Println("unwatched:", !h.Watched()) },
	})
	if err != nil {
		log.Fatal(err)
	}
	handler.Want(false, false) // only Priority: there is no room for more data
	unix.Close(ends[1])
	for handler.Watched() {
		loop.Poll()
	}
	handler.Want(true, false) // there is room again
	for handler.Watched() {
		loop.Poll()
	}
	// Output:
	// unwatched: true
	// end of file
}

// A leak report is a list for each kind of thing.
func ExampleLeakError() {
	loop, err := aio.New(aio.WithName("net"))
	if err != nil {
		log.Fatal(err)
	}
	n, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	_, err = loop.WatchNotifier(n, aio.Callbacks{Read: func(*aio.Handler) {}, Name: "doorbell"})
	if err != nil {
		log.Fatal(err)
	}
	loop.NewTimer(aio.Realtime, func() {}).Named("retry").Reset(time.Hour)
	var leaks *aio.LeakError
	if errors.As(loop.Close(), &leaks) {
		fmt.Println(leaks.Loop, len(leaks.Handlers), leaks.BottomHalves, leaks.Timers)
	}
	// Output: net 1 [] [retry]
}

// Counters show what a loop spends its time on.
func ExampleStats() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	for range 3 {
		loop.ScheduleOnce(func() {})
	}
	loop.Poll()
	s := loop.Stats()
	fmt.Println(s.Iterations, "iteration,", s.BottomHalves, "bottom halves,", s.Sleeps, "sleeps")
	// Output: 1 iteration, 3 bottom halves, 0 sleeps
}

// The Host clock is the wall clock; the others begin at 0.
func ExampleClockID() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	wall := time.Unix(0, int64(loop.Now(aio.Host)))
	fmt.Println(aio.Host, time.Since(wall).Abs() < time.Hour)
	fmt.Println(aio.Virtual, loop.Now(aio.Virtual) < time.Hour)
	// Output:
	// host true
	// virtual true
}

// The end of a callback comes with how long it has taken.
func ExampleTraceEvent() {
	loop, err := aio.New(aio.WithName("net"), aio.WithTrace(func(e aio.TraceEvent) {
		if e.Point == aio.TraceBottomHalf && e.End {
			fmt.Println(e.Loop, e.Name, e.Duration >= time.Millisecond)
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.NewBottomHalf(func() { time.Sleep(time.Millisecond) }).Named("flush").Schedule()
	loop.Poll()
	// Output: net flush true
}

// A point has a name for people.
func ExampleTracePoint() {
	fmt.Println(aio.TraceSleep, aio.TraceWake, aio.TraceHandler)
	// Output: sleep wake handler
}
