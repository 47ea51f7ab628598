package aio

import (
	"testing"
	"time"
)

// busy schedules itself forever: a loop that always has something else to do.
func busy(t *testing.T, c *Context) *BottomHalf {
	t.Helper()
	var b *BottomHalf
	b = c.NewBottomHalf(func() { _ = b.Schedule() })
	must(t, b.Schedule())
	t.Cleanup(func() { b.Close() })
	return b
}

// lieIdle schedules b, and has the loop go round once, in which b does not run because
// others do. It does that again if the machine is so slow that b has waited long enough.
func lieIdle(t *testing.T, b *BottomHalf, ran *bool) {
	t.Helper()
	for start := time.Now(); ; {
		begin := time.Now()
		must(t, b.ScheduleIdle())
		turn(t, b.ctx)
		switch {
		case !*ran:
			return
		case time.Since(begin) < 10*time.Millisecond || time.Since(start) > patience:
			t.Fatal("ran beside something else")
		}
		*ran = false
	}
}

func TestIdleBottomHalfRunsWhenNothingElseDoes(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		b := c.NewBottomHalf(ran.note("idle"))
		must(t, b.ScheduleIdle())
		must(t, b.ScheduleIdle())
		if turn(t, c) {
			t.Error("an idle bottom half is progress")
		}
		ran.expect(t, "idle")
		turn(t, c)
		ran.expect(t)
		if s := c.Stats(); s.IdleBottomHalves != 1 || s.BottomHalves != 0 {
			t.Errorf("counted as %+v", s)
		}
	})
}

func TestIdleBottomHalfEndsABlockingPollInTime(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := false
		b := c.NewBottomHalf(func() { ran = true })
		must(t, b.ScheduleIdle())
		within(t, "an idle bottom half alone", func() {
			if block(t, c) {
				t.Error("an idle bottom half is progress")
			}
		})
		if !ran {
			t.Error("it did not run")
		}
	})
}

func TestIdleBottomHalfWaitsForTheBusyOnes(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		busy(t, c)
		ran := false
		b := c.NewBottomHalf(func() { ran = true })
		lieIdle(t, b, &ran)
		within(t, "an idle bottom half under load", func() {
			for begin := time.Now(); !ran && time.Since(begin) < patience; {
				turn(t, c)
			}
		})
		if !ran {
			t.Error("never ran under load")
		}
	})
}

func TestIdleBottomHalfThatSchedulesItselfRunsOncePerIteration(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			ran++
			must(t, b.ScheduleIdle())
		})
		must(t, b.ScheduleIdle())
		for i := 1; i <= 3; i++ {
			if turn(t, c); ran != i {
				t.Fatalf("ran %d times in %d iterations", ran, i)
			}
		}
		b.Close()
	})
}

func TestScheduleTakesPrecedenceOverScheduleIdle(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, order := range []string{"idle first", "idle last", "while it waits"} {
			t.Run(order, func(t *testing.T) {
				c := newLoop()
				load := busy(t, c)
				ran := false
				b := c.NewBottomHalf(func() { ran = true })
				switch order {
				case "idle first":
					must(t, b.ScheduleIdle())
					must(t, b.Schedule())
				case "idle last":
					must(t, b.Schedule())
					must(t, b.ScheduleIdle())
				case "while it waits":
					lieIdle(t, b, &ran)
					must(t, b.Schedule())
				}
				before := c.Stats().IdleBottomHalves
				turn(t, c)
				if !ran {
					t.Error("not run in the next iteration")
				}
				if c.Stats().IdleBottomHalves != before {
					t.Error("counted as idle")
				}
				load.Close()
			})
		}
	})
}

// Whatever it was before, it is idle now, though the loop has come to it already.
func TestScheduleIdleAfterCancelWaitsForItsChance(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		b := c.NewBottomHalf(ran.note("idle"))
		must(t, c.ScheduleOnce(func() {
			b.Cancel()
			must(t, b.ScheduleIdle())
		}))
		must(t, b.Schedule())
		must(t, c.ScheduleOnce(ran.note("behind it")))
		turn(t, c)
		ran.expect(t, "behind it")
		if !b.Scheduled() {
			t.Error("not scheduled any more")
		}
		if turn(t, c) {
			t.Error("an idle bottom half is progress")
		}
		ran.expect(t, "idle")
		if s := c.Stats(); s.IdleBottomHalves != 1 || s.BottomHalves != 2 {
			t.Errorf("counted as %+v", s)
		}
	})
}

// One that is cancelled keeps its place among the idle ones for a while. When it
// is scheduled then, a sleeping loop has to hear of it.
func TestScheduleAfterCancelOfAnIdleOneNotifies(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		busy(t, c)
		ran := false
		b := c.NewBottomHalf(func() { ran = true })
		lieIdle(t, b, &ran)
		b.Cancel()
		c.gate.Accept()
		must(t, b.Schedule())
		if c.gate.Notifies() == c.gate.Accepted() {
			t.Error("the loop was not notified")
		}
		if turn(t, c); !ran {
			t.Error("it did not run")
		}
	})
}

func TestCancelledIdleBottomHalfDoesNotRun(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		load := busy(t, c)
		ran := false
		b := c.NewBottomHalf(func() { ran = true })
		lieIdle(t, b, &ran)
		b.Cancel()
		load.Close()
		settle(t, c)
		must(t, b.ScheduleIdle())
		b.Close()
		if settle(t, c); ran {
			t.Error("ran")
		}
	})
}

// Between the computation of the timeout and the sleep, what runs in user space
// may schedule one: the loop must not sleep forever with it.
func TestIdleScheduledJustBeforeTheSleep(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		needTwoCPUs(t)
		c := newLoop(WithPolling(Polling{Max: 50 * time.Microsecond}))
		ran := false
		b := c.NewBottomHalf(func() { ran = true })
		n := notifier(t)
		watch(t, c, n.FD(), Callbacks{
			Read:    func(*Handler) {},
			Poll:    func() bool { return false },
			PollEnd: func() { must(t, b.ScheduleIdle()) },
		})
		c.spin.rule.Window = 20 * time.Microsecond
		block(t, c)
		if !ran {
			turn(t, c)
		}
		if !ran {
			t.Error("it did not run")
		}
	})
}

func TestIdleOnesRunInANestedPollAndNotTwice(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		outer := c.NewBottomHalf(func() {
			ran.add("outer")
			block(t, c)
			ran.add("end")
		})
		inner := c.NewBottomHalf(ran.note("inner"))
		must(t, outer.ScheduleIdle())
		must(t, inner.ScheduleIdle())
		turn(t, c)
		ran.expect(t, "outer", "inner", "end")
		settle(t, c)
		ran.expect(t)
	})
}

func TestPanicLeavesTheOtherIdleOnes(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		bad, good := c.NewBottomHalf(func() { panic("bad") }), c.NewBottomHalf(ran.note("good"))
		must(t, bad.ScheduleIdle())
		must(t, good.ScheduleIdle())
		if v := panicOf(func() { _, _ = c.TryPoll() }); v != "bad" {
			t.Errorf("panicked with %v", v)
		}
		turn(t, c)
		ran.expect(t, "good")
	})
}
