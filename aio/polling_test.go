package aio

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio/internal/polling"
	"github.com/aioloop/aioloop/internal/gate"
	"github.com/aioloop/aioloop/internal/sys"
)

// needTwoCPUs skips what GOMAXPROCS=1 forbids: polling in user space.
func needTwoCPUs(t testing.TB) {
	t.Helper()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("the loop does not poll in user space when GOMAXPROCS is 1")
	}
}

const µs = time.Microsecond

// longWindow is one that an event comes within, however slow the machine is.
var longWindow = Polling{Max: time.Hour}

// newPolling returns a Context that polls for w at its next sleep.
func newPolling(t *testing.T, newLoop maker, w time.Duration) *Context {
	needTwoCPUs(t)
	c := newLoop(WithPolling(longWindow))
	turn(t, c) // from here on this is the home goroutine, so that Watch does not notify
	openWindow(c, w)
	return c
}

// openWindow sets the window for the next iteration.
func openWindow(c *Context, w time.Duration) {
	c.spin.last = polling.Sample{} // it would set the window first
	c.spin.rule.Window = w
}

// waitForATimer polls until a timer has fired that c has waited for, as done tells. On a
// slow machine the first is over before c gets to wait. It returns how long the last
// one took.
func waitForATimer(t *testing.T, c *Context, done func() bool) time.Duration {
	t.Helper()
	for d := 5 * time.Millisecond; ; d *= 2 {
		fired := false
		must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(d))
		pollUntil(t, c, func() bool { return fired })
		if done() || d > patience {
			return d
		}
	}
}

func TestPollingOffByDefault(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, opt := range []Option{WithName("default"), WithPolling(Polling{})} {
			c := newLoop(opt)
			var ran journal
			watch(t, c, notifier(t).FD(), ran.hooks(func() bool { return true }))
			restsFor(t, c, 5*time.Millisecond)
			ran.expect(t)
			if s := c.Stats(); s.PollHits+s.PollMisses != 0 {
				t.Errorf("it polled: %+v", s)
			}
		}
	})
}

// With one CPU no one could make happen what the loop polls for.
func TestPollingNeverWithOneCPU(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		c := newLoop(WithPolling(longWindow))
		openWindow(c, time.Millisecond)
		var ran journal
		watch(t, c, notifier(t).FD(), ran.hooks(func() bool { return true }))
		restsFor(t, c, 5*time.Millisecond)
		ran.expect(t)
	})
}

// On ppoll and epoll a descriptor without a Poll callback shows its readiness to
// the kernel only, so the loop does not poll; io_uring shows it to all.
func TestPollingNeedsSight(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 100*µs)
		h := watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
		must(t, c.NewTimer(Realtime, func() {}).Reset(20*time.Millisecond))
		pollUntil(t, c, func() bool { return c.Stats().Timers == 1 })
		if polled := c.Stats().PollMisses > 0; polled != (c.port.peeker != nil) {
			t.Errorf("polled: %v", polled)
		}
		must(t, h.Close())
		openWindow(c, 100*µs)
		before := c.Stats().PollMisses
		must(t, c.NewTimer(Realtime, func() {}).Reset(20*time.Millisecond))
		pollUntil(t, c, func() bool { return c.Stats().Timers == 2 })
		if c.Stats().PollMisses == before {
			t.Error("it does not poll after the blind handler is gone")
		}
	})
}

// Trap 18: with deferred task work an event shows only if the loop looks for it.
func TestTrap18_PollingSeesADescriptor(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 0)
		if c.port.peeker == nil {
			t.Skip("only a Peeker sees descriptors in user space")
		}
		n := notifier(t)
		ran := false
		watchNotifier(t, c, n, func() { ran = true })
		turn(t, c)
		openWindow(c, longWindow.Max)
		must(t, n.Set())
		block(t, c)
		if s := c.Stats(); !ran || s.PollHits+s.Sleeps > 1 || s.Sleeps != 0 {
			t.Errorf("ran %v, %+v", ran, s)
		}
	})
}

