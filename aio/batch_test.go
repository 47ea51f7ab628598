//go:build linux

package aio

import (
	"errors"
	"slices"
	"testing"
)

// What callbacks of one iteration defer is done once, at its end.
func TestDeferredRunsOnceForAllCallbacks(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var order []string
		flush := c.NewDeferred(func() { order = append(order, "flush") })
		for _, name := range []string{"a", "b", "c"} {
			must(t, c.ScheduleOnce(func() {
				order = append(order, name)
				must(t, flush.Schedule())
			}))
		}
		must2(t)(c.TryPoll())
		if !slices.Equal(order, []string{"a", "b", "c", "flush"}) {
			t.Errorf("the order is %v", order)
		}
	})
}

func must2(t *testing.T) func(bool, error) {
	return func(_ bool, err error) {
		t.Helper()
		must(t, err)
	}
}

func TestDeferredThatDefersItselfRunsInTheNextIteration(t *testing.T) {
	c := newLoopOn(t, Epoll)
	runs := 0
	var d *Deferred
	d = c.NewDeferred(func() {
		if runs++; runs < 3 {
			must(t, d.Schedule())
		}
	})
	must(t, c.ScheduleOnce(func() { must(t, d.Schedule()) }))
	for want := 1; want <= 3; want++ {
		must2(t)(c.Poll()) // does not sleep
		if runs != want {
			t.Fatalf("it has run %d times, want %d", runs, want)
		}
	}
}

func TestDeferredSurvivesAPanic(t *testing.T) {
	c := newLoopOn(t, Epoll)
	runs := 0
	bad, good := c.NewDeferred(func() { panic("bad") }), c.NewDeferred(func() { runs++ })
	must(t, c.ScheduleOnce(func() { must(t, errors.Join(bad.Schedule(), good.Schedule())) }))
	func() {
		defer func() { _ = recover() }()
		_, _ = c.TryPoll()
		t.Error("no panic")
	}()
	if must2(t)(c.Poll()); runs != 1 {
		t.Errorf("the one behind it ran %d times", runs)
	}
}

func TestBatchOutsideOfPoll(t *testing.T) {
	c := newLoopOn(t, Epoll)
	runs := 0
	d := c.NewDeferred(func() { runs++ })
	must(t, d.Schedule())
	if runs != 1 {
		t.Errorf("without a Batch it ran %d times", runs)
	}
	c.Batch(func() {
		c.Batch(func() { must(t, d.Schedule()) })
		must(t, d.Schedule())
		if runs != 1 {
			t.Error("it ran before the end of the outermost Batch")
		}
	})
	if runs != 2 {
		t.Errorf("after the Batch it had run %d times", runs)
	}
	must2(t)(c.TryPoll())
	errs := make(chan error)
	go func() { errs <- d.Schedule() }()
	wantError(t, <-errs, ErrWrongGoroutine)
	closeLoop(t, c)
	wantError(t, d.Schedule(), ErrClosed)
}
