//go:build linux

package aio

import (
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// A goroutine that another one makes runnable runs on the same P, as soon as that
// stops: within 200 ns if it does, after 100 µs, when an idle P steals it, if it goes
// on. An eventfd written instead is noticed by an idle P within 30 µs in either
// case. So it matters whether a notifier is about to stop, and two are: the callback
// of another parked loop, which returns to that loop, and the caller of Do, who
// waits for the answer.

// yielders are the goroutines that are about to stop, in slots chosen by a hash of
// their numbers. Who loses a slot to another is taken for one that goes on.
var yielders [64]struct {
	goroutine atomic.Uintptr
	_         [56]byte // a cache line each
}

func yielder(g uintptr) *atomic.Uintptr {
	return &yielders[(g>>6^g>>12)%uintptr(len(yielders))].goroutine
}

// aboutToYield reports whether the caller's goroutine is. If there is one P,
// nothing else can run anyway before it is.
func aboutToYield() bool {
	g := uintptr(goroutine.Current())
	return yielder(g).Load() == g || runtime.GOMAXPROCS(0) == 1
}

// resume and yield say that the home goroutine of a parked loop runs, or not.
func (c *Context) resume() {
	if c.parker != nil && !c.running {
		g := c.home.Load()
		yielder(g).Store(g)
		c.running = true
	}
}

func (c *Context) yield() {
	if c.running {
		yielder(c.home.Load()).Store(0)
		c.running = false
	}
}

// yielding calls f for a goroutine that waits for the loop right afterwards.
func (c *Context) yielding(f func() error) error {
	if c.parker == nil {
		return f()
	}
	g := uintptr(goroutine.Current())
	slot := yielder(g)
	if slot.Load() == g { // it is inside another loop, and remains so
		return f()
	}
	slot.Store(g)
	defer slot.Store(0)
	return f()
}