// A level-triggered descriptor that was dispatched is asked for again before the
// loop looks for it in user space.
func TestTrap18_PollingSeesADescriptorAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 0)
		if c.port.peeker == nil {
			t.Skip("only a Peeker sees descriptors in user space")
		}
		r, w := pipe(t)
		reads := 0
		h := watch(t, c, r, Callbacks{Read: func(*Handler) { read(r, 1); reads++ }})
		for range 3 {
			write(t, w, "x")
			openWindow(c, longWindow.Max)
			sleeps := c.Stats().Sleeps
			block(t, c)
			if s := c.Stats(); s.Sleeps != sleeps {
				t.Fatalf("the loop slept: %+v", s)
			}
		}
		if reads != 3 {
			t.Errorf("%d reads, want 3", reads)
		}
		must(t, h.Close())
	})
}

// An operation is handed to the kernel before the loop looks for its completion.
func TestPollingSeesAnOperation(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		if c.port.submitter == nil || c.port.peeker == nil {
			t.Skip("this backend runs no operations")
		}
		ran := false
		must(t, submit(c, Request{}, func(int, error) { ran = true }))
		pollUntil(t, c, func() bool { return ran })
		if s := c.Stats(); s.Sleeps != 0 {
			t.Errorf("it slept: %+v", s)
		}
	})
}

// The window may be longer than the time to the next timer; the loop looks no longer.
func TestPollingEndsWithATimer(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		fired := false
		must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(5*time.Millisecond))
		pollUntil(t, c, func() bool { return fired })
	})
}

func TestPollingSeesABottomHalf(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		b := c.NewBottomHalf(func() {})
		looks := 0
		h := watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}, Poll: func() bool {
			if looks++; looks == 5 {
				must(t, b.Schedule())
			}
			return false
		}})
		if !block(t, c) {
			t.Error("no progress")
		}
		if s := c.Stats(); s.PollHits != 1 || s.Sleeps != 0 || s.NotifiesWritten != 0 {
			t.Errorf("%+v", s)
		}
		must(t, h.Close())
	})
}

// Notifies without a pause must not keep the loop from asking the handlers.
func TestNotifiesDoNotStarvePolledHandlers(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		found := 0
		h := watch(t, c, notifier(t).FD(), Callbacks{
			Read: func(*Handler) {}, Poll: func() bool { return true }, PollReady: func() { found++ },
		})
		for i := 1; i <= 10; i++ {
			openWindow(c, longWindow.Max)
			c.Notify()
			if block(t, c); found != i {
				t.Fatalf("%d events found in %d iterations", found, i)
			}
		}
		must(t, h.Close())
	})
}

// A timer that a Poll callback arms shortens the sleep that follows.
func TestTimerArmedByAPollCallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 50*µs)
		fired := false
		timer := c.NewTimer(Realtime, func() { fired = true })
		watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}, Poll: func() bool {
			if !fired && !timer.Pending() {
				must(t, timer.Reset(time.Millisecond))
			}
			return false
		}})
		pollUntil(t, c, func() bool { return fired })
	})
}

// Thousands of idle handlers and a busy one: the busy one is served, the others
// cost no polling, and the window collapses when there is nothing to gain.
func TestTrap23_ManyIdleHandlersAndABusyOne(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const idle = 3000
		needDescriptors(t, idle+100)
		needTwoCPUs(t)
		c := newLoop(WithPolling(Polling{Max: 32 * µs}))
		for range idle {
			watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) { t.Error("an idle handler ran") }})
		}
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		for i := 1; i <= 100; i++ {
			must(t, n.Set())
			if block(t, c); ran != i {
				t.Fatalf("%d calls after %d sets", ran, i)
			}
		}
		if s := c.Stats(); c.port.peeker == nil && s.PollHits+s.PollMisses != 0 {
			t.Errorf("it polled though it could see nothing: %+v", s)
		}
		for range 100 { // more than the rule remembers

			restsFor(t, c, time.Millisecond)
		}
		if c.spin.rule.Window != 0 {
			t.Errorf("window %v after the traffic has gone", c.spin.rule.Window)
		}
	})
}

