//go:build linux

package aio_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
)

// A program decides by its own settings which options it gives.
func ExampleOption() {
	settings := struct{ busy bool }{busy: true}
	opts := []aio.Option{aio.WithName("net"), aio.WithBackend(aio.Epoll)}
	if settings.busy {
		opts = append(opts, aio.WithPolling(aio.Polling{Max: 32 * time.Microsecond}))
	}
	loop, err := aio.New(opts...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Name(), loop.Close())
	// Output: net <nil>
}

// A backend that is chosen by name is used, or New says why it cannot be.
func ExampleWithBackend() {
	loop, err := aio.New(aio.WithBackend(aio.IOUring))
	if errors.Is(err, backend.ErrUnavailable) {
		log.Print(err) // in a container for example; the error says what to change
		loop, err = aio.New(aio.WithBackend(aio.Epoll))
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Close())
	// Output: <nil>
}

// Where the home goroutine sleeps like any other goroutine, another loop wakes it without a
// system call.
func ExampleWithMode() {
	loop, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModePark))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.Mode())

	_, err = aio.New(aio.WithBackend(aio.Ppoll), aio.WithMode(aio.ModePark))
	fmt.Println("ppoll:", errors.Is(err, errors.ErrUnsupported))
	// Output:
	// park
	// ppoll: true
}

// Errors and leak reports say which loop they are about.
func ExampleWithName() {
	loop, err := aio.New(aio.WithName("disk"))
	if err != nil {
		log.Fatal(err)
	}
	loop.NewTimer(aio.Realtime, func() {}).Named("retry").Reset(time.Hour)
	fmt.Println(loop.Close())
	// Output: aio: loop "disk" closed with 1 pending timers (retry)
}

// A Poller of your own takes the place of a backend. This one counts how often the loop waits.
func ExampleWithPoller() {
	inner, err := epoll.New()
	if err != nil {
		log.Fatal(err)
	}
	p := &countingPoller{Poller: inner}
	loop, err := aio.New(aio.WithPoller(p)) // which owns p, and closes it
	if err != nil {
		log.Fatal(err)
	}
	doorbell, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer doorbell.Close()
	rung := false
	handler, err := loop.WatchNotifier(doorbell, aio.Callbacks{Read: func(*aio.Handler) { rung = true }})
	if err != nil {
		log.Fatal(err)
	}
	doorbell.Set()
	for !rung {
		loop.Poll()
	}
	fmt.Println("waited:", p.waits > 0, handler.Close(), loop.Close())
	// Output: waited: true <nil> <nil>
}

type countingPoller struct {
	backend.Poller
	waits int
}

func (p *countingPoller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	p.waits++
	return p.Poller.Wait(ready, timeout)
}

// A loop looks for events for up to 32 µs before it sleeps: what comes in that time needs no
// wake-up.
func ExampleWithPolling() {
	loop, err := aio.New(aio.WithPolling(aio.Polling{Max: 32 * time.Microsecond}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	work := loop.NewBottomHalf(func() { fmt.Println("work") })
	go work.Schedule()
	for loop.Stats().BottomHalves == 0 {
		loop.Poll()
	}
	// Output: work
}

// QEMU's rule, with its parameters, instead of the one that learns.
func ExamplePollingRule() {
	loop, err := aio.New(aio.WithPolling(aio.Polling{
		Rule: aio.PollQEMU,
		Max:  32 * time.Microsecond,
		Grow: 2,
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.Close())
	// Output: <nil>
}

// The loop's thread runs on CPU 0, before other threads of the ordinary class. Without the
// permission for that, the first Poll says what is missing.
func ExampleWithThread() {
	loop, err := aio.New(aio.WithThread(aio.Thread{Nice: -10, CPUs: []int{0}}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	if _, err := loop.TryPoll(); err != nil {
		log.Print(err)
	}
	fmt.Println("ready")
	// Output: ready
}

// Two loops on one clock, which the program moves.
func ExampleWithVirtualClock() {
	clock := aio.NewVirtualClock()
	for _, name := range []string{"one", "two"} {
		loop, err := aio.New(aio.WithVirtualClock(clock))
		if err != nil {
			log.Fatal(err)
		}
		defer loop.Close()
		loop.NewTimer(aio.Virtual, func() { fmt.Println(name) }).Set(24 * time.Hour)
		defer loop.Poll()
	}
	clock.Advance(24 * time.Hour)
	// Output:
	// two
	// one
}

// A trace of what was called, in order.
func ExampleWithTrace() {
	loop, err := aio.New(aio.WithTrace(func(e aio.TraceEvent) {
		if e.Name != "" && !e.End {
			fmt.Println(e.Point, e.Name)
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.NewTimer(aio.Realtime, func() {}).Named("tick").Set(0)
	loop.NewBottomHalf(func() {}).Named("flush").Schedule()
	loop.Poll()
	// Output:
	// bottom-half flush
	// timer tick
}

// Eight completions, or half a millisecond: fewer wake-ups for a stream of them.
func ExampleWithBatching() {
	loop, err := aio.New(aio.WithBackend(aio.IOUring), aio.WithMode(aio.ModeThread), aio.WithBatching(8, 500*time.Microsecond))
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, backend.ErrUnavailable) {
		fmt.Println("io_uring") // not here
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.Backend().Name)
	// Output: io_uring
}
