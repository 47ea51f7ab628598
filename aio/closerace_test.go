package aio

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Callers that go on setting a closed notifier do not keep Close from ending.
func TestTrap16_CloseEndsThoughOthersGoOn(t *testing.T) {
	for name, use := range map[string]func(*EventNotifier) error{
		"Set":          (*EventNotifier).Set,
		"TestAndClear": func(n *EventNotifier) error { _, err := n.TestAndClear(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			n, err := NewEventNotifier()
			must(t, err)
			var stop atomic.Bool
			var callers, begun sync.WaitGroup
			for range 8 {
				begun.Add(1)
				callers.Go(func() {
					for begun.Done(); !stop.Load(); {
						_ = use(n)
					}
				})
			}
			begun.Wait()
			closed := make(chan error, 1)
			go func() { closed <- n.Close() }()
			select {
			case err = <-closed:
			case <-time.After(patience / 4):
				t.Error("Close has not returned")
			}
			stop.Store(true)
			callers.Wait()
			must(t, err)
		})
	}
}

// A call that is refused is no user: Close would wait for each that comes.
func TestARefusedSetIsNoUser(t *testing.T) {
	n := notifier(t)
	n.users.Add(closing)
	defer n.users.Add(-closing)
	var most int64
	var stop atomic.Bool
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for !stop.Load() {
			most = max(most, n.users.Load()-closing)
			runtime.Gosched() // one CPU may be all there is
		}
	})
	for range 100_000 {
		wantError(t, n.Set(), ErrClosed)
	}
	stop.Store(true)
	watcher.Wait()
	if most != 0 {
		t.Errorf("%d refused calls were counted", most)
	}
}

// The plain counters would be a race.
func TestStatsBesideClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for range 20 {
			c := newLoop()
			turn(t, c)
			must(t, c.ScheduleOnce(func() {}))
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() { c.Stats() })
			}
			group.Go(func() { _ = c.Close() })
			for !c.home.closed() {
				c.Stats() // on the home goroutine, which is outside Poll
				runtime.Gosched()
			}
			group.Wait()
			if s := c.Stats(); s.BottomHalves != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// Close waits for callers that read the counters, and is not starved by them.
func TestCloseEndsThoughOthersReadTheCounters(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var stop atomic.Bool
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for !stop.Load() {
					runtime.Gosched()
					c.Stats()
				}
			})
		}
		must(t, c.Close())
		stop.Store(true)
		group.Wait()
	})
}

// asks are the ways to ask for a run of a function, once.
var asks = map[string]func(c *Context, f func()) error{
	"Schedule":     func(c *Context, f func()) error { return c.NewBottomHalf(f).Schedule() },
	"ScheduleIdle": func(c *Context, f func()) error { return c.NewBottomHalf(f).ScheduleIdle() },
	"ScheduleOnce": (*Context).ScheduleOnce,
	"Set":          func(c *Context, f func()) error { return c.NewTimer(Realtime, f).Set(0) },
	"Reset":        func(c *Context, f func()) error { return c.NewTimer(Realtime, f).Reset(0) },
	"SetEarlier":   func(c *Context, f func()) error { return c.NewTimer(Realtime, f).SetEarlier(0) },
}

// What fails with ErrClosed has not run. What does not fail has run, or Close has named it.
func TestErrClosedMeansThatItDoesNotRun(t *testing.T) {
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				askBesideClose(t, ask)
			}
		})
	}
}

func askBesideClose(t *testing.T, ask func(*Context, func()) error) {
	t.Helper()
	c := newLoopOn(t, Ppoll)
	var accepted, ran [4]int
	var group sync.WaitGroup
	for p := range accepted {
		group.Go(func() {
			for accepted[p] < 100 && ask(c, func() { ran[p]++ }) == nil {
				accepted[p]++
			}
		})
	}
	for range 3 {
		turn(t, c)
		runtime.Gosched()
	}
	named := 0
	if leaks := (*LeakError)(nil); errors.As(c.Close(), &leaks) {
		named = len(leaks.BottomHalves) + len(leaks.Timers)
	}
	group.Wait()
	lost := 0
	for p := range accepted {
		if ran[p] > accepted[p] {
			t.Fatalf("%d have run of %d that were accepted", ran[p], accepted[p])
		}
		lost += accepted[p] - ran[p]
	}
	if lost > named {
		t.Fatalf("%d were accepted and have not run; Close has named %d", lost, named)
	}
}

// Between two iterations the home goroutine is like any other: Close may come meanwhile.
func TestHomeSchedulesBesideClose(t *testing.T) {
	for range 100 {
		c := newLoopOn(t, Ppoll)
		turn(t, c)
		closed := make(chan error)
		go func() { closed <- c.Close() }()
		accepted := 0
		for accepted < 1000 && c.ScheduleOnce(func() {}) == nil {
			accepted++
		}
		named := 0
		if leaks := (*LeakError)(nil); errors.As(<-closed, &leaks) {
			named = len(leaks.BottomHalves)
		}
		if named < accepted {
			t.Fatalf("%d were accepted, Close has named %d", accepted, named)
		}
	}
}

