package aio

import (
	"runtime/debug"
	"testing"

	"github.com/aioloop/aioloop/internal/gate"
)

// The steady state allocates nothing. Each case is one operation, and whatever the
// loop does about it.
func TestNoAllocations(t *testing.T) {
	cases := map[string]func(t *testing.T, c *Context) func(){
		"schedule and run": func(t *testing.T, c *Context) func() {
			b := c.NewBottomHalf(func() {})
			return func() { _ = b.Schedule(); _, _ = c.TryPoll() }
		},
		"schedule and run idly": func(t *testing.T, c *Context) func() {
			b := c.NewBottomHalf(func() {})
			return func() { _ = b.ScheduleIdle(); _, _ = c.TryPoll() }
		},
		"schedule once": func(t *testing.T, c *Context) func() {
			f := func() {}
			return func() { _ = c.ScheduleOnce(f); _, _ = c.TryPoll() }
		},
		"guarded": func(t *testing.T, c *Context) func() {
			var guard ReentrancyGuard
			b := c.NewBottomHalf(func() {}).Guarded(&guard)
			return func() { _ = b.Schedule(); _, _ = c.TryPoll() }
		},
		"notify and poll": func(t *testing.T, c *Context) func() {
			return func() { c.Notify(); _, _ = c.Poll() }
		},
		"written notify": func(t *testing.T, c *Context) func() {
			return func() {
				c.gate.Announce(gate.Asleep) // as if it slept
				c.Notify()
				_, _ = c.Poll()
			}
		},
		"level-triggered dispatch": func(t *testing.T, c *Context) func() {
			n := notifier(t)
			watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { _, _ = n.TestAndClear() }})
			return func() { _ = n.Set(); _, _ = c.Poll() }
		},
		"notifier dispatch": func(t *testing.T, c *Context) func() {
			n := notifier(t)
			watchNotifier(t, c, n, func() {})
			return func() { _ = n.Set(); _, _ = c.Poll() }
		},
		"want": func(t *testing.T, c *Context) func() {
			a, b := sockets(t)
			write(t, b, "x")
			h := watch(t, c, a, Callbacks{Read: func(*Handler) {}, Write: func(*Handler) {}})
			return func() { _ = h.Want(true, false); _, _ = c.Poll(); _ = h.Want(true, true); _, _ = c.Poll() }
		},
		"timer re-arm": func(t *testing.T, c *Context) func() {
			timer := c.NewTimer(Realtime, func() {})
			return func() { _ = timer.Set(0); _, _ = c.TryPoll() }
		},
		"timer that arms itself": func(t *testing.T, c *Context) func() {
			var timer *Timer
			timer = c.NewTimer(Virtual, func() { _ = timer.Set(0) })
			must(t, timer.Set(0))
			t.Cleanup(func() { timer.Stop() })
			return func() { _, _ = c.TryPoll() }
		},
		"timer put off": func(t *testing.T, c *Context) func() {
			timer := c.NewTimer(Host, func() {})
			t.Cleanup(func() { timer.Stop() })
			return func() { _ = timer.Reset(1 << 40); _, _ = c.TryPoll() }
		},
		"native operation": func(t *testing.T, c *Context) func() {
			if c.port.submitter == nil {
				t.Skip("this backend runs no operations")
			}
			r := &Request{Done: func(*Request) {}}
			return func() { _ = c.Submit(r); _, _ = c.Poll() }
		},
		"do from home": func(t *testing.T, c *Context) func() {
			f := func() error { return nil }
			return func() { _ = c.Do(t.Context(), f) }
		},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, prepare := range cases {
			t.Run(name, func(t *testing.T) {
				if raceEnabled && name == "schedule once" {
					t.Skip("sync.Pool drops objects at random under the race detector")
				}
				c := newLoop()
				turn(t, c)
				step := prepare(t, c)
				for range 200 { // slices reach their size
					step()
				}
				// sync.Pool is emptied by a collection: amortised, it allocates nothing.
				defer debug.SetGCPercent(debug.SetGCPercent(-1))
				if n := testing.AllocsPerRun(500, step); n != 0 {
					t.Errorf("%v allocations", n)
				}
			})
		}
	})
}
