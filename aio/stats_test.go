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

// Stats neither waits for a loop that is busy nor wakes one that sleeps.
func TestStatsNeitherWaitsNorWakes(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		entered, leave := make(chan struct{}), make(chan struct{})
		must(t, c.ScheduleOnce(func() { close(entered); <-leave }))
		<-entered
		within(t, "Stats beside a callback", func() { c.Stats() })
		close(leave)
		must(t, c.Do(t.Context(), func() error { return nil }))
		asleep(t, c)
		before := c.Stats()
		for range 100 {
			c.Stats()
		}
		if s := c.Stats(); s.NotifiesWritten != before.NotifiesWritten || s.BottomHalves != before.BottomHalves {
			t.Errorf("%+v, then %+v", before, s)
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
		group.Wait()
		settle(t, c)
	})
}
