//go:build linux

package aio

import (
	"math"
	"time"

	"github.com/aioloop/aioloop/aio/internal/timerq"
)

// Timer calls a function on the home goroutine at a point in time. It is QEMU's
// QEMUTimer. Its methods may be called from any goroutine; their cost grows with
// the logarithm of the number of pending timers, and they allocate nothing once
// there have been as many timers before.
//
// A timer that is not pending holds nothing but memory.
type Timer struct {
	item timerq.Item[timerBody] // all but its Value is guarded by list.mu
}

func (t *Timer) list() *timerList { return t.item.Value.list }

// NewTimer returns a timer on one of the Context's clocks that calls fn when it
// expires. It panics if fn is nil or if there is no such clock.
func (c *Context) NewTimer(id ClockID, fn func()) *Timer {
	c.checkClock("NewTimer", id)
	if fn == nil {
		panic("aio: NewTimer: the function is nil")
	}
	return &Timer{timerq.NewItem(timerBody{list: c.timers.on(id), fn: fn})}
}

// Named gives t a name for leak reports and traces, and returns t. It is called
// before t is armed for the first time.
func (t *Timer) Named(name string) *Timer {
	t.item.Value.name = name
	return t
}

// Mod arms t to expire at deadline, a point on its clock, whether or not it was
// pending. With a deadline in the past it runs when the loop next comes to the
// timers; armed so by the function of a timer of its clock, itself for example, in
// the next iteration. Timers with the same deadline run in the order in which they
// were armed. It fails with ErrClosed.
func (t *Timer) Mod(deadline time.Duration) error {
	return t.list().mod(t, deadline, false)
}

// ModAfter is Mod with a deadline of d from now. One beyond the end of time never
// comes, one before its beginning is over.
func (t *Timer) ModAfter(d time.Duration) error {
	now := t.list().now() // below 0 if a program has set its clock so
	deadline := now + d
	switch {
	case d > 0 && deadline < now:
		deadline = never
	case d < 0 && deadline > now:
		deadline = math.MinInt64
	}
	return t.Mod(deadline)
}

// ModAnticipate arms t like Mod, unless it is pending with an earlier deadline.
func (t *Timer) ModAnticipate(deadline time.Duration) error {
	return t.list().mod(t, deadline, true)
}

// Del disarms t. On the home goroutine t is then certain not to run, elsewhere it
// may be running at this moment.
func (t *Timer) Del() { t.list().del(t) }

// Pending reports whether t is armed.
func (t *Timer) Pending() bool {
	_, pending := t.list().deadline(t)
	return pending
}

// Expired reports whether t is armed with a deadline that is over.
func (t *Timer) Expired() bool {
	now := t.list().now()
	deadline, pending := t.list().deadline(t)
	return pending && deadline <= now
}

// Deadline returns the point on its clock for which t is armed, and whether it is.
func (t *Timer) Deadline() (time.Duration, bool) { return t.list().deadline(t) }
