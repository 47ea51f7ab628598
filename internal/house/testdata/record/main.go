// Record does once what docs/main-loop.md draws, and writes down the calls. It is
// built by TestMainLoopDiagrams, with calltrace in every function of the library.
package main

import (
	"errors"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/calltrace"
	"github.com/aioloop/aioloop/mainloop"
)

func main() {
	var backend aio.Backend
	check(backend.Set(os.Args[1]))
	check(mainloop.ReexecBlocked(syscall.SIGALRM)) // for a signalfd

	var loop *mainloop.Loop
	calltrace.Record("init", func() {
		var err error
		loop, err = mainloop.Init(mainloop.WithBackend(backend), mainloop.WithSignals(syscall.SIGALRM))
		check(err)
	})

	// Between Fill and OK the loop waits, or is about to: notifiers have to write.
	var then func()
	done := make(chan bool)
	loop.AddPoller(mainloop.Poller{
		Fill: func(fds []mainloop.PollFD, timeout time.Duration) ([]mainloop.PollFD, time.Duration) {
			go func() { then(); done <- true }()
			return fds, timeout
		},
		OK: func([]mainloop.PollFD) { <-done },
	})
	wait := func() {
		_, err := loop.Wait()
		check(err)
	}

	// A bottom half and a timer in one turn.
	ran, rang := false, false
	check(loop.AIO().NewTimer(aio.Realtime, func() { rang = true }).ModAfter(time.Millisecond))
	then = func() {
		time.Sleep(2 * time.Millisecond)
		calltrace.Record("schedule", func() { check(loop.ScheduleBH(func() { ran = true })) })
	}
	calltrace.Record("turn", wait)
	if !ran || !rang {
		check(errors.New("the bottom half or the timer did not run"))
	}
	then = func() { calltrace.Record("notify", loop.NotifyEvent) }
	wait()

	ran = false
	calltrace.Record("handle", func() {
		_, err := loop.Signals().Handle(syscall.SIGALRM, func(mainloop.SignalInfo) { ran = true })
		check(err)
	})
	then = func() { check(syscall.Kill(os.Getpid(), syscall.SIGALRM)) }
	calltrace.Record("signal", wait)
	if !ran {
		check(errors.New("the signal did not arrive"))
	}
	check(loop.Close())
	check(calltrace.Write(os.Stdout))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
