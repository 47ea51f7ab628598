//go:build linux

package aio

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
)

// Calls are due at multiples of the period, however late they come, and what a busy loop has
// left out is counted.
func TestEveryDoesNotDrift(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const period = 2 * time.Millisecond
		c := newLoop()
		before := c.Now(Realtime)
		var first, last time.Duration // points at which calls were due
		var calls, left int
		var every *Timer
		every, err := c.Every(period, func(missed int) {
			next, _ := every.Deadline()
			last = next - period
			if calls++; calls == 1 {
				first = last - time.Duration(missed)*period
			}
			left += missed
			if calls == 3 {
				for c.Now(Realtime) < next+3*period { // busy: three or more are missed
				}
			}
		})
		must(t, err)
		pollUntil(t, c, func() bool { return calls == 10 })
		every.Stop()
		if first < before+period || first > c.Now(Realtime) {
			t.Errorf("the first call was due %v after Every", first-before)
		}
		if due := int((last-first)/period) + 1; (last-first)%period != 0 || due != calls+left {
			t.Errorf("%d calls and %d left out in %v", calls, left, last-first)
		}
		if left < 3 {
			t.Errorf("%d were left out, at least 3 were missed", left)
		}
		if every.Pending() {
			t.Error("Stop did not end it")
		}
	})
}

func TestEveryEndsFromWithin(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		calls := 0
		var every *Timer
		every, err := c.Every(time.Millisecond, func(int) { calls++; every.Stop() })
		must(t, err)
		over := false
		_, err = c.AfterFunc(20*time.Millisecond, func() { over = true })
		must(t, err)
		pollUntil(t, c, func() bool { return over })
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestEveryAndAfterFuncBadInput(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	for _, period := range []time.Duration{0, -1} {
		if every, err := c.Every(period, func(int) {}); every != nil || err == nil {
			t.Errorf("a period of %v: %v, %v", period, every, err)
		}
	}
	wantPanic(t, func() { _, _ = c.Every(1, nil) })
	wantPanic(t, func() { _, _ = c.AfterFunc(1, nil) })
	must(t, c.Close())
	_, err := c.Every(1, func(int) {})
	wantError(t, err, ErrClosed)
	_, err = c.AfterFunc(1, func() {})
	wantError(t, err, ErrClosed)
}

// A period beyond the end of time never is over.
func TestEveryWithAnEnormousPeriod(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	every, err := c.Every(never, func(int) { t.Error("it was over") })
	must(t, err)
	turn(t, c)
	every.Stop()
}

// What Close names is the user's function, not the one around it.
func TestEveryIsNamedAfterItsFunction(t *testing.T) {
	c := openLoop(t, Ppoll)
	every, err := c.Every(time.Hour, tick)
	must(t, err)
	var leak *LeakError
	if err := c.Close(); !errors.As(err, &leak) || len(leak.Timers) != 1 || leak.Timers[0] != nameOf("", tick) {
		t.Errorf("%v", err)
	}
	every.Stop()
}

func tick(int) {}

func TestErrClosedMatchesThatOfOS(t *testing.T) {
	for _, err := range []error{ErrClosed, backend.ErrClosed} {
		wantError(t, err, os.ErrClosed)
	}
	for _, other := range []error{backend.ErrClosed, os.ErrExist} {
		if errors.Is(ErrClosed, other) {
			t.Errorf("it matches %v too", other)
		}
	}
}

func TestOnHome(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		if c.OnHome() {
			t.Error("there is a home goroutine before the first Poll")
		}
		turn(t, c)
		if !c.OnHome() {
			t.Error("not at home")
		}
		elsewhere(func() {
			if c.OnHome() {
				t.Error("at home on another goroutine")
			}
		})
	})
}
