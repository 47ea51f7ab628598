package aio_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// A Context is made with New, driven with Run, and ended with Close.
func Example() {
	loop, err := aio.New(aio.WithName("example"))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ctx, cancel := context.WithCancel(context.Background())

	ticks := 0
	var ticker *aio.Timer
	ticker = loop.NewTimer(aio.Realtime, func() {
		if ticks++; ticks == 3 {
			cancel()
			return
		}
		ticker.Reset(500 * time.Microsecond)
	})
	ticker.Reset(0)

	err = loop.Run(ctx)
	fmt.Println(ticks, "ticks:", err)
	// Output: 3 ticks: <nil>
}

// Run returns nil when its ctx ends, which knows the reason.
func ExampleContext_Run() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	loop.ScheduleOnce(func() { cancel(errors.New("nothing left to do")) })
	fmt.Println(loop.Run(ctx), context.Cause(ctx))
	// Output: <nil> nothing left to do
}

// A loop that ends by itself, when all its timers have run and nothing else is left.
func ExampleContext_RunUntilDone() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	for i := range 3 {
		loop.AfterFunc(time.Duration(i)*time.Millisecond, func() { fmt.Println("timer", i) })
	}
	fmt.Println(loop.RunUntilDone(context.Background()))
	// Output:
	// timer 0
	// timer 1
	// timer 2
	// <nil>
}

// Any goroutine hands work to the loop with a bottom half.
func ExampleBottomHalf() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()

	done := false
	work := loop.NewBottomHalf(func() {
		fmt.Println("on the home goroutine")
		done = true
	})
	go func() {
		work.Schedule()
		work.Schedule() // twice before it runs is once
	}()
	for !done {
		if _, err := loop.Poll(); err != nil {
			log.Fatal(err)
		}
	}
	work.Close()
	// Output: on the home goroutine
}

// A function that is called once needs no BottomHalf.
func ExampleContext_ScheduleOnce() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.ScheduleOnce(func() {
		fmt.Println("first")
		loop.ScheduleOnce(func() { fmt.Println("in the next iteration") })
	})
	loop.ScheduleOnce(func() { fmt.Println("second") })
	loop.Poll()
	loop.Poll()
	// Output:
	// first
	// second
	// in the next iteration
}

// What has time waits until nothing else is left to do.
func ExampleBottomHalf_ScheduleIdle() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	flush := loop.NewBottomHalf(func() { fmt.Println("flush") })
	flush.ScheduleIdle()
	loop.ScheduleOnce(func() { fmt.Println("work") })
	for range 2 {
		progress, _ := loop.TryPoll()
		fmt.Println("progress:", progress)
	}
	// Output:
	// work
	// progress: true
	// flush
	// progress: false
}

// An EventNotifier is a counter that the kernel and other processes can set, too.
func ExampleContext_WatchNotifier() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	doorbell, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer doorbell.Close()
	handler, err := loop.WatchNotifier(doorbell, aio.Callbacks{Read: func(*aio.Handler) { fmt.Println("someone is at the door") }})
	if err != nil {
		log.Fatal(err)
	}
	defer handler.Close()

	doorbell.Set()
	loop.Poll()
	// Output: someone is at the door
}

// Without a loop, an EventNotifier is looked at and cleared by hand.
func ExampleEventNotifier() {
	n, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	n.Set()
	first, _ := n.TestAndClear()
	second, _ := n.TestAndClear()
	fmt.Println(first, second)
	// Output: true false
}

// Watch calls back for as long as there is something to read.
func ExampleContext_Watch() {
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
		var b [4]byte
		n, err := unix.Read(h.FD(), b[:])
		switch {
		case n > 0:
			fmt.Printf("%q\n", b[:n])
		case err == nil: // the end of file: the other end is closed
			h.Close()
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	unix.Write(pipe[1], []byte("hello, world"))
	unix.Close(pipe[1])
	for handler.Watched() {
		loop.Poll()
	}
	// Output:
	// "hell"
	// "o, w"
	// "orld"
}

// Another goroutine closes a handler. The descriptor is closed when the loop does not use it any more.
func ExampleHandler_CloseThen() {
	thread, err := aio.StartIOThread("pipes")
	if err != nil {
		log.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pipe[1])
	handler, err := thread.Context().Watch(pipe[0], aio.Callbacks{Read: func(*aio.Handler) {}})
	if err != nil {
		log.Fatal(err)
	}

	closed := make(chan error)
	handler.CloseThen(func() { closed <- unix.Close(pipe[0]) })
	fmt.Println("closed:", <-closed)
	fmt.Println(thread.Stop(context.Background()))
	// Output:
	// closed: <nil>
	// <nil>
}

// Timers run in the order of their deadlines.
func ExampleTimer() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	done := false
	late := loop.NewTimer(aio.Realtime, func() { fmt.Println("late"); done = true })
	early := loop.NewTimer(aio.Realtime, func() { fmt.Println("early") })
	now := loop.Now(aio.Realtime)
	late.Set(now + 2*time.Millisecond)
	early.Set(now + time.Millisecond)
	for !done {
		loop.Poll()
	}
	// Output:
	// early
	// late
}

