//go:build linux

package aio

import (
	"fmt"
	"time"
)

// AfterFunc calls f on the home goroutine once d is over, on the Realtime clock. Stop of the
// Timer that it returns prevents that. Any goroutine may call it. It fails with ErrClosed, and
// panics if f is nil.
func (c *Context) AfterFunc(d time.Duration, f func()) (*Timer, error) {
	if f == nil {
		panic("aio: AfterFunc: the function is nil")
	}
	t := c.NewTimer(Realtime, f)
	return t, t.Reset(d)
}

// Every calls f on the home goroutine once each period, on the Realtime clock, first when one
// is over. Calls do not drift: they are due at multiples of the period from now. A loop that was
// busy at such a point calls f later, once for all that it has missed; missed is how many calls
// were left out since the one before.
//
// Stop of the Timer that it returns ends that, also from within f. Any goroutine may call
// Every. It fails with ErrClosed, and if the period is not longer than 0. It panics if f is nil.
func (c *Context) Every(period time.Duration, f func(missed int)) (*Timer, error) {
	switch {
	case f == nil:
		panic("aio: Every: the function is nil")
	case period <= 0:
		return nil, fmt.Errorf("aio: Every: the period is %v: use one that is longer than 0", period)
	}
	period = min(period, never/4) // the sums below stay within an int64
	var t *Timer
	due := c.Now(Realtime) + period
	t = c.NewTimer(Realtime, func() {
		missed := max((c.Now(Realtime)-due)/period, 0)
		due += (missed + 1) * period
		_ = t.Set(due) // before f, which may end it
		f(int(missed))
	})
	t.Named(nameOf("", f))
	return t, t.Set(due)
}
