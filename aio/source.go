//go:build linux

package aio

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A Context can be stepped by a foreign loop, GLib's or a game's, instead of
// waiting by itself. The foreign loop goes through the four phases in this order,
// on the home goroutine; it may leave out Dispatch if Check reports false:
//
//	timeout, err := loop.Prepare()           // and wait no longer than that
//	fds = loop.Query(fds[:0])                // ppoll(2) these, and others besides
//	ready, err := loop.Check(fds)            // with the revents filled in
//	progress, err := loop.Dispatch()
//
// From Prepare to Check a Notify writes to a descriptor that Query has returned.
// In this mode there is no polling in user space. Poll may be called in between,
// by the callbacks of others.

// Prepare begins a turn. It returns how long the foreign loop may wait: 0 if there
// is something to do, a negative duration if only an event or a notify will bring
// something. It fails with errors.ErrUnsupported if the Context was given a Poller
// that cannot be waited for from outside; and with EBUSY if operations are under way
// on io_uring when it is called for the first time, because the ring that Poll waits for
// is exchanged for one that a foreign loop can wait for.
func (c *Context) Prepare() (timeout time.Duration, err error) {
	if c.queryable == nil && c.pollable == nil {
		return 0, fmt.Errorf("aio: a foreign loop cannot wait for the %s backend: %w", c.poller.Name(), errors.ErrUnsupported)
	}
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	c.nowValid = false
	c.refresh()
	if c.adaptive.started { // by a Poll; nobody polls while the foreign loop waits
		c.stopPolling()
	}
	if c.queryable == nil {
		err := c.waitDirectly(c.watched == 0 && c.opsInFlight == 0)
		if err = errors.Join(err, c.pollable.Flush()); err != nil {
			return 0, c.pollerError(err)
		}
	}
	timeout = c.timeout()
	c.prepared, c.between, c.reminded = true, false, false
	c.notifyMe.Store(isAsleep)                       // L1
	if c.gather() || c.busy() || c.notifyPending() { // L2
		timeout = 0
	}
	return timeout, nil
}

// iterateBetween is a Poll between Prepare and Check, with all that are nested in it.
func (c *Context) iterateBetween(blocking bool) (progress bool, err error) {
	c.comeBetween()
	defer c.remind(c.accepted, c.taken, c.reminded)
	return c.iterate(blocking)
}

// comeBetween takes back what an earlier Poll has reminded the foreign loop with, or no
// Poll would sleep any more. Another notify since then stays.
func (c *Context) comeBetween() {
	c.between = true
	if c.reminded && c.notified.Load() == c.accepted+1 {
		c.accepted++
		c.unseen = true // so that the Poller is asked
		_ = c.wait(0)   // an error comes again
	}
}

// remind comes after that, also if it has panicked. The foreign loop is about to wait for
// what Prepare knew. What the Poll has left, and a notify that it has taken, which may have
// been about a timer or a descriptor, has to end that wait; again, if it has taken that back.
func (c *Context) remind(accepted, taken uint64, again bool) {
	c.between = false
	newlyIdle := c.taken != taken && (c.idle.first != nil || c.idleBatch.first != nil)
	if again || c.accepted != accepted || c.busy() || newlyIdle {
		c.reminded = c.notified.CompareAndSwap(c.accepted, c.accepted+1) // else there is another one already
		c.kick()
	}
}

// Query appends the descriptors that the foreign loop waits for. They stay the
// Context's own and may be others in each turn.
func (c *Context) Query(fds []unix.PollFd) []unix.PollFd {
	if c.queryable != nil {
		return c.queryable.Query(fds)
	}
	if c.direct {
		fds = append(fds, unix.PollFd{Fd: int32(c.notifier.FD()), Events: unix.POLLIN})
	}
	if !c.direct || c.opsInFlight > 0 { // one may have been submitted since Prepare
		fds = append(fds, unix.PollFd{Fd: int32(c.pollable.PollFD()), Events: unix.POLLIN})
	}
	return fds
}

// waitDirectly chooses what a wake-up comes through: the notifier itself, if there
// is nothing else to wait for, or the descriptor of the backend, which stands for
// all that it watches. That is the longer way, through two wait queues, and
// io_uring has work to do on it; so the backend watches the notifier only then.
func (c *Context) waitDirectly(direct bool) error {
	if c.direct == direct {
		return nil
	}
	events := notifierEvents
	if direct {
		events = 0
	}
	if err := c.poller.Modify(c.notifier.FD(), events, notifierTag); err != nil {
		return err
	}
	c.direct = direct
	return nil
}

// Check ends the wait of a turn. fds is what Query has returned, with the revents
// that ppoll(2) has filled in. It reports whether there is something to dispatch.
func (c *Context) Check(fds []unix.PollFd) (ready bool, err error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	c.prepared = false
	c.notifyMe.Store(isAwake) // L4
	c.nowValid = false
	n, err := c.fetch(fds)
	if n > 0 {
		c.collect(c.events[:n])
		c.makeRoom(n)
	}
	c.reap()
	c.accept() // L5
	return c.timeout() == 0, c.pollerError(err)
}

// fetch collects the events of a wait. It makes a system call only if the wait was
// ended by something that has to be cleared or collected.
func (c *Context) fetch(fds []unix.PollFd) (n int, err error) {
	if c.queryable != nil {
		c.unseen = false
		return c.queryable.Collect(c.events, fds), nil
	}
	happened := len(fds) != 1 || fds[0].Revents != 0
	if c.direct && happened {
		_, _ = c.notifier.TestAndClear()
		happened = false
	}
	if !happened && (c.peeker == nil || !c.peeker.Peek()) {
		return 0, nil
	}
	c.unseen = false
	return c.ask()
}

// Dispatch runs what Check has found, like the last step of Poll, and reports
// whether there was progress.
func (c *Context) Dispatch() (progress bool, err error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	c.stats.Iterations++
	c.gather() // L6
	return c.dispatch(), nil
}
