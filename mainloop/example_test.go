package mainloop_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/mainloop"
)

// A program hands the loop a function from another goroutine, and ends it.
func Example() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	go loop.ScheduleBH(func() {
		fmt.Println("hello from the main loop")
		loop.Stop(errors.New("that was all"))
	})
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello from the main loop
	// that was all
}

// The two contexts are made alike. What distinguishes them is who notifies them:
// the program itself, or something outside, here a program that writes to a pipe.
func Example_twoContexts() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	outside, err := loop.SetFDHandler(int(r.Fd()), aio.Callbacks{Read: func(*aio.Handler) {
		r.Read(make([]byte, 1))
		fmt.Println("read, in", loop.IOHandler().Name())
		loop.Stop(errors.New("done"))
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer outside.Close()

	w.Write([]byte("x")) // the descriptor is ready from here on
	loop.ScheduleBH(func() {
		fmt.Println("bottom half, in", loop.AIO().Name())
		// A wait for events of the AIO context only is not disturbed by those
		// from outside.
		answered := false
		loop.ScheduleBH(func() { answered = true })
		for !answered {
			loop.AIO().Poll()
		}
		fmt.Println("answered, and nothing was read in the meantime")
	})
	loop.Run(context.Background())
	// Output:
	// bottom half, in aio
	// answered, and nothing was read in the meantime
	// read, in iohandler
}

// The I/O handler context fires when a signal arrives, from kill -s ALRM for
// example. The AIO context has no part in it.
func Example_signal() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	_, err = loop.Signals().Handle(syscall.SIGALRM, func(s mainloop.SignalInfo) {
		fmt.Println("received:", s.Signal)
		loop.Stop(errors.New("done"))
	})
	if err != nil {
		log.Fatal(err)
	}
	go syscall.Kill(os.Getpid(), syscall.SIGALRM)
	loop.Run(context.Background())
	// Output:
	// received: alarm clock
}

// One context has many sources, and each source can have many descriptors. A turn
// dispatches all that are ready, those of a higher priority first.
func Example_manySources() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	for i, name := range []string{"late", "usual", "early"} {
		s, err := mainloop.NewSource(name, mainloop.Funcs{
			Prepare:  func() (time.Duration, bool, error) { return 0, true, nil },
			Dispatch: func() (keep bool) { fmt.Println(name); return false },
		})
		if err != nil {
			log.Fatal(err)
		}
		priorities := []int{mainloop.PriorityIdle, mainloop.PriorityDefault, mainloop.PriorityHigh}
		s.SetPriority(priorities[i])
		s.Attach(loop.Context())
		fmt.Println("once more:", s.Attach(loop.Context()))
	}
	loop.Wait() // and the sources of the two contexts are in it as well
	// Output:
	// once more: mainloop: the source is attached already
	// once more: mainloop: the source is attached already
	// once more: mainloop: the source is attached already
	// early
	// usual
	// late
}

// A timer is a deadline, and the nearest one of all contexts is how long the loop
// sleeps. A Poller gets to see it.
func Example_timers() {
	loop, err := mainloop.Init()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.TryWait() // the first turn is for the sources that are new
	loop.AddPoller(mainloop.Poller{Fill: func(fds []mainloop.PollFD, timeout time.Duration) ([]mainloop.PollFD, time.Duration) {
		if timeout < 0 {
			fmt.Println("the loop may sleep forever")
		} else {
			fmt.Println("the loop may sleep for about", timeout.Round(time.Minute))
		}
		return fds, 0 // but here it has no time for that
	}})
	turn := func() {
		if _, err := loop.Wait(); err != nil {
			log.Fatal(err)
		}
	}
	turn()
	far := loop.IOHandler().NewTimer(aio.Realtime, func() { fmt.Println("never comes") })
	far.Reset(3 * time.Hour)
	turn()
	near := loop.AIO().NewTimer(aio.Realtime, func() { fmt.Println("the near timer") })
	near.Reset(2 * time.Hour)
	turn()
	near.Set(0) // in the past
	turn()
	far.Stop()
	turn()
	// Output:
	// the loop may sleep forever
	// the loop may sleep for about 3h0m0s
	// the loop may sleep for about 2h0m0s
	// the loop may sleep for about 0s
	// the near timer
	// the loop may sleep forever
}
