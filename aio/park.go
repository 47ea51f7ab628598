//go:build linux

package aio

import (
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// park is the Wait of park mode. Only that the Poller's descriptor *becomes* readable wakes
// the loop, so it asks for what is there before it sleeps.
func (c *Context) park(timeout time.Duration) (events []backend.Ready, err error) {
	for deadline := sys.Deadline(timeout); ; {
		readable, err := c.port.sleepUnlessReadable(deadline)
		if err != nil {
			return nil, err
		}
		if readable {
			events, err = c.port.ask()
			if c.operations.underWay() {
				err = c.operations.reap(&c.port, err)
			}
		}
		if len(events) > 0 || err != nil || c.operations.busy() || c.gate.Kicked() || sys.Until(deadline) == 0 {
			return events, err
		} // else it was the token of an earlier event
	}
}