func TestPollingTracesItsWindow(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		needTwoCPUs(t)
		seen := map[TracePoint]bool{}
		p := Polling{Max: 20 * time.Millisecond, Rule: PollQEMU}
		c := newLoop(WithPolling(p), WithTrace(func(e TraceEvent) { seen[e.Point] = true }))
		sleep := func(d time.Duration) {
			fired := false
			must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(d))
			pollUntil(t, c, func() bool { return fired })
		}
		until := func(point TracePoint, d time.Duration) {
			for deadline := time.Now().Add(patience); !seen[point]; sleep(d) {
				if time.Now().After(deadline) {
					t.Fatalf("no %v", point)
				}
			}
		}
		until(TracePollGrow, 5*time.Millisecond) // within Max, unless the machine is slow: the window grows
		until(TracePollBegin, 5*time.Millisecond)
		until(TracePollEnd, 5*time.Millisecond)
		until(TracePollShrink, p.Max+5*time.Millisecond) // beyond: it collapses
		for deadline := time.Now().Add(patience); ; {    // one that ends early opens it again
			sleep(p.Max + 5*time.Millisecond)
			if turn(t, c); c.spin.rule.Window == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("window %v", c.spin.rule.Window)
			}
		}
	})
}

// Each test of sampling begins with a loop whose window is closed, and reads what the
// next iteration that waits would learn.
func sampled(t *testing.T, newLoop maker, iterate func(c *Context)) polling.Sample {
	s := sampledPerhaps(t, newLoop, iterate)
	if s.Blocked <= 0 {
		t.Fatalf("no sample: %+v", s)
	}
	return s
}

// sampledPerhaps is sampled where the loop may find something just before it would wait.
func sampledPerhaps(t *testing.T, newLoop maker, iterate func(c *Context)) polling.Sample {
	c := newLoop(WithPolling(Polling{Max: 32 * µs}))
	turn(t, c)
	iterate(c)
	return c.spin.last
}

// The time at which a timer was due is when its event arrived.
func TestPollingSamplesATimer(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		var d time.Duration
		s := sampled(t, newLoop, func(c *Context) {
			d = waitForATimer(t, c, func() bool { return c.spin.last.Blocked > 0 })
		})
		if s.Woken || s.Arrived <= 0 || s.Arrived > d || s.Blocked < s.Arrived {
			t.Errorf("%+v", s)
		}
	})
}

// A notifier that ends a sleep says when it did. The loop may be up before that, and then
// does not know.
func TestPollingSamplesANotify(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		eventually(t, "the loop knows when the notify came", func() bool {
			s := sampledPerhaps(t, newLoop, func(c *Context) {
				var over atomic.Bool // a signal may end the sleep before that
				go func() {
					for c.gate.Kicked() && !over.Load() {
						runtime.Gosched()
					}
					c.Notify()
				}()
				block(t, c)
				over.Store(true)
			})
			if s.Spun != 0 || s.Woken && (s.Arrived <= 0 || s.Blocked < s.Arrived) {
				t.Fatalf("%+v", s)
			}
			return s.Woken
		})
	})
}

// What only the kernel has seen carries no stamp.
func TestPollingSamplesADescriptor(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithPolling(Polling{Max: 32 * µs}))
		n := notifier(t)
		watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { _, _ = n.TestAndClear() }})
		turn(t, c)
		must(t, n.Set())
		block(t, c)
		if s := c.spin.last; c.port.peeker == nil && s.Blocked != 0 {
			t.Errorf("it learns though it cannot poll: %+v", s)
		} else if c.port.peeker != nil && (s.Arrived != polling.Unknown || s.Woken) {
			t.Errorf("%+v", s)
		}
	})
}

// Events that are there immediately are counted, and cost no sample each.
func TestPollingCountsWhatIsThereAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		for range 10 {
			c.Notify()
			block(t, c)
		}
		if a := &c.spin; a.immediate != 10 || a.last.Blocked != 0 || c.Stats().PollHits != 10 {
			t.Errorf("%d counted, %+v, %+v", a.immediate, a.last, c.Stats())
		}
	})
}

