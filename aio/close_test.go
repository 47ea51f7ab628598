package aio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCloseOfATidyContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		must(t, newLoop().Close()) // never used
		c := newLoop()
		b, timer := c.NewBottomHalf(func() {}), c.NewTimer(Realtime, func() {})
		must(t, b.Schedule())
		must(t, timer.Set(0))
		h := watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
		settle(t, c)
		must(t, b.Schedule())
		b.Cancel() // what is cancelled, disarmed and closed is no leak
		must(t, timer.Set(0))
		timer.Stop()
		must(t, h.Close())
		must(t, c.Close())
		wantError(t, c.Close(), ErrClosed)
	})
}

func TestCloseNamesWhatLeaked(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithName("disk"))
		forbidden := func() { t.Error("it ran after Close") }
		n := notifier(t)
		h := watch(t, c, n.FD(), Callbacks{Read: ignoring(forbidden), Name: "queue"})
		b := c.NewBottomHalf(forbidden).Named("completion")
		must(t, b.Schedule())
		idle := c.NewBottomHalf(forbidden).Named("flush")
		must(t, idle.ScheduleIdle())
		timer := c.NewTimer(Host, forbidden).Named("retry")
		must(t, timer.Set(0))
		anonymous := c.NewTimer(Virtual, forbidden)
		must(t, anonymous.Set(0))

		var leaks *LeakError
		err := c.Close()
		if !errors.As(err, &leaks) {
			t.Fatalf("Close: %v", err)
		}
		if want := []string{fmt.Sprintf("fd %d: queue", n.FD())}; !slices.Equal(leaks.Handlers, want) {
			t.Errorf("handlers %q, want %q", leaks.Handlers, want)
		}
		if want := []string{"completion", "flush"}; !slices.Equal(leaks.BottomHalves, want) {
			t.Errorf("bottom halves %q, want %q", leaks.BottomHalves, want)
		}
		if len(leaks.Timers) != 2 || !slices.Contains(leaks.Timers, "retry") ||
			!strings.Contains(strings.Join(leaks.Timers, " "), "TestCloseNamesWhatLeaked") {
			t.Errorf("timers %q, want retry and one by the place where it was written", leaks.Timers)
		}
		for _, want := range []string{"1 open handlers", "queue", "2 scheduled", "flush", "2 pending timers", "retry"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if timer.Pending() || anonymous.Pending() {
			t.Error("a timer is pending in a closed Context")
		}
		wantError(t, h.Close(), ErrClosed)
		must(t, n.Set()) // the descriptor is still the caller's
	})
}

func TestCloseWhilePolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := false
		must(t, c.ScheduleOnce(func() {
			ran = true
			wantError(t, c.Close(), ErrPolling)
			elsewhere(func() { wantError(t, c.Close(), ErrPolling) })
			must(t, c.ScheduleOnce(func() { wantError(t, c.Close(), ErrPolling) }))
			turn(t, c)
		}))
		if turn(t, c); !ran {
			t.Error("nothing ran")
		}
		other := newLoop()
		start(t, other)
		asleep(t, other)
		wantError(t, other.Close(), ErrPolling)
		must(t, other.Do(t.Context(), func() error { return nil })) // it still works
	})
}

// Every method of a closed Context and of what it made fails or does nothing.
func TestUseAfterClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		forbidden := func() { t.Error("it ran after Close") }
		b, timer := c.NewBottomHalf(forbidden), c.NewTimer(Realtime, forbidden)
		n := notifier(t)
		h, err := c.Watch(n.FD(), Callbacks{Read: ignoring(forbidden)})
		must(t, err)
		if c.Close() == nil {
			t.Error("the handler is no leak")
		}
		_, pollErr := c.Poll()
		_, tryErr := c.TryPoll()
		_, watchErr := c.Watch(n.FD(), Callbacks{Read: ignoring(forbidden)})
		_, notifierErr := c.WatchNotifier(n, Callbacks{Read: ignoring(forbidden)})
		for what, err := range map[string]error{
			"Poll": pollErr, "TryPoll": tryErr, "Run": c.Run(t.Context()),
			"Watch": watchErr, "WatchNotifier": notifierErr,
			"Change": h.Change(Callbacks{Read: ignoring(forbidden)}), "Handler.Close": h.Close(),
			"Schedule": b.Schedule(), "ScheduleIdle": b.ScheduleIdle(),
			"ScheduleOnce": c.ScheduleOnce(forbidden),
			"Set":          timer.Set(0), "Reset": timer.Reset(0), "SetEarlier": timer.SetEarlier(0),
			"Do": c.Do(t.Context(), func() error { forbidden(); return nil }), "Close": c.Close(),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", what, err)
			}
		}
		c.Notify()
		b.Cancel()
		b.Close()
		timer.Stop()
		c.VirtualClock().Advance(1)
		if timer.Pending() || timer.Expired() {
			t.Error("a timer is armed after Close")
		}
		_ = c.Stats()
		_, _, _ = c.Backend(), c.Name(), c.Now(Host)
	})
}

func TestFiftyContextsOnOneGoroutine(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const n = 50
		ran := make([]int, n)
		loops := make([]*Context, n)
		for i := range loops {
			loops[i] = newLoop()
			must(t, loops[i].NewTimer(Realtime, func() { ran[i]++ }).Set(0))
		}
		for round := 1; round <= 3; round++ {
			for i, c := range loops {
				next := loops[(i+1)%n]
				must(t, c.ScheduleOnce(func() { must(t, next.ScheduleOnce(func() { ran[(i+1)%n]++ })) }))
				settle(t, c)
			}
		}
		for i, c := range loops {
			settle(t, c)
			if ran[i] != 4 {
				t.Errorf("loop %d ran %d callbacks", i, ran[i])
			}
			must(t, c.Close())
		}
	})
}

// All that wait for Close hear of it, also those that have asked at the same time.
func TestEndingIsToldToAllThatAskAtOnce(t *testing.T) {
	for range 5000 {
		var e ending
		var begin, asked sync.WaitGroup
		var told [4]<-chan struct{}
		begin.Add(1)
		for i := range told {
			asked.Go(func() {
				begin.Wait()
				told[i] = e.signal()
			})
		}
		begin.Done()
		asked.Wait()
		e.end()
		for _, ch := range append(told[:], e.signal()) {
			select {
			case <-ch:
			default:
				t.Fatal("a channel is not closed")
			}
		}
	}
}
