package aio

import "testing"

// A glance that finds nothing is not repeated before each sleep; one that finds something is.
func TestGlanceStopsWhereItFindsNothing(t *testing.T) {
	glances := func(g *glance, n int, found bool) (taken int) {
		for range n {
			if g.wanted() {
				taken++
				g.learn(found)
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
		c.glance.learn(true)
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