// A loop that finds its events immediately all the time still serves a descriptor that
// shows only when the kernel is asked.
func TestNotifiesDoNotStarveDescriptors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		if c.port.peeker == nil {
			t.Skip("only with a Peeker does the loop poll beside such a descriptor")
		}
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		for i := 1; i <= 3; i++ {
			must(t, n.Set())
			pollUntil(t, c, func() bool { // in any number of iterations: a parked loop's ring may need another thread to run
				openWindow(c, longWindow.Max)
				c.Notify()
				return ran == i
			})
		}
	})
}

// When the number of Ps falls to one, a loop that spins a little longer notices, and
// so does one that finds its events immediately.
func TestPollingStopsWhenThereIsOneCPU(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c, atOnce := newPolling(t, newLoop, longWindow.Max), newPolling(t, newLoop, longWindow.Max)
		for _, c := range []*Context{c, atOnce} {
			c.Notify()
			block(t, c) // it knows of several
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		c.spin.last = polling.Sample{}
		waitForATimer(t, c, func() bool { return c.spin.last.Blocked > 0 })
		if s := c.spin.last; s.Spun > time.Millisecond {
			t.Errorf("it spun for %v", s.Spun)
		}
		hits := func() uint64 {
			openWindow(atOnce, longWindow.Max)
			before := atOnce.Stats().PollHits
			for range trust {
				atOnce.Notify()
				block(t, atOnce)
			}
			return atOnce.Stats().PollHits - before
		}
		hits() // for so long it may believe what it knows
		if n := hits(); n > 0 {
			t.Errorf("it polled %d times", n)
		}
	})
}

func TestPollingRuleIsChecked(t *testing.T) {
	for _, r := range []PollingRule{-1, PollQEMU + 1} {
		if c, err := New(WithPolling(Polling{Max: µs, Rule: r})); err == nil {
			t.Errorf("rule %d is taken", r)
			must(t, c.Close())
		}
	}
}

// A loop that polls sees what a producer pushes that was between its two steps when
// the loop took the queue.
func TestPollingSeesThroughAGap(t *testing.T) {
	c := newLoopOn(t, Epoll, WithPolling(Polling{Max: time.Second}))
	turn(t, c)
	close := gap(c, c.NewBottomHalf(func() {}))
	if c.look(2) {
		t.Error("it sees what it cannot take yet")
	}
	close()
	if !c.look(1) {
		t.Error("it does not see what it can take")
	}
	settle(t, c)
}

// A stamp that is from after the wait is another notify's.
func TestPollingIgnoresALateStamp(t *testing.T) {
	s := sampled(t, func(opts ...Option) *Context { return newLoopOn(t, Epoll, opts...) }, func(c *Context) {
		c.waker.arrived.Store(int64(sys.Monotonic() + time.Hour))
		waitForATimer(t, c, func() bool { return c.spin.last.Blocked > 0 })
	})
	if s.Woken || s.Arrived > s.Blocked {
		t.Errorf("%+v", s)
	}
}

// The stamp is there before the loop can be up.
func TestTheStampComesBeforeTheWrite(t *testing.T) {
	c := newLoopOn(t, Epoll, WithPolling(Polling{Max: time.Second}))
	stamped := false
	defer inject(t, func(call sys.Call) (f sys.Fault) {
		stamped = stamped || call == sys.CallEventfdWrite && c.waker.arrived.Load() != 0
		return f
	})()
	c.gate.Announce(gate.Asleep)
	if c.Notify(); !stamped {
		t.Error("no stamp when the notifier is written to")
	}
	turn(t, c)
}

// A sample is learned from once, though the loop may come by again before the next.
func TestPollingLearnsOnce(t *testing.T) {
	c := newLoopOn(t, Epoll, WithPolling(Polling{Max: time.Second, Rule: PollQEMU}))
	c.spin.last = polling.Sample{Arrived: time.Millisecond, Blocked: time.Millisecond}
	c.spin.learn(c.observer)
	window := c.spin.rule.Window
	if c.spin.learn(c.observer); window == 0 || c.spin.rule.Window != window {
		t.Errorf("window %v, then %v", window, c.spin.rule.Window)
	}
}
