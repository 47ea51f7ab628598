//go:build linux

package aio

import (
	"time"

	"github.com/aioloop/aioloop/backend"
)

// Poll runs one iteration of the loop and sleeps until there is something to do.
// It reports whether anything made progress: a bottom
// half that is not idle, a handler, a completion or a timer. It may return without
// progress, after a Notify for example.
//
// The first call of Poll, TryPoll, Run or Prepare makes the caller's goroutine the home
// goroutine for the life of the Context. With io_uring it is then locked to its thread
// until Close. On any other goroutine they fail with ErrWrongGoroutine. A callback may call
// Poll: the inner iteration runs what the outer one has not reached yet, and the outer one
// does not run it again.
//
// A panic in a callback goes on to the caller of Poll. The Context stays as it was: what has
// not run yet runs in the next iteration.
func (c *Context) Poll() (progress bool, err error) { return c.poll(true) }

// TryPoll is Poll without sleeping.
func (c *Context) TryPoll() (progress bool, err error) { return c.poll(false) }

func (c *Context) poll(blocking bool) (progress bool, err error) {
	if c.home.mine() && c.home.begin() { // what enter does most often, without its calls
		c.port.resume()
	} else if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	return c.iterate(blocking)
}

// iterate is one iteration of a goroutine that has entered.
func (c *Context) iterate(blocking bool) (progress bool, err error) {
	if c.turn.outside() {
		return c.iterateInside(blocking)
	}
	c.stats.count(statIterations)
	c.watch.expire()
	if c.table.stale() {
		c.refresh()
	}
	timeout, asked := time.Duration(0), false
	if blocking && !c.halves.pressing() && !c.busy() && (c.spin.enabled() || !c.port.shown()) {
		if asked, err = c.glanceAsks(); !asked {
			c.slice.Renew() // before the timeout is known, for it takes a while
			timeout = c.timeout()
		}
	}
	switch {
	case asked:
	case timeout != 0 || c.spin.polls():
		err = c.await(timeout)
	case c.port.mustAsk() || c.operations.underWay() || c.port.shows() && c.port.looksBusy():
		err = c.ask()
	}
	c.gate.Accept()       // L5
	if c.halves.alone() { // L6
		c.halves.gatherOwn()
	} else {
		c.halves.gatherOthers(&c.watch)
	}
	return c.dispatch(), err
}

// iterateInside is an iteration between Prepare and Check.
func (c *Context) iterateInside(blocking bool) (progress bool, err error) {
	defer c.leaveTurn(c.enterTurn())
	return c.iterate(blocking)
}

func (c *Context) enter() error { return c.home.enter(&c.port) }

func (c *Context) leave() { c.home.leave(&c.port) }

// await collects events. It polls in user space and sleeps for at most timeout, which is 0 if there
// is something to do or the caller does not want to block.
func (c *Context) await(timeout time.Duration) error {
	switch {
	case timeout != 0 && c.spin.enabled() && !c.turn.foreign(): // a foreign loop would wait for silent devices
		return c.pollAndWait(timeout)
	case c.spin.polls():
		c.stopPolling()
	}
	return c.wait(timeout)
}

// pollAndWait looks for events in user space before it waits. The timeout is not 0.
func (c *Context) pollAndWait(timeout time.Duration) error {
	c.spin.learn(c.observer)
	spun, found := c.lookFor(timeout)
	if !found && c.spin.polls() {
		found = c.stopPolling()
		timeout = c.timeout()
	}
	switch {
	case found:
		c.spin.found(spun)
		return c.collectFound()
	case !c.spin.learns(&c.port):
		return c.wait(timeout)
	}
	before, start := c.stats.of(statSleeps), c.watch.read()-spun
	err := c.wait(timeout)
	c.spin.waited(wait{
		spun: spun, timeout: timeout, slept: c.stats.of(statSleeps) != before,
		blocked: c.watch.read() - start, arrived: c.waker.arrival() - start,
	})
	return err
}

// collectFound collects what was found if the Poller has it.
func (c *Context) collectFound() error {
	if c.port.shown() || c.port.shows() && c.spin.collectAnyway() {
		return c.wait(0)
	}
	return nil
}

// sleep waits where the mode says.
func (c *Context) sleep(timeout time.Duration) ([]backend.Ready, error) {
	if c.port.parks() {
		return c.park(timeout) // L3
	}
	return c.port.wait(timeout) // L3
}

// wait waits for events for at most timeout, or until a notify. A timeout of 0 does not
// sleep.
func (c *Context) wait(timeout time.Duration) error {
	if timeout == 0 {
		if c.port.mustAsk() || c.operations.underWay() || c.port.shows() && c.port.looksBusy() {
			return c.ask()
		}
		return nil
	}
	if err := c.turn.waitDirectly(false, &c.port, c.waker.fd()); err != nil {
		return c.error(err)
	}
	if c.glanceFinds() {
		return c.wait(0)
	}
	c.gate.Announce(c.port.sleepKind())                            // L1
	if c.halves.gather(&c.watch) || c.busy() || c.gate.Pending() { // L2
		c.retract()
		return c.wait(0)
	}
	c.stats.count(statSleeps)
	if c.observer != nil {
		c.observer.sleeps(timeout)
	}
	events, err := c.sleep(timeout)
	if len(events) > 0 || c.gate.Kicked() {
		c.stats.count(statWakeups)
	}
	c.retract() // L4
	c.watch.expire()
	if c.observer != nil {
		c.observer.woken(len(events))
	}
	return c.collect(events, err)
}

// timeout returns how long the loop may sleep: 0 if there is something to do, the time to
// the nearest timer, or forever (-1).
func (c *Context) timeout() time.Duration {
	if c.halves.gather(&c.watch); c.busy() {
		return 0
	}
	if timeout := min(c.halves.timeout(&c.watch), c.timers.timeout()); timeout != never {
		return timeout
	}
	return backend.Forever
}

// dispatch runs what has been collected.
func (c *Context) dispatch() (progress bool) {
	if c.operations.busy() {
		progress = c.operations.run(&c.stats, c.observer)
	}
	if c.halves.batched() {
		progress = c.halves.run(&c.stats) || progress
	}
	if !c.ready.empty() {
		progress = c.runHandlers() || progress
	}
	if c.timers.pending() != 0 {
		progress = c.timers.run() || progress
	}
	if c.halves.idling() {
		c.halves.runIdle(progress, &c.watch, &c.stats)
	}
	if c.batch.pending() {
		c.batch.run()
	}
	return progress
}

// runHandlers dispatches the handlers that have events. Like the bottom halves, those that
// the outer iteration has not reached run in a nested one.
func (c *Context) runHandlers() (progress bool) {
	for h := c.ready.pop(); h != nil; h = c.ready.pop() {
		if c.observer == nil {
			progress = h.dispatch() || progress
		} else {
			progress = h.dispatchObserved(c.observer) || progress
		}
	}
	return progress
}
