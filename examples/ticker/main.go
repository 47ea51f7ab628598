// Ticker ticks 10,000 times a second and prints how late it was. It uses neither
// package time's timers nor a timerfd: one timer of the loop is armed again for
// each tick, and the time until then is the timeout with which the loop waits.
//
//	go run ./examples/ticker
//	go run ./examples/ticker -hz 1000 -duration 5s -backend epoll
//	go run ./examples/ticker -polling 250us      # spend a CPU, and be on time
//
// The kernel may wake a thread up to 50 µs late unless it is told otherwise; -slack
// tells it so for the thread of the loop. Compare -slack 50us.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func main() {
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	hz := flag.Int("hz", 10_000, "ticks a second")
	duration := flag.Duration("duration", time.Second, "how long to tick")
	polling := flag.Duration("polling", 0, "poll in user space before sleeping, for at most this long")
	slack := flag.Duration("slack", time.Nanosecond, "the kernel's tolerance in waking up")
	flag.Parse()
	log.SetFlags(0)
	t := ticker{ticks: int(duration.Seconds() * float64(*hz))}
	if *hz < 1 || *hz > 1_000_000 || t.ticks < 1 || t.ticks > 100_000_000 {
		log.Fatal("ticker: choose -hz from 1 to 1000000, and -duration for 1 to 100000000 ticks")
	}
	t.period = time.Second / time.Duration(*hz)
	if err := t.run(*slack, aio.WithBackend(backend), aio.WithPolling(aio.Polling{Max: *polling})); err != nil {
		log.Fatal("ticker: ", err)
	}
}

type ticker struct {
	ticks  int
	period time.Duration

	loop  *aio.Context
	timer *aio.Timer
	stop  context.CancelFunc
	next  time.Duration   // when the next tick is due, on the loop's clock
	late  []time.Duration // how late each tick was
}

func (t *ticker) run(slack time.Duration, opts ...aio.Option) (err error) {
	// The tolerance belongs to the thread, so the goroutine must keep it. It ends
	// with the thread: without UnlockOSThread, the runtime gives neither away.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(max(slack, 1)), 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	t.loop, err = aio.New(opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.loop.Close()) }()
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	defer t.stop()

	t.late = make([]time.Duration, 0, t.ticks) // now, not while it ticks
	t.timer = t.loop.NewTimer(aio.Realtime, t.tick).Named("tick")
	t.next = t.loop.Now(aio.Realtime) + t.period
	t.timer.Set(t.next)
	if err := t.loop.Run(ctx); err != nil {
		return err
	}
	t.report()
	return nil
}

// tick arms the timer for a point on the clock, not for a time from now: a tick
// that is late does not delay those after it.
func (t *ticker) tick() {
	t.late = append(t.late, t.loop.Now(aio.Realtime)-t.next)
	if len(t.late) == t.ticks {
		t.stop()
		return
	}
	t.next += t.period
	t.timer.Set(t.next)
}

func (t *ticker) report() {
	slices.Sort(t.late)
	quantile := func(q float64) time.Duration { return t.late[int(q*float64(len(t.late)-1))] }
	fmt.Printf("%d ticks of %v with %v\n", len(t.late), t.period, t.loop.Backend())
	fmt.Printf("late by: p50 %v, p99 %v, max %v\n", quantile(0.5), quantile(0.99), quantile(1))
}
