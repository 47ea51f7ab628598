//go:build linux

package aio

import "github.com/aioloop/aioloop/backend"

// foreignTurn is the Context's part in a foreign loop. It belongs to the home goroutine.
//
//	       Prepare                Poll, Run
//	own ────────────▶ lent ────────────────▶ inside ◀─┐
//	 ▲                 │ ▲                    │    │   │ Poll, Run
//	 │      Check      │ └─ nothing was left ─┘    │   │
//	 ├─────────────────┘                           │   │
//	 │      Check              something was left  ▼   │
//	 └──────────────────────────────────────── reminded┘
//
// From Prepare to Check the foreign loop is about to wait for what Prepare knew. A Poll in
// between may take an event that the foreign loop waits for, or leave work behind. It then
// reminds the foreign loop with a notify, which ends that wait. The next Poll withdraws the
// reminder, which would keep it from sleeping.
type foreignTurn struct {
	state turnState
	// direct means that the foreign loop waits for the notifier itself, which the Poller
	// then does not watch.
	direct bool
}

type turnState uint8

const (
	turnOwn      turnState = iota // the loop waits by itself
	turnLent                      // the foreign loop waits for it
	turnInside                    // a Poll or Run goes on, before the foreign loop waits
	turnReminded                  // turnLent, and a notify ends the wait
)

// foreign reports whether a foreign loop is between Prepare and Check.
func (t *foreignTurn) foreign() bool { return t.state != turnOwn }

// outside reports whether a Poll would be the outermost between Prepare and Check.
func (t *foreignTurn) outside() bool { return t.state == turnLent || t.state == turnReminded }

func (t *foreignTurn) lend() { t.state = turnLent }

func (t *foreignTurn) end() { t.state = turnOwn }

// inside is what a Poll between Prepare and Check has found.
type inside struct {
	accepted, gathered uint64
	reminded           bool
}

// enterTurn begins a Poll between Prepare and Check. It withdraws the reminder of an earlier
// one, unless another notify has come since then.
func (c *Context) enterTurn() inside {
	reminded := c.turn.state == turnReminded
	c.turn.state = turnInside
	if reminded && c.gate.Withdraw() {
		_ = c.ask() // for what the reminder has written; an error comes again
	}
	return inside{c.gate.Accepted(), c.halves.count(), reminded}
}

// leaveTurn ends a Poll between Prepare and Check, even one that panics. It reminds the
// foreign loop if the Poll has left something, or has taken a notify: that may have been
// about a timer or a descriptor that Prepare did not know.
func (c *Context) leaveTurn(before inside) {
	c.turn.state = turnLent
	newlyIdle := c.halves.count() != before.gathered && c.halves.idling()
	if before.reminded || c.gate.Accepted() != before.accepted || c.busy() || newlyIdle {
		if c.gate.Remind() { // else another notify ends the wait
			c.turn.state = turnReminded
		}
		c.kick()
	}
}

// waitsDirectly reports whether the foreign loop waits for the notifier itself.
func (t *foreignTurn) waitsDirectly() bool { return t.direct }

// waitDirectly chooses what a wake-up comes through. The notifier itself is the shorter way,
// if there is nothing else to wait for. The other is the backend's descriptor, which stands
// for all that the backend watches: it leads through two wait queues, and io_uring has work
// to do on it.
func (t *foreignTurn) waitDirectly(direct bool, p *port, notifier int) error {
	if t.direct == direct {
		return nil
	}
	events := notifierEvents
	if direct {
		events = 0
	}
	if err := p.Modify(notifier, events, notifierTag); err != nil {
		return err
	}
	t.direct = direct
	return nil
}

// notifierTag is the tag of the Context's own notifier, notifierEvents what it is watched
// for.
var notifierTag = backend.MakeTag(0, 0)

const notifierEvents = backend.In | backend.Edge
