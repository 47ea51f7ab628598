package aio

import (
	"fmt"
	"testing"
	"time"
)

func TestNestedPollRunsTheRemainingBottomHalvesOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.ScheduleOnce(ran.note("a")))
		must(t, c.ScheduleOnce(func() {
			ran.add("outer")
			if !turn(t, c) {
				t.Error("the inner Poll made no progress")
			}
			ran.add("end")
		}))
		must(t, c.ScheduleOnce(ran.note("b")))
		must(t, c.ScheduleOnce(ran.note("c")))
		turn(t, c)
		ran.expect(t, "a", "outer", "b", "c", "end")
		settle(t, c)
		ran.expect(t)
	})
}

func TestNestedPollRunsTheRemainingHandlersOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		inside := 0
		nest := true
		for range 4 {
			n := notifier(t)
			watchNotifier(t, c, n, func() {
				if ran++; nest {
					nest = false
					turn(t, c)
					inside = ran
				}
			})
			must(t, n.Set())
		}
		turn(t, c)
		if inside != 4 || ran != 4 {
			t.Errorf("%d ran until the inner Poll returned, %d in all; want 4 and 4", inside, ran)
		}
		settle(t, c)
		if ran != 4 {
			t.Errorf("%d ran in the end", ran)
		}
	})
}

func TestNestedPollRunsTheRemainingTimersOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		timers := []*Timer{
			c.NewTimer(Realtime, func() {
				ran.add("outer")
				turn(t, c)
				ran.add("end")
			}),
			c.NewTimer(Realtime, ran.note("a")),
			c.NewTimer(Host, ran.note("b")),
		}
		for i, timer := range timers {
			must(t, timer.Set(time.Duration(i)))
		}
		turn(t, c)
		ran.expect(t, "outer", "a", "b", "end")
		settle(t, c)
		ran.expect(t)
	})
}

// What the inner iteration closes or stops, the outer one leaves alone,
// although it had collected it already.
func TestOuterIterationDoesNotTouchWhatTheInnerOneEnded(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		forbidden := func(what string) func() { return func() { t.Errorf("%s ran", what) } }
		timer := c.NewTimer(Realtime, forbidden("the timer"))
		b := c.NewBottomHalf(forbidden("the bottom half"))
		var handlers [3]*Handler
		enough := false
		for i := range handlers {
			n := notifier(t)
			handlers[i] = watchNotifier(t, c, n, func() {
				if enough {
					t.Error("a closed handler ran")
				}
				must(t, c.ScheduleOnce(func() {
					enough = true
					for _, h := range handlers {
						must(t, h.Close())
					}
					timer.Stop()
					b.Close()
				}))
				must(t, b.Schedule())
				turn(t, c)
			})
			must(t, n.Set())
		}
		must(t, timer.Set(1))
		turn(t, c)
		if !enough {
			t.Error("nothing ran")
		}
		settle(t, c)
	})
}

func TestNestedPollSleepsUntilSomethingHappens(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.ScheduleOnce(func() {
			arrived := false
			go func() { _ = c.ScheduleOnce(func() { arrived = true }) }()
			pollUntil(t, c, func() bool { return arrived })
			ran.add("outer")
		}))
		turn(t, c)
		ran.expect(t, "outer")
	})
}

func TestPollNestsDeeply(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		const levels = 100
		depth := 0
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			if depth++; depth < levels {
				must(t, b.Schedule())
				block(t, c)
			}
		})
		must(t, b.Schedule())
		block(t, c)
		if depth != levels {
			t.Errorf("%d levels", depth)
		}
		wantError(t, c.Do(t.Context(), func() error { return fmt.Errorf("home: %w", ErrReentrant) }), ErrReentrant)
		settle(t, c)
	})
}

// An event that set both callbacks off, once: the one that has not been called yet
// is called inside, though an edge is reported only once.
func TestNestedPollInReadCallsWrite(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		write(t, b, "x")
		var ran journal
		watch(t, c, a, Callbacks{
			Edge: true,
			Read: func(*Handler) {
				if read(a, 1) == "" {
					return
				}
				ran.add("read")
				turn(t, c)
				ran.add("end")
			},
			Write: func(*Handler) {
				if len(ran) < 3 {
					ran.add("write")
				}
			},
		})
		turn(t, c)
		if len(ran) < 2 || ran[1] != "write" {
			t.Errorf("ran %q", ran)
		}
	})
}