// A Schedule that looks at the Context when its function has run and Close has come.
func TestScheduleThatIsOvertakenByClose(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	ran := c.NewBottomHalf(func() {})
	must(t, ran.Schedule())
	turn(t, c)
	left := c.NewBottomHalf(func() {})
	must(t, left.Schedule())
	if c.Close() == nil {
		t.Error("it is no leak")
	}
	must(t, ran.accepted())
	wantError(t, left.accepted(), ErrClosed)
}

// The same for a one-shot, whose BottomHalf may be another caller's by then.
func TestOneShotThatIsOvertakenByClose(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	must(t, c.ScheduleOnce(func() {})) // before the first Poll: it goes through the queue
	b := c.halves.queue.top.Load()
	ran := b.state.Load()
	turn(t, c)
	left := ran + 1<<lifeShift
	b.state.Store(left) // as its next user does
	must(t, c.Close())
	must(t, b.acceptedOnce(c, ran))
	wantError(t, b.acceptedOnce(c, left), ErrClosed)
	b.state.Store(0)
}

// A one-shot is told from a later one that has got the same BottomHalf.
func TestOneShotsHaveLivesOfTheirOwn(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	last := make(map[*BottomHalf]uint32)
	for range 100 {
		must(t, c.ScheduleOnce(func() {}))
		b := c.halves.now.last // but for the first one, which was scheduled before there was a home goroutine
		if b == nil {
			b = c.halves.queue.top.Load()
		}
		if state := b.state.Load(); state == last[b] {
			t.Fatalf("state %#x twice", state)
		} else {
			last[b] = state
		}
		turn(t, c)
	}
}

// Close names what lies behind a producer that is between its two steps.
func TestCloseWaitsForAGap(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	must(t, c.NewBottomHalf(func() {}).Named("older").Schedule())
	close := gap(c, c.NewBottomHalf(func() {}).Named("newer"))
	var group sync.WaitGroup
	group.Go(func() {
		eventually(t, "Close takes the queue", c.halves.queue.empty)
		close()
	})
	var leaks *LeakError
	if err := c.Close(); !errors.As(err, &leaks) || len(leaks.BottomHalves) != 2 {
		t.Errorf("Close: %v", err)
	}
	group.Wait()
}

// Close names what was pushed while an older producer kept the loop from its own.
func TestCloseNamesWhatIsBehindAnOldGap(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	must(t, c.NewBottomHalf(func() {}).Schedule())
	close := gap(c, c.NewBottomHalf(func() {}))
	turn(t, c) // takes both and has to wait for the second
	must(t, c.NewBottomHalf(func() {}).Schedule())
	close()
	var leaks *LeakError
	if err := c.Close(); !errors.As(err, &leaks) || len(leaks.BottomHalves) != 3 {
		t.Errorf("Close: %v", err)
	}
}

// gap is a Schedule of b that stops between its two steps, Q1 and Q2; it returns the rest.
func gap(c *Context, b *BottomHalf) (close func()) {
	b.state.Store(queued | wantedNow)
	b.loose.Store(true)
	older := c.halves.queue.top.Swap(b)
	return func() {
		b.link = older
		b.loose.Store(false)
		c.kick()
	}
}

// What is asked of a Context whose Close has begun is refused, or named among the leaks.
func TestTrap43_WatchBesideClose(t *testing.T) {
	n := notifier(t)
	for name, watch := range map[string]func(c *Context) (*Handler, error){
		"Watch":         func(c *Context) (*Handler, error) { return c.Watch(n.FD(), Callbacks{Read: func(*Handler) {}}) },
		"WatchNotifier": func(c *Context) (*Handler, error) { return c.WatchNotifier(n, Callbacks{Read: func(*Handler) {}}) },
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				must(t, c.home.close())
				if names := c.table.abandon(); len(names) != 0 {
					t.Fatalf("%q were left", names)
				}
				_, err := watch(c) // between two steps of Close
				wantError(t, err, ErrClosed)
				c.home.state.Store(stateIdle)
			})
		})
	}
}

// Submit and Close come one after the other, on whatever goroutines.
func TestSubmitBesideClose(t *testing.T) {
	c, _ := newFalse(t)
	must(t, c.home.close())
	wantError(t, submit(c, Request{}, func(int, error) {}), ErrClosed)
	c.home.state.Store(stateIdle)
	for range 100 {
		c, _ := newFalse(t)
		var group sync.WaitGroup
		var closed error
		group.Go(func() { closed = c.Close() })
		err := submit(c, Request{}, func(int, error) {})
		group.Wait()
		var leaks *LeakError
		if named := errors.As(closed, &leaks); named == (err != nil) {
			t.Fatalf("Submit: %v, Close: %v", err, closed)
		}
	}
}

// The home goroutine schedules between its Polls while another one calls Close: what is accepted is
// named.
func TestCloseBesideScheduleOfHome(t *testing.T) {
	for range 100 {
		c := openLoop(t, Ppoll)
		turn(t, c)
		var leaks *LeakError
		var group sync.WaitGroup
		group.Go(func() { errors.As(c.Close(), &leaks) })
		accepted := 0
		for err := error(nil); err == nil; accepted++ {
			err = c.NewBottomHalf(func() {}).Schedule()
		}
		group.Wait()
		named := 0
		if leaks != nil {
			named = len(leaks.BottomHalves)
		}
		if accepted--; named != accepted && named != accepted+1 { // the refused one, too, perhaps
			t.Fatalf("Schedule has accepted %d, Close has named %d", accepted, named)
		}
	}
}
