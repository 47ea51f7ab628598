//go:build linux

package aio

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/gate"
)

// A Context can be stepped by a foreign loop, GLib's or a game's, instead of
// waiting by itself. The foreign loop goes through the four phases in this order,
// on the home goroutine; it may leave out Dispatch if Check reports false:
//
//	timeout, err := loop.Prepare()           // and wait no longer than that
//	fds = loop.Query(fds[:0])                // ppoll(2) these, and other descriptors
//	ready, err := loop.Check(fds)            // with the revents filled in
//	progress, err := loop.Dispatch()
//
// From Prepare to Check a Notify writes to a descriptor that Query has returned.
// In this mode there is no polling in user space. Poll may be called in between,
// by the callbacks of others.

// Prepare begins a turn. It returns how long the foreign loop may wait: 0 if there
// is something to do, a negative duration if only an event or a notify will bring
// something. It fails with errors.ErrUnsupported if the Context was given a Poller
// that cannot be waited for from outside. It fails with EBUSY if it is called for the first
// time while operations are under way on io_uring: the ring that Poll waits for is then
// exchanged for one that a foreign loop can wait for.
func (c *Context) Prepare() (timeout time.Duration, err error) {
	if err := c.port.canBeForeign(); err != nil {
		return 0, err
	}
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	c.watch.expire()
	if c.table.stale() {
		c.refresh()
	}
	if c.spin.polls() { // since a Poll; no goroutine polls while the foreign loop waits
		c.stopPolling()
	}
	if err := c.prepareWait(); err != nil {
		return 0, c.error(err)
	}
	timeout = c.timeout()
	c.turn.lend()
	c.gate.Announce(gate.Asleep)                                   // L1
	if c.halves.gather(&c.watch) || c.busy() || c.gate.Pending() { // L2
		timeout = 0
	}
	return timeout, nil
}

// prepareWait makes the descriptors of Query stand for all that the loop waits for.
func (c *Context) prepareWait() error {
	if c.port.names() {
		return nil
	}
	direct := c.port.idle() && !c.operations.underWay()
	return errors.Join(c.turn.waitDirectly(direct, &c.port, c.waker.fd()), c.port.flush())
}

// Query appends the descriptors that the foreign loop waits for. They stay the
// Context's own and may be others in each turn.
func (c *Context) Query(fds []unix.PollFd) []unix.PollFd {
	if c.port.names() {
		return c.port.query(fds)
	}
	direct := c.turn.waitsDirectly()
	if direct {
		fds = append(fds, unix.PollFd{Fd: int32(c.waker.fd()), Events: unix.POLLIN})
	}
	if !direct || c.operations.underWay() { // one may have been submitted since Prepare
		fds = append(fds, unix.PollFd{Fd: int32(c.port.pollFD()), Events: unix.POLLIN})
	}
	return fds
}

// Check ends the wait of a turn. fds is what Query has returned, with the revents
// that ppoll(2) has filled in. It reports whether there is something to dispatch.
func (c *Context) Check(fds []unix.PollFd) (ready bool, err error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	c.turn.end()
	c.gate.Retract() // L4
	c.watch.expire()
	err = c.fetch(fds)
	c.gate.Accept() // L5
	return c.timeout() == 0, err
}

// fetch collects the events of a wait. It makes a system call only if the wait was
// ended by something that has to be cleared or collected.
func (c *Context) fetch(fds []unix.PollFd) error {
	if c.port.names() {
		return c.collect(c.port.collect(fds))
	}
	happened := len(fds) != 1 || fds[0].Revents != 0
	if c.turn.waitsDirectly() && happened {
		c.waker.clear()
		happened = false
	}
	if !happened && !c.port.shown() {
		return c.collect(nil, nil)
	}
	return c.ask()
}

// Dispatch runs what Check has found, like the last step of Poll, and reports
// whether there was progress.
func (c *Context) Dispatch() (progress bool, err error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	c.stats.count(statIterations)
	c.halves.gather(&c.watch) // L6
	return c.dispatch(), nil
}