// A simulation jumps from event to event; no one waits an hour.
func ExampleVirtualClock() {
	clock := aio.NewVirtualClock()
	loop, err := aio.New(aio.WithVirtualClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	alarm := loop.NewTimer(aio.Virtual, func() { fmt.Println("an hour has passed") })
	alarm.Reset(time.Hour)
	loop.TryPoll() // not yet
	clock.Advance(time.Hour)
	loop.Poll()

	clock.Stop() // the guest is paused, and so are its timers
	alarm.Set(0)
	progress, _ := loop.TryPoll()
	fmt.Println("while paused:", progress)
	clock.Start()
	loop.Poll()
	// Output:
	// an hour has passed
	// while paused: false
	// an hour has passed
}

// Do runs a function on the loop and waits for it.
func ExampleContext_Do() {
	loop, stop := runningLoop()
	defer stop()
	state := "idle" // belongs to the loop
	err := loop.Do(context.Background(), func() error {
		state = "busy"
		return nil
	})
	fmt.Println(state, err)
	// Output: busy <nil>
}

// Call is Do for a function with a result.
func ExampleCall() {
	loop, stop := runningLoop()
	defer stop()
	length, err := aio.Call(context.Background(), loop, func() (int, error) { return 42, nil })
	fmt.Println(length, err)
	// Output: 42 <nil>
}

// runningLoop returns a Context that another goroutine runs, and what ends it.
func runningLoop() (loop *aio.Context, stop func()) {
	thread, err := aio.StartIOThread("example")
	if err != nil {
		log.Fatal(err)
	}
	return thread.Context(), func() { thread.Stop(context.Background()) }
}

// The backend as a flag of a command.
func ExampleBackend() {
	var choice aio.Backend
	flags := flag.NewFlagSet("tool", flag.ContinueOnError)
	flags.Var(&choice, "backend", "auto, ppoll, epoll or io_uring")
	if err := flags.Parse([]string{"-backend", "epoll"}); err != nil {
		log.Fatal(err)
	}
	loop, err := aio.New(aio.WithBackend(choice))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fmt.Println(loop.Backend())
	// Output: epoll (asked for)
}

// A loop that polls in user space for up to 32 µs before it sleeps, and a device
// that can be looked at without a system call.
func ExamplePolling() {
	loop, err := aio.New(aio.WithPolling(aio.Polling{Max: 32 * time.Microsecond}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	kick, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer kick.Close()

	requests := 0 // the device's queue, in memory shared with the guest
	serve := func(*aio.Handler) {
		fmt.Println("served", requests)
		requests = 0
	}
	handler, err := loop.WatchNotifier(kick, aio.Callbacks{
		Read: serve,
		Poll: func() bool { return requests > 0 },
		// PollBegin and PollEnd would switch the guest's kicks off and on.
	})
	if err != nil {
		log.Fatal(err)
	}
	defer handler.Close()
	requests = 3
	kick.Set()
	loop.Poll()
	// Output: served 3
}

// A device that triggers itself is held back until it has finished.
func ExampleReentrancyGuard() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	guard := aio.ReentrancyGuard{Report: func(name string) { fmt.Println("held back:", name) }}
	runs := 0
	var dma *aio.BottomHalf
	dma = loop.NewBottomHalf(func() {
		runs++
		fmt.Println("run", runs, "begins")
		if runs == 1 {
			dma.Schedule() // the transfer hits the device's own registers
			loop.TryPoll() // while the device waits for something
		}
		fmt.Println("run ends")
	}).Named("dma").Guarded(&guard)
	dma.Schedule()
	loop.Poll()
	loop.Poll()
	// Output:
	// run 1 begins
	// held back: dma
	// run ends
	// run 2 begins
	// run ends
}

// A callback may poll, to wait for something in the middle of its work.
func ExampleContext_Poll_nested() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.ScheduleOnce(func() {
		drained := false
		drain := loop.NewTimer(aio.Realtime, func() { drained = true })
		drain.Reset(time.Millisecond)
		fmt.Println("waiting")
		for !drained {
			loop.Poll()
		}
		fmt.Println("drained")
	})
	loop.ScheduleOnce(func() { fmt.Println("runs inside, and not twice") })
	loop.Poll()
	// Output:
	// waiting
	// runs inside, and not twice
	// drained
}

// Close names what the program has forgotten.
func ExampleContext_Close() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	loop.NewBottomHalf(func() {}).Named("flush").Schedule()
	loop.NewTimer(aio.Realtime, func() {}).Named("retry").Reset(time.Hour)
	err = loop.Close()
	var leaks *aio.LeakError
	if errors.As(err, &leaks) {
		fmt.Println(leaks)
	}
	// Output: aio: closed with 1 scheduled bottom halves (flush), 1 pending timers (retry)
}

// An operation that the kernel runs while the loop goes on. Of the three backends
// io_uring can do that.
func ExampleContext_Submit() {
	loop, err := aio.New(aio.WithBackend(aio.IOUring))
	if errors.Is(err, backend.ErrUnavailable) {
		fmt.Println("written: 5 <nil>") // not here
		return
	} else if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])

	done := false
	write := &aio.Request{
		Code: backend.OpWrite, FD: pipe[1], Buf: []byte("hello"), Offset: -1,
		Done: func(r *aio.Request) {
			fmt.Println("written:", r.Result, r.Err())
			done = true
		},
	}
	if err := loop.Submit(write); err != nil {
		log.Fatal(err)
	}
	for !done {
		loop.Poll()
	}
	// Output: written: 5 <nil>
}

// A foreign loop, which waits with ppoll, steps the Context.
func ExampleContext_Prepare() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	done := false
	loop.NewTimer(aio.Realtime, func() { fmt.Println("stepped by another loop"); done = true }).Reset(time.Millisecond)

	var fds []unix.PollFd
	for !done {
		timeout, err := loop.Prepare()
		if err != nil {
			log.Fatal(err)
		}
		fds = loop.Query(fds[:0])
		var wait *unix.Timespec // forever
		if timeout >= 0 {
			ts := unix.NsecToTimespec(int64(timeout))
			wait = &ts
		}
		unix.Ppoll(fds, wait, nil)
		if ready, _ := loop.Check(fds); ready {
			loop.Dispatch()
		}
	}
	// Output: stepped by another loop
}
