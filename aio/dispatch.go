//go:build linux

package aio

import (
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// dispatch makes the first call that the collected events ask for. The others come next, in a
// nested Poll perhaps, even if this one panics. Any of them may close or change the handler, or
// poll; so each looks again at what there is to call.
func (h *Handler) dispatch() (progress bool) {
	cb := h.cb.Load()
	if h.todo == 0 && h.pending == eventSet(backend.In) && cb != nil && cb.plain && h.paused.Load() == 0 { // most often
		h.pending, h.events = 0, eventSet(backend.In)
		h.ctx.stats.count(statReads)
		cb.read(h)
		return true
	}
	return h.dispatchFirst(cb)
}

func (h *Handler) dispatchFirst(cb *callbacks) (progress bool) {
	if h.todo&^callPollReady == 0 { // nothing is left of earlier events
		h.events = 0
	}
	h.events |= h.pending
	todo := h.todo | h.pending.calls()
	h.pending, h.todo = 0, 0
	if todo&callRead != 0 { // one call for what Poll and the kernel have both found
		todo &^= callPollReady
	}
	if todo &= h.wanted(cb); todo == 0 {
		return Events(h.events)&unasked != 0 && h.unwatch()
	}
	first := todo & -todo
	if todo != first {
		h.todo = todo &^ first
		h.ctx.ready.prepend(h)
	}
	h.callFirst(first, cb)
	return true
}

func (h *Handler) dispatchObserved(o *observer) (progress bool) {
	o.begin(TraceHandler, h.name(), int64(h.fd))
	defer o.end(int64(h.fd))
	return h.dispatch()
}

func (h *Handler) callFirst(call callSet, cb *callbacks) {
	kind, callback := statReads, cb.read
	switch {
	case call == callWrite:
		kind, callback = statWrites, cb.write
	case call == callPriority:
		callback = cb.priority
	case call == callPollReady && cb.pollReady != nil:
		h.ctx.stats.count(statPollReadies)
		h.call(cb.pollReady)
		return
	}
	h.ctx.stats.count(kind)
	if cb.poll == nil {
		callback(h)
		return
	}
	h.running++
	defer h.returned()
	callback(h)
}

// unwatch takes a descriptor away from the Poller: it reports a hang-up that there is
// no callback for, and would do so in each iteration. It reports whether it has told of that.
func (h *Handler) unwatch() (told bool) {
	c := h.ctx
	c.table.Lock()
	cb := h.cb.Load()
	if cb == nil || h.unwatched || h.due(cb) {
		c.table.Unlock()
		return false
	}
	c.table.mark(h, true, h.background)
	_ = c.port.Remove(int(h.fd))
	c.table.Unlock()
	c.observer.emit(TraceUnwatched, cb.title(), int64(h.fd))
	if cb.unwatched == nil {
		return false
	}
	cb.unwatched(h)
	return true
}

// due reports whether there is an event that a callback is wanted for. What was collected
// may be from before a Change.
func (h *Handler) due(cb *callbacks) bool {
	wanted := h.wanted(cb)
	revents, err := sys.PollNow(int(h.fd), int16(cb.interest(wanted)&^backend.Edge))
	if err != nil { // unknown: the handler is watched
		return true
	}
	return eventSet(revents).calls()&wanted != 0
}

// wanted returns which calls of cb may be made.
func (h *Handler) wanted(cb *callbacks) callSet {
	if cb == nil {
		return 0
	}
	return cb.calls &^ callSet(h.paused.Load())
}

// tellsOnce reports whether an event, once collected, is not reported again for as
// long as it holds.
func (h *Handler) tellsOnce() bool {
	cb := h.cb.Load()
	return h.ctx.port.tellsOnce() && cb != nil && cb.edge
}

func (h *Handler) name() string { return h.cb.Load().title() }

// call runs a hook of a handler with Poll. h is not polled until it returns: a Poll
// inside it would find the same event again and enter the same callback, without end.
func (h *Handler) call(callback func()) {
	h.running++
	defer h.returned()
	callback()
}

// returned ends a callback, even one that panics.
func (h *Handler) returned() { h.running-- }

// beginPolling and endPolling call PollBegin and PollEnd in pairs, of the same
// Callbacks even if they were changed in between.
func (h *Handler) beginPolling() {
	cb := h.cb.Load()
	if h.polled == cb || h.inside() {
		return
	}
	h.endPolling()
	if cb == nil || cb.poll == nil {
		return
	}
	h.polled = cb
	if cb.pollBegin != nil {
		h.call(cb.pollBegin)
	}
}

func (h *Handler) endPolling() {
	if cb := h.owed(); cb != nil && cb.pollEnd != nil {
		h.call(cb.pollEnd)
	}
}

// inside reports whether one of h's callbacks runs, for one with Poll.
func (h *Handler) inside() bool { return h.running > 0 }

// poll asks Poll, unless it is asked inside a callback of h.
func (h *Handler) poll() bool {
	cb := h.cb.Load()
	if cb == nil || cb.poll == nil || h.inside() || h.wanted(cb)&callPollReady == 0 {
		return false
	}
	h.running++
	defer h.returned()
	if !cb.poll() {
		return false
	}
	h.todo |= callPollReady
	return true
}

// owed takes the Callbacks whose PollEnd is due, nil if there are none.
func (h *Handler) owed() (cb *callbacks) {
	cb, h.polled = h.polled, nil
	return cb
}

func (cb *callbacks) end() {
	if cb != nil && cb.pollEnd != nil {
		cb.pollEnd()
	}
}
