package aio

import (
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/testkit"
	"github.com/aioloop/aioloop/internal/timeslice"
)

// Package timeslice says what keeps Go's monitor thread awake.
func TestLoopDoesNotKeepTheMonitorThreadAwake(t *testing.T) {
	for _, b := range realBackends {
		t.Run(b.String(), func(t *testing.T) {
			if err := missing(b); err != nil {
				t.Skip("skipped:", err)
			}
			testkit.SleepsLess(t, func(renews bool) {
				c := newLoopOn(t, b, WithMode(ModeThread))
				if !renews {
					c.slice.Off()
				}
				aTimerEveryMillisecond(t, c, 200)
				closeLoop(t, c)
			})
		})
	}
}

// A thread that runs before others does not wait for one of them, and a parked loop is scheduled anyway.
func TestLoopsThatDoNotRenewTheirTimeSlice(t *testing.T) {
	var off timeslice.Slice
	off.Off()
	for name, tc := range map[string]struct {
		opt  Option
		want timeslice.Slice
	}{
		"thread":   {WithMode(ModeThread), timeslice.Slice{}},
		"cpus":     {WithThread(Thread{CPUs: []int{0}}), timeslice.Slice{}},
		"nice":     {WithThread(Thread{Nice: 1}), timeslice.Slice{}},
		"ahead":    {WithThread(Thread{Nice: -1}), off},
		"realtime": {WithThread(Thread{Realtime: 1}), off},
		"park":     {WithMode(ModePark), off},
	} {
		if c := newLoopOn(t, Epoll, tc.opt); c.slice != tc.want {
			t.Errorf("%s: %+v", name, c.slice)
		}
	}
}

func aTimerEveryMillisecond(t *testing.T, c *Context, events int) {
	var timer *Timer
	timer = c.NewTimer(Realtime, func() {
		if events--; events > 0 {
			must(t, timer.Reset(time.Millisecond))
		}
	})
	must(t, timer.Reset(time.Millisecond))
	pollUntil(t, c, func() bool { return events == 0 })
}
