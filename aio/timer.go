//go:build linux

package aio

import (
	"math"
	"time"

	"github.com/aioloop/aioloop/aio/internal/timerq"
)

// Timer calls a function on the home goroutine at a point in time. Its methods may be called from any goroutine; their cost grows with
// the logarithm of the number of pending timers, and they allocate nothing once
// there have been as many timers before.
//
// A timer that is not pending holds nothing but memory, and is left to the garbage collector.
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
	return &Timer{timerq.NewItem(timerBody{list: c.timers.on(c, id), fn: fn})}
}

// Named gives t a name for leak reports and traces, and returns t. It is called
// before t is armed for the first time.
func (t *Timer) Named(name string) *Timer {
	t.item.Value.name = name
	return t
}

// Set arms t to expire at deadline, a point on its clock, whether or not it was
// pending. With a deadline in the past it runs when the loop next comes to the
// timers; armed so by the function of a timer of its clock, itself for example, in
// the next iteration. Timers with the same deadline run in the order in which they
// were armed. It fails with ErrClosed.
func (t *Timer) Set(deadline time.Duration) error {
	return t.list().set(t, deadline, false)
}

// Reset is Set with a deadline of d from now. One beyond the end of time never
// comes, one before its beginning is over.
func (t *Timer) Reset(d time.Duration) error {
	now := t.list().now() // below 0 if a program has set its clock so
	deadline := now + d
	switch {
	case d > 0 && deadline < now:
		deadline = never
	case d < 0 && deadline > now:
		deadline = math.MinInt64
	}
	return t.Set(deadline)
}

// SetEarlier arms t like Set, unless it is pending with an earlier deadline.
func (t *Timer) SetEarlier(deadline time.Duration) error {
	return t.list().set(t, deadline, true)
}

// Stop disarms t, and reports whether it was pending. On the home goroutine t is then
// certain not to run, elsewhere it may be running at this moment. Set and Reset arm it again.
func (t *Timer) Stop() bool { return t.list().stop(t) }

// Close is Stop for good: Set, Reset and SetEarlier fail with ErrClosed from then on, and so
// does a second Close. A timer that is not needed any more needs no Close.
func (t *Timer) Close() error { return t.list().close(t) }

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
