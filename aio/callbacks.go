//go:build linux

package aio

import (
	"fmt"
	"syscall"

	"github.com/aioloop/aioloop/backend"
)

// Events are what has happened on a descriptor, see Handler.Events.
type Events = backend.Events

// Callbacks are what a handler does with the events of its descriptor. They are
// called on the home goroutine, one at a time, with their handler. At least Read, Write or
// Priority is set; an event for which there is no callback calls nothing.
type Callbacks struct {
	// Read is called when the descriptor is readable, when the other end has hung
	// up, and on an error; Handler.Events tells which.
	Read func(h *Handler)
	// Write is called when the descriptor is writable, and on an error.
	Write func(h *Handler)
	// Priority is called on an exceptional condition (POLLPRI in poll(2)), and on an error:
	// urgent data on a TCP socket, a change of an attribute in sysfs, of /proc/self/mountinfo
	// or of a PSI trigger. It comes before Read and Write.
	//
	// Some files give the event to the first that polls them: the mount table does, and a PSI
	// trigger. Open them with unix.Open, because Go's poller watches what os.Open returns. In park
	// mode with epoll it watches what the loop does, so Watch refuses Priority there: choose
	// ModeThread, or io_uring.
	Priority func(h *Handler)

	// Unwatched is called when the loop has stopped watching the descriptor: the kernel
	// reports a hang-up or an error that there is no callback for, and would do so in each
	// iteration. Handler.Want or Change watches it again, Close ends it.
	Unwatched func(h *Handler)

	// Poll looks for an event in user space, without a system call, and reports
	// whether there is one; see Polling. It must be cheap. While a callback of the
	// handler runs, a Poll of the Context inside it does not call it.
	Poll func() bool
	// PollReady handles an event that Poll has found. Without it, Read does.
	PollReady func()
	// PollBegin is called when the loop begins to call Poll, PollEnd when it stops
	// doing so, always in pairs: a device that need not send notifications in
	// between can switch them off. After PollEnd, Poll is called once more, for
	// what arrived before the notifications were on again. If the handler is open when the
	// Context is closed, PollEnd is called by that Close, on its goroutine.
	PollBegin, PollEnd func()

	// Edge asks for one call per change instead of calls for as long as the
	// condition holds; Read goes on until EAGAIN, and so does Write. There may be
	// more calls than that: on ppoll, on io_uring before Linux 5.13, and on io_uring
	// when more events come at the same time than its queue holds.
	Edge bool

	// Name appears in leak reports and traces.
	Name string
}

func (cb *Callbacks) check() error {
	if cb.Read == nil && cb.Write == nil && cb.Priority == nil {
		return ErrNoCallback
	}
	return nil
}

// callSet is a set of callbacks. Those of a handler are called in the order of the bits.
type callSet uint8

const (
	callPriority callSet = 1 << iota
	callRead
	callPollReady
	callWrite
)

// The conditions that call each callback.
const (
	priorityEvents = backend.Pri | backend.Err | backend.Nval
	readEvents     = backend.In | backend.RdHup | backend.Hup | backend.Err | backend.Nval
	writeEvents    = backend.Out | backend.Err | backend.Nval
	// A level-triggered backend reports these whether or not they are asked for.
	unasked = backend.Hup | backend.Err | backend.Nval
)

// eventSet is a set of Events that the kernel has reported.
type eventSet uint16

// calls returns which callbacks e asks for.
func (e eventSet) calls() (c callSet) {
	ev := Events(e)
	switch ev { // most often
	case backend.In:
		return callRead
	case backend.Out:
		return callWrite
	}
	if ev&readEvents != 0 {
		c |= callRead
	}
	if ev&writeEvents != 0 {
		c |= callWrite
	}
	if ev&priorityEvents != 0 {
		c |= callPriority
	}
	return c
}

// callbacks are what a handler keeps of its Callbacks. What few have is apart: a program may have
// many handlers.
type callbacks struct {
	read, write func(*Handler)
	name        string
	edge        bool
	plain       bool    // a Read is a call and nothing else
	calls       callSet // those that there are
	*hooks
}

type hooks struct {
	priority, unwatched           func(*Handler)
	poll                          func() bool
	pollReady, pollBegin, pollEnd func()

	notifier *EventNotifier // of WatchNotifier, else nil
	conn     syscall.Conn   // of WatchConn, else nil: kept from the garbage collector
}

// noHooks are those of most handlers.
var noHooks hooks

func (cb *Callbacks) keep() *callbacks {
	k := &callbacks{read: cb.Read, write: cb.Write, name: cb.Name, edge: cb.Edge, hooks: &noHooks}
	if cb.Priority != nil || cb.Unwatched != nil || cb.Poll != nil || cb.PollReady != nil {
		k.hooks = &hooks{
			priority: cb.Priority, unwatched: cb.Unwatched,
			poll: cb.Poll, pollReady: cb.PollReady, pollBegin: cb.PollBegin, pollEnd: cb.PollEnd,
		}
	}
	k.calls = cb.calls()
	k.plain = cb.Read != nil && cb.Poll == nil
	return k
}

// keepFor is keep for the notifier n, which is cleared before Read is called unless the backend
// needs that not. If the loop looks for events itself, what Set has written in this process shows
// without a system call.
func (cb *Callbacks) keepFor(n *EventNotifier, clears, looks bool) *callbacks {
	own := *cb
	own.Edge, own.Name = true, nameOf(cb.Name, cb.Read)
	if looks && cb.Poll == nil {
		s := n.mirrored()
		s.looked.Store(true)
		own.Poll, own.PollReady, clears = s.shows, nil, true
	}
	if clears {
		own.Read = func(h *Handler) {
			if set, _ := n.TestAndClear(); set {
				cb.Read(h)
			}
		}
	}
	k := own.keep()
	k.hooks = k.own()
	k.notifier = n
	return k
}

// own returns hooks that no other handler has.
func (cb *callbacks) own() *hooks {
	if cb.hooks == &noHooks {
		return new(hooks)
	}
	return cb.hooks
}

// checkNotifier says what callbacks cannot watch a notifier.
func (cb *Callbacks) checkNotifier(op string) error {
	switch {
	case cb.Read == nil:
		return callbackError(op + ": a notifier calls Read, and there is none")
	case cb.Write != nil || cb.Priority != nil:
		return fmt.Errorf("%s: a notifier is always writable and has no priority events: set Read only", op)
	}
	return nil
}

// calls returns which callbacks there are. What Poll finds is Read's without a PollReady.
func (cb *Callbacks) calls() (c callSet) {
	if cb.Read != nil {
		c |= callRead | callPollReady
	}
	if cb.Write != nil {
		c |= callWrite
	}
	if cb.Priority != nil {
		c |= callPriority
	}
	if cb.PollReady != nil {
		c |= callPollReady
	}
	return c
}

// interest is what the Poller is asked for, so that it reports what c is for.
func (cb *callbacks) interest(c callSet) (ev Events) {
	if c&callRead != 0 {
		ev |= backend.In
		if cb.notifier == nil {
			ev |= backend.RdHup
		}
	}
	if c&callWrite != 0 {
		ev |= backend.Out
	}
	if c&callPriority != 0 {
		ev |= backend.Pri
	}
	if cb.edge {
		ev |= backend.Edge
	}
	return ev
}

func (cb *callbacks) title() string {
	switch {
	case cb == nil:
		return ""
	case cb.read != nil:
		return nameOf(cb.name, cb.read)
	case cb.write != nil:
		return nameOf(cb.name, cb.write)
	}
	return nameOf(cb.name, cb.priority)
}
