package aio

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestStatsCountByKind(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		for range 3 {
			must(t, c.ScheduleOnce(func() {}))
			must(t, c.NewTimer(Realtime, func() {}).Set(0))
		}
		a, b := sockets(t)
		write(t, b, "x")
		h := watch(t, c, a, Callbacks{Read: func(*Handler) {}, Write: func(*Handler) {}})
		turn(t, c)
		must(t, h.Close())
		s := c.Stats()
		if s.BottomHalves != 3 || s.Timers != 3 || s.Reads != 1 || s.Writes != 1 || s.Iterations != 1 || s.Sleeps != 0 {
			t.Errorf("%+v", s)
		}
		timer := c.NewTimer(Realtime, func() {})
		t.Cleanup(func() { timer.Stop() })
		pollUntil(t, c, func() bool { // unless the machine is slow, at the first attempt
			must(t, timer.Reset(2*time.Millisecond))
			s = c.Stats()
			return s.Sleeps > 0
		})
		if s.Sleeps > s.Iterations {
			t.Errorf("%+v", s)
		}
	})
}

// A sleep that a notify has ended is a wake-up, one whose time was up is not.
func TestStatsCountWakeUps(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		must(t, c.NewTimer(Realtime, func() {}).Reset(2*time.Millisecond))
		pollUntil(t, c, func() bool { return c.Stats().Timers == 1 })
		if s := c.Stats(); s.Wakeups != 0 {
			t.Errorf("%+v", s)
		}
		for deadline := time.Now().Add(patience); c.Stats().Wakeups == 0; { // a notify may come just before the sleep
			if time.Now().After(deadline) {
				t.Fatal("no sleep that a notify ended is counted")
			}
			wakeOnce(t, c)
		}
		if s := c.Stats(); s.Wakeups > s.NotifiesWritten {
			t.Errorf("%+v", s)
		}
	})
}

// wakeOnce polls until a notify has come that another goroutine sends when c sleeps.
func wakeOnce(t *testing.T, c *Context) {
	t.Helper()
	var group sync.WaitGroup
	var notified atomic.Bool
	group.Go(func() { asleep(t, c); notified.Store(true); c.Notify() })
	for !notified.Load() { // a Poll may return for nothing
		block(t, c)
	}
	group.Wait()
}

// Who asks when the loop has come to its last iteration need not wait for another one.
func TestStatsWhenTheLoopStops(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		must(t, n.Set())
		answered := make(chan Stats)
		asked := false
		watchNotifier(t, c, n, func() { // handlers come after bottom halves
			go func() { answered <- c.Stats() }()
			eventually(t, "the loop is asked", func() bool { return !c.halves.queue.empty() })
			asked = true
		})
		for !asked {
			turn(t, c)
		}
		select {
		case s := <-answered:
			if s.Reads != 1 {
				t.Errorf("%+v", s)
			}
		case <-time.After(patience):
			t.Error("nobody answers")
			turn(t, c)
			<-answered
		}
	})
}

// Any goroutine may ask, at any time, and sees whole counters.
func TestStatsFromOtherGoroutines(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		before := c.Stats() // no one has polled yet
		start(t, c)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				last := before
				for range 100 {
					must(t, c.ScheduleOnce(func() {}))
					s := c.Stats()
					if s.Iterations < last.Iterations || s.BottomHalves < last.BottomHalves || s.NotifiesElided > 1<<40 {
						t.Errorf("%+v after %+v", s, last)
					}
					last = s
				}
			})
		}
		group.Wait()
		must(t, c.Do(t.Context(), func() error { c.Stats(); return nil }))
	})
}

// A loop that one goroutine steps, while others look at its counters.
func TestStatsBetweenPolls(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var group sync.WaitGroup
		stop := make(chan struct{})
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.Stats()
				}
			}
		})
		for range 300 {
			turn(t, c)
		}
		close(stop)
		done := make(chan struct{})
		go func() { group.Wait(); close(done) }()
		for waiting := true; waiting; { // the other one may be waiting for an answer of the loop
			turn(t, c)
			select {
			case <-done:
				waiting = false
			default:
			}
		}
		settle(t, c)
	})
}
