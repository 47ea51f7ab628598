package aio

import (
	"testing"
	"time"
)

// A device whose bottom half writes to its own registers: the second run is held
// back and reported, and takes place when the first is over.
func TestGuardHoldsBackWhatWouldReenter(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		guard := ReentrancyGuard{Report: func(name string) { ran.add("held " + name) }}
		again := true
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			ran.add("begin")
			if again {
				again = false
				must(t, b.Schedule())
				turn(t, c) // QEMU's device that polls, and is triggered by its own DMA
			}
			ran.add("end")
		}).Named("dma").Guarded(&guard)
		must(t, b.Schedule())
		turn(t, c)
		ran.expect(t, "begin", "held dma", "end")
		if !b.Scheduled() {
			t.Error("what was held back is not scheduled any more")
		}
		turn(t, c)
		ran.expect(t, "begin", "end")
		settle(t, c)
		ran.expect(t)
	})
}

func TestGuardKeepsOrderAndLosesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var guard ReentrancyGuard
		var ran journal
		for _, name := range []string{"a", "b", "c"} {
			must(t, c.NewBottomHalf(ran.note(name)).Guarded(&guard).Schedule())
		}
		must(t, c.NewBottomHalf(ran.note("free")).Schedule())
		must(t, guard.Do(func() {
			turn(t, c)
			ran.expect(t, "free")
			turn(t, c)
			ran.expect(t)
		}))
		block(t, c) // leaving the guard has notified
		ran.expect(t, "a", "b", "c")
	})
}

// Held back ones are nothing that a nested Poll could do: it sleeps.
func TestGuardDoesNotKeepANestedPollBusy(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var guard ReentrancyGuard
		b := c.NewBottomHalf(func() {}).Guarded(&guard)
		late := false
		timer := c.NewTimer(Realtime, func() { late = true })
		must(t, guard.Do(func() {
			must(t, b.Schedule())
			must(t, timer.Reset(5*time.Millisecond))
			before := c.Stats().Iterations
			pollUntil(t, c, func() bool { return late })
			if n := c.Stats().Iterations - before; n > 20 {
				t.Errorf("%d iterations in 5 ms", n)
			}
		}))
		settle(t, c)
	})
}

func TestGuardDoReportsReentrance(t *testing.T) {
	var guard ReentrancyGuard
	if guard.Engaged() {
		t.Error("engaged when it is new")
	}
	ran := false
	must(t, guard.Do(func() {
		if ran = true; !guard.Engaged() {
			t.Error("not engaged inside")
		}
		wantError(t, guard.Do(func() { t.Error("entered again") }), ErrReentrant)
	}))
	if !ran || guard.Engaged() {
		t.Errorf("ran %v, engaged afterwards %v", ran, guard.Engaged())
	}
}

func TestPanicFreesTheGuard(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var guard ReentrancyGuard
		ran := false
		bad := c.NewBottomHalf(func() { panic("bad") }).Guarded(&guard)
		good := c.NewBottomHalf(func() { ran = true }).Guarded(&guard)
		must(t, bad.Schedule())
		must(t, good.Schedule())
		if v := panicOf(func() { _, _ = c.TryPoll() }); v != "bad" {
			t.Errorf("panicked with %v", v)
		}
		if turn(t, c); !ran || guard.Engaged() {
			t.Errorf("ran %v, engaged %v", ran, guard.Engaged())
		}
	})
}

func TestCancelAndCloseReachWhatIsHeldBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var guard ReentrancyGuard
		a := c.NewBottomHalf(func() { t.Error("the cancelled one ran") }).Guarded(&guard)
		b := c.NewBottomHalf(func() { t.Error("the closed one ran") }).Guarded(&guard)
		must(t, guard.Do(func() {
			must(t, a.Schedule())
			must(t, b.Schedule())
			turn(t, c)
			a.Cancel()
			b.Close()
		}))
		settle(t, c)
	})
}
