//go:build linux

package aio

import "github.com/aioloop/aioloop/backend"

// ask asks the Poller without sleeping.
func (c *Context) ask() error {
	events, err := c.port.ask()
	if c.turn.foreign() { // it may have taken the event that the foreign loop waits for
		c.retract()
	}
	return c.collect(events, err)
}

// collect ends a Wait: it hands the events to their handlers and takes what has completed.
func (c *Context) collect(events []backend.Ready, err error) error {
	for i := range events {
		if !c.deliver(&events[i]) {
			err = c.port.unknownTag(events[i].Tag, err)
		}
	}
	if c.operations.underWay() {
		err = c.operations.reap(&c.port, err)
	}
	if c.turn.foreign() && err == nil {
		err = c.port.flush() // the foreign loop is about to wait for what was just taken
	}
	if err != nil {
		return c.port.error(err)
	}
	return nil
}

// deliver hands an event to its handler, which runs later. It reports whether a handler has,
// or had, the tag.
func (c *Context) deliver(e *backend.Ready) (known bool) {
	if e.Tag == notifierTag {
		if !c.port.tellsOnce() { // a level-triggered Poller would report it forever
			c.waker.clear()
		}
		return true
	}
	h := c.table.find(e.Tag)
	if h == nil || !h.tellsOnce() {
		c.port.mustAskAgain()
	}
	if h == nil {
		return c.table.gave(e.Tag)
	}
	h.pending |= e.Events
	c.ready.append(h)
	return true
}

// busy reports whether there is something to run.
func (c *Context) busy() bool {
	return c.halves.busy(&c.watch) || !c.ready.empty() || c.operations.busy()
}
