//go:build linux

package aio

import "github.com/aioloop/aioloop/backend"

// ask asks the Poller without sleeping.
func (c *Context) ask() error {
	events, err := c.port.ask()
	if len(events) == 0 && err == nil && !c.operations.underWay() && !c.turn.foreign() {
		return nil
	}
	if c.turn.foreign() { // it may have taken the event that the foreign loop waits for
		c.retract()
	}
	return c.collect(events, err)
}

// collect ends a Wait: it hands the events to their handlers and takes what has completed.
func (c *Context) collect(events []backend.Ready, err error) error {
	for i := range events {
		e := &events[i]
		h := c.table.find(e.Tag)
		if h == nil {
			err = c.discard(e.Tag, err)
			continue
		}
		if !h.tellsOnce() {
			c.port.mustAskAgain()
		}
		h.pending |= eventSet(e.Events)
		c.ready.append(h) // it runs later
	}
	if c.operations.underWay() {
		err = c.operations.reap(&c.port, err)
	}
	if c.turn.foreign() && err == nil {
		err = c.port.flush() // the foreign loop is about to wait for what was just taken
	}
	if err != nil {
		return c.error(err)
	}
	return nil
}

// discard takes notice of an event that is no open handler's: the notifier's, or that of one
// that is closed. It adds to err that no handler has had the tag.
func (c *Context) discard(tag backend.Tag, err error) error {
	if tag == notifierTag {
		if !c.port.tellsOnce() { // a level-triggered Poller would report it forever
			c.waker.clear()
		}
		return err
	}
	c.port.mustAskAgain()
	if c.table.gave(tag) {
		return err
	}
	return c.port.unknownTag(tag, err)
}

// busy reports whether there is something to run.
func (c *Context) busy() bool {
	return c.halves.batched() && c.halves.busy(&c.watch) || !c.ready.empty() || c.operations.busy() || c.batch.pending()
}
