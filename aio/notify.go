//go:build linux

package aio

import (
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// The notify protocol.
//
//	notifier                          loop
//	N1  make the work visible         L1  notifyMe = true
//	N2  notified++                    L2  if notified != accepted, or if there
//	                                      are bottom halves: do not sleep
//	N3  if notifyMe, and it was me    L3  Wait
//	    who cleared it:               L4  notifyMe = false
//	N4      write to the eventfd      L5  accepted = notified
//	                                  L6  look for work
//
// For a bottom half, N1 and N2 are one step: the loop sees it in the queue.
//
// docs/model goes through all that can happen. It has more steps: S is what happens
// to a bottom half, Q to its queue, W is a write to the notifier and C its Close.
//
// No wake-up is lost: N2 comes before N3 and L1 before L2, and Go's atomics are
// sequentially consistent, so either the notifier sees that the loop is about to
// sleep or the loop sees that there was a notify. What is counted by the time of
// L5 was made visible before it, so L6 finds it.
//
// One sleep costs one write however many notifiers race, because only one of them
// clears notifyMe; and none if the loop is awake, because only the loop sets it,
// just before it sleeps. A notifier that is slow between N3 and N4 wakes up a
// later sleep for nothing, which does no harm.

// Notify makes the loop go round once, if it sleeps or is about to (QEMU's
// aio_notify). Whatever the caller did before is visible to that iteration. It may
// be called from any goroutine, at any time, also during and after Close; it does
// not block, and makes one system call if the loop is asleep, none otherwise.
func (c *Context) Notify() {
	c.notified.Add(1) // N2
	c.kick()          // N3
}

// kick wakes the loop up if it sleeps, or is about to, and nobody else does.
func (c *Context) kick() {
	if c.notifyMe.Load() != isAwake {
		c.wake(c.notifyMe.Swap(isAwake))
	}
}

// wake ends a sleep of the kind that notifyMe held. The notifier refuses once it is
// closed, so that the write never goes to a descriptor that belongs to somebody else.
func (c *Context) wake(from uint32) {
	if from == isAwake { // somebody else was faster
		return
	}
	if c.adaptive.Enabled() {
		c.arrived.Store(int64(sys.Monotonic()))
	}
	c.written.Add(1)
	if from == isParked && aboutToYield() {
		c.parker.wake() // N4
		return
	}
	_ = c.notifier.Set() // N4
}

// sleep waits for events for at most timeout, or until a notify.
func (c *Context) sleep(timeout time.Duration) (n int, err error) {
	if err := c.waitDirectly(false); err != nil {
		return 0, err
	}
	c.notifyMe.Store(c.bed())                        // L1
	if c.gather() || c.busy() || c.notifyPending() { // L2
		timeout = 0
	}
	if timeout != 0 {
		c.stats.Sleeps++
		c.emit(TraceSleep, "", int64(timeout))
	}
	n, err = c.block(timeout) // L3
	woken := n > 0 || c.notifyMe.Load() == isAwake
	c.retract() // L4
	c.nowValid = false
	if timeout != 0 && woken {
		c.stats.Wakeups++
	}
	c.emit(TraceWake, "", int64(n))
	return n, err
}

// bed is where the loop sleeps.
func (c *Context) bed() uint32 {
	if c.parker != nil {
		return isParked
	}
	return isAsleep
}

// retract says that the loop is awake, unless a foreign one is about to sleep for it.
func (c *Context) retract() {
	if c.prepared {
		c.notifyMe.Store(isAsleep)
	} else {
		c.notifyMe.Store(isAwake)
	}
}

// block waits where the mode says, unless the timeout is 0.
func (c *Context) block(timeout time.Duration) (n int, err error) {
	switch {
	case timeout == 0:
		return c.ask()
	case c.parker != nil:
		return c.park(timeout)
	}
	return c.poller.Wait(c.events, timeout)
}

// ask is a Wait that does not sleep.
func (c *Context) ask() (n int, err error) {
	if c.parker != nil {
		return c.parker.ask(c.events)
	}
	return c.poller.Wait(c.events, 0)
}

// notifyPending reports whether there was a notify that was not accepted yet.
func (c *Context) notifyPending() bool { return c.notified.Load() != c.accepted }

// accept takes notice of all notifies so far. The loop looks for work after it.
func (c *Context) accept() { c.accepted = c.notified.Load() } // L5

// collect hands the events of a Wait to their handlers.
func (c *Context) collect(events []backend.Ready) {
	for _, e := range events {
		if c.collectOwn(e.Tag) {
			continue
		}
		h := c.handlers.find(e.Tag)
		if h == nil || !h.tellsOnce() {
			c.unseen = true // it may hold on
		}
		if h != nil {
			h.pending |= e.Events
			c.ready.append(h)
		}
	}
}

// collectOwn handles the event of the Context's own notifier. It is read where its being
// set, rather than its having been set anew, is what ends a Wait.
func (c *Context) collectOwn(tag backend.Tag) bool {
	if tag != notifierTag {
		return false
	}
	if !c.edge {
		_, _ = c.notifier.TestAndClear()
	}
	return true
}
