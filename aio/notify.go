//go:build linux

package aio

import (
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio/internal/park"
	"github.com/aioloop/aioloop/internal/gate"
	"github.com/aioloop/aioloop/internal/sys"
)

// waker ends the sleep of the loop in a system call. Package gate decides which notifier
// calls it.
type waker struct {
	notifier *EventNotifier
	arrived  atomic.Int64  // Realtime of the latest wake-up, or unstamped
	written  atomic.Uint64 // counts wake-ups
}

// unstamped is the arrival of wake-ups that adaptive polling does not ask for.
const unstamped = -1

func (w *waker) init(n *EventNotifier, stamps bool) {
	w.notifier = n
	w.stamp(stamps)
}

// stamp says whether adaptive polling asks for the time of wake-ups.
func (w *waker) stamp(on bool) {
	switch {
	case !on:
		w.arrived.Store(unstamped)
	case !w.stamps():
		w.arrived.Store(0)
	}
}

// stamps reports what stamp was last called with. Any goroutine may call it.
func (w *waker) stamps() bool { return w.arrived.Load() != unstamped }

func (w *waker) close() error { return w.notifier.Close() }

// count records a wake-up.
func (w *waker) count() {
	if last := w.arrived.Load(); last != unstamped {
		w.arrived.CompareAndSwap(last, int64(sys.Monotonic())) // it may be unstamped by now
	}
	w.written.Add(1)
}

// set ends the sleep. The notifier refuses once it is closed, so the write never goes to a
// descriptor that has the number next.
func (w *waker) set() { _ = w.notifier.Set() }

// wake ends the sleep of the loop, unless another notifier does.
func (c *Context) wake() {
	from := c.gate.Kick()
	if from == gate.Awake {
		return
	}
	c.waker.count()
	if from == gate.Parked && park.IsStopping() {
		c.port.unpark() // N4
		return
	}
	c.waker.set() // N4
}

// Notify makes the loop go round once, if it sleeps or is about to.
// That iteration sees what the caller did before. Any goroutine may call Notify at any time,
// even during and after Close. It does not block. It makes one system call if the loop is
// asleep, none otherwise.
func (c *Context) Notify() {
	c.gate.Count()
	if !c.gate.Kicked() {
		c.wake()
	}
}

// kick is Notify for what the loop sees before it sleeps.
func (c *Context) kick() {
	if !c.gate.Kicked() {
		c.wake()
	}
}

// enqueue hands b, which is not idle, to the home goroutine. That one itself takes the
// shorter way, unless a foreign loop is about to sleep.
func (c *Context) enqueue(b *BottomHalf) {
	if !c.home.mine() || c.turn.foreign() || !c.home.borrow() {
		c.queue(b)
		return
	}
	added := c.halves.add(b)
	c.home.giveBack()
	if !added {
		c.queue(b)
	}
}

// queue hands b to the home goroutine. The queue is itself the sign of a notify: the loop
// looks into it before it sleeps.
func (c *Context) queue(b *BottomHalf) {
	c.halves.push(b) // N1 and N2 in one
	c.kick()
}

// fd returns the descriptor of the notifier.
func (w *waker) fd() int { return w.notifier.FD() }

// clear takes the event of the notifier.
func (w *waker) clear() { _, _ = w.notifier.TestAndClear() }

// arrival returns the Realtime of the latest wake-up.
func (w *waker) arrival() time.Duration { return time.Duration(w.arrived.Load()) }

// wakeups returns how many sleeps notifiers have ended.
func (w *waker) wakeups() uint64 { return w.written.Load() }

// mayBeAsleep reports whether the loop may be asleep while the caller changes something, or
// about to sleep with a timeout from before. So may a foreign loop on its behalf.
func (c *Context) mayBeAsleep() bool { return !c.home.mine() || c.turn.foreign() }

// handlersChanged makes the loop take notice of a change, even if it is asleep.
func (c *Context) handlersChanged() {
	c.table.change() // N1
	if c.mayBeAsleep() {
		c.Notify()
	}
}

// retract says that the loop is awake, unless a foreign loop is about to sleep for it.
func (c *Context) retract() {
	if c.turn.foreign() {
		c.gate.Announce(gate.Asleep)
	} else {
		c.gate.Retract() // L4
	}
}
