package aio

import "testing"

// A glance that finds nothing is not repeated before each sleep; one that finds something is.
func TestGlanceStopsWhereItFindsNothing(t *testing.T) {
	glances := func(g *glance, n int, found bool) (taken int) {
		for range n {
			if g.wanted() {
				taken++
				g.learn(found, glanceCredit)
			}
		}
		return taken
	}
	var g glance
	if n := glances(&g, 100*glancePeriod, false); n != 100 {
		t.Errorf("%d glances in vain before %d sleeps, want 100", n, 100*glancePeriod)
	}
	if n := glances(&g, 2*glancePeriod, true); n < glancePeriod {
		t.Errorf("%d glances before %d sleeps, and each finds something", n, 2*glancePeriod)
	}
	if n := glances(&g, glancePeriod-1, false); n > glanceCredit+1 {
		t.Errorf("%d glances before it stops", n)
	}
}

// What comes between the last look and the announcement of a sleep is found without one.
func TestGlanceFindsWhatCameLast(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		c.glance.learn(true, glanceCredit)
		if c.glanceFinds() {
			t.Error("it finds something where nothing is")
		}
		done := make(chan error)
		ran := false
		go func() { done <- c.ScheduleOnce(func() { ran = true }) }()
		must(t, <-done)
		if !c.glanceFinds() {
			t.Error("it does not find a bottom half")
		}
		before := c.Stats().Sleeps
		if must(t, c.wait(1e9)); c.Stats().Sleeps != before {
			t.Error("the loop slept")
		}
		if turn(t, c); !ran {
			t.Error("the bottom half did not run")
		}
	})
}

// An event that the kernel has is found without a sleep, once that has happened before.
func TestGlanceFindsWhatTheKernelHas(t *testing.T) {
	for _, kind := range realBackends {
		t.Run(kind.String(), func(t *testing.T) {
			c := newLoopOn(t, kind, WithMode(ModeThread))
			n, calls := notifier(t), 0
			watchNotifier(t, c, n, func() { calls++ })
			settle(t, c)
			for range glancePeriod + glanceCredit {
				must(t, n.Set())
				block(t, c)
			}
			before := c.Stats().Sleeps
			for range glanceCredit {
				must(t, n.Set())
				block(t, c)
			}
			if now := c.Stats().Sleeps; now != before || calls != glancePeriod+2*glanceCredit {
				t.Errorf("%d sleeps and %d calls, where %d events were there before", now-before, calls, glancePeriod+2*glanceCredit)
			}
		})
	}
}
