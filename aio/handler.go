//go:build linux

package aio

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// Callbacks are what a handler does with the events of its descriptor. They are
// called on the home goroutine, one at a time. At least Read or Write is set; an
// event for which there is no callback calls nothing. A hang-up without a Read to
// tell of it, which the kernel would report forever, ends the watch until Change.
type Callbacks struct {
	// Read is called when the descriptor is readable, when the other end has hung
	// up, and on an error.
	Read func()
	// Write is called when the descriptor is writable, and on an error.
	Write func()

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
	if cb.Read == nil && cb.Write == nil {
		return ErrNoCallback
	}
	return nil
}

// interest is what the Poller is asked for.
func (cb *Callbacks) interest() backend.Events {
	var ev backend.Events
	if cb.Read != nil {
		ev |= backend.In
	}
	if cb.Write != nil {
		ev |= backend.Out
	}
	if cb.Edge {
		ev |= backend.Edge
	}
	return ev
}

// Handler is a descriptor that a Context watches (QEMU's AioHandler).
type Handler struct {
	ctx *Context
	fd  int
	tag backend.Tag
	cb  atomic.Pointer[Callbacks] // nil when closed

	muted bool // not known to the Poller, guarded by the table

	// The rest belongs to the home goroutine.
	pending   backend.Events // collected and not dispatched
	pollReady bool           // Poll has found something that is not dispatched
	queued    bool           // in ctx.ready
	running   int32          // callbacks of one with Poll that have not returned
	next      *Handler       // in ctx.ready
	polled    *Callbacks     // whose PollBegin was called, PollEnd not
}

// Watch calls cb when something happens on fd, until the handler is closed.
//
// fd stays the caller's: it must be open for as long as the handler is, and is
// closed after it. The library does not change its flags; it must be non-blocking
// if the callbacks use it, because readiness can be spurious. Regular files and
// /dev/null are always ready. A device that reports an error until it is set up, such as
// tun before TUNSETIFF, is watched once more by Change after that, with the same callbacks
// even; on epoll it is silent before.
//
// Any goroutine may call Watch. It fails with ErrNoCallback, ErrClosed, or a
// *backend.FDError that wraps EBADF (fd is not open) or EEXIST (fd is watched by
// this Context already); with epoll also ENOSPC (/proc/sys/fs/epoll/max_user_watches),
// ELOOP (fd is an epoll descriptor of four others, one inside the next, or the loop's own),
// and EMFILE or ENFILE for the first descriptor that is always ready, which takes one
// more.
func (c *Context) Watch(fd int, cb Callbacks) (*Handler, error) {
	if err := cb.check(); err != nil {
		return nil, err
	}
	h := &Handler{ctx: c, fd: fd}
	h.cb.Store(&cb)
	c.table.Lock()
	err := c.table.add(h, func() error {
		if c.table.mutes(fd) { // the Poller does not know
			return &backend.FDError{Backend: c.port.Name(), Op: "add", FD: fd, Err: unix.EEXIST}
		}
		return c.port.Add(fd, cb.interest(), h.tag)
	})
	c.table.Unlock()
	if err != nil {
		return nil, c.port.error(err)
	}
	c.handlersChanged()
	return h, nil
}

// WatchNotifier calls f each time that n is set; sets that come close together
// may cause one call. It is Watch for an EventNotifier, and spares the system
// call that clears it where the backend needs none. If n was set before, f is
// called too. n is closed after the handler.
func (c *Context) WatchNotifier(n *EventNotifier, f func()) (*Handler, error) {
	if n == nil || f == nil {
		return nil, fmt.Errorf("aio: WatchNotifier: %w, and a notifier", ErrNoCallback)
	}
	if !n.acquire() { // its number may be another's by now
		return nil, fmt.Errorf("aio: WatchNotifier: the notifier: %w", ErrClosed)
	}
	defer n.release()
	read := f
	if !c.port.tellsOnce() {
		read = func() {
			if set, _ := n.TestAndClear(); set {
				f()
			}
		}
	}
	h, err := c.Watch(n.FD(), Callbacks{Read: read, Edge: true, Name: nameOf("", f)})
	if err == nil && c.port.parks() {
		n.parked.Store(c)
	}
	return h, err
}

// FD returns the descriptor that is watched.
func (h *Handler) FD() int { return h.fd }

// Change replaces the callbacks. On the home goroutine the old ones never run
// again, even if an event was collected for them; elsewhere they may be running
// at this moment. It fails like Watch.
func (h *Handler) Change(cb Callbacks) error {
	if err := cb.check(); err != nil {
		return err
	}
	c := h.ctx
	c.table.Lock()
	err := h.change(&cb)
	c.table.Unlock()
	if err != nil {
		return c.port.error(err)
	}
	c.handlersChanged()
	return nil
}

func (h *Handler) change(cb *Callbacks) error {
	old := h.cb.Load()
	if old == nil {
		return ErrClosed
	}
	var err error
	switch {
	case h.muted:
		err = h.ctx.port.Add(h.fd, cb.interest(), h.tag)
	default:
		err = h.ctx.port.Modify(h.fd, cb.interest(), h.tag)
	}
	if err != nil {
		return err
	}
	h.ctx.table.unmute(h)
	h.cb.Store(cb)
	h.ctx.table.file(h)
	return nil
}

// Close ends the watch; the descriptor is the caller's to close, afterwards. On
// the home goroutine no callback of h runs again, even if an event was collected
// for it. Elsewhere one may be running at this moment, and the loop may wait for
// the descriptor: close that in CloseThen. A second Close fails with ErrClosed.
func (h *Handler) Close() error { return h.close(nil) }

// CloseThen is Close, and calls f when the loop does not use the descriptor any more, nor
// a callback of h runs: f may close the descriptor. Any goroutine may call CloseThen. It
// does not wait for f.
//
// f is called once, on the home goroutine, like a bottom half: in the next iteration that
// begins inside no callback. If there is none before Close of the Context, that calls f, on
// its goroutine. If CloseThen fails with ErrClosed, f is not called. CloseThen panics if f is
// nil.
func (h *Handler) CloseThen(f func()) error {
	if f == nil {
		panic("aio: CloseThen: the function is nil")
	}
	return h.close(f)
}

func (h *Handler) close(then func()) error {
	c := h.ctx
	c.table.Lock()
	cb := h.cb.Swap(nil)
	if cb == nil {
		c.table.Unlock()
		return ErrClosed
	}
	c.table.remove(h)
	if then != nil {
		c.closings.add(then) // under the lock: Close of the Context comes before, or calls it
	}
	var err error
	if !h.muted {
		err = c.port.Remove(h.fd)
	}
	h.ctx.table.unmute(h)
	var owed *Callbacks
	if c.home.mine() {
		owed = h.owed() // under the lock: the Context may be closed elsewhere, and takes it first
	}
	c.table.Unlock()
	c.handlersChanged()
	owed.end() // last: it may panic
	return c.port.error(err)
}

// mute takes a descriptor away from the Poller: it reports a hang-up that there is
// no callback for, and would do so in each iteration. Change brings it back.
func (h *Handler) mute() {
	c := h.ctx
	c.table.Lock()
	defer c.table.Unlock()
	cb := h.cb.Load()
	if cb == nil || h.muted || h.due(cb) {
		return
	}
	c.table.mute(h)
	_ = c.port.Remove(h.fd)
	c.trace.emit(traceHandlerMuted, h.name(), int64(h.fd))
}

// due reports whether there is an event that cb has a callback for. What was collected
// may be from before a Change.
func (h *Handler) due(cb *Callbacks) bool {
	revents, err := sys.PollNow(h.fd, int16(cb.interest()&^backend.Edge))
	if err != nil { // unknown: the handler is watched
		return true
	}
	events := backend.Events(uint16(revents))
	return cb.Read != nil && events&readEvents != 0 || cb.Write != nil && events&writeEvents != 0
}

// tellsOnce reports whether an event, once collected, is not reported again for as
// long as it holds.
func (h *Handler) tellsOnce() bool {
	cb := h.cb.Load()
	return h.ctx.port.tellsOnce() && cb != nil && cb.Edge
}

func (h *Handler) name() string {
	cb := h.cb.Load()
	switch {
	case cb == nil:
		return ""
	case cb.Name != "":
		return cb.Name
	case cb.Read != nil:
		return nameOf("", cb.Read)
	}
	return nameOf("", cb.Write)
}

// The conditions that call each callback.
const (
	readEvents  = backend.In | backend.Pri | backend.RdHup | backend.Hup | backend.Err | backend.Nval
	writeEvents = backend.Out | backend.Err | backend.Nval
	// A level-triggered backend reports these whether or not they are asked for.
	unasked = backend.Hup | backend.Err | backend.Nval
)

// dispatch calls what the collected events ask for. Any of the callbacks may
// close or change the handler, or poll; so each looks again.
func (h *Handler) dispatch() (progress bool) {
	events, polled := h.pending, h.pollReady
	h.pending, h.pollReady = 0, false
	readable, writable := events&readEvents != 0, events&writeEvents != 0
	if writable && (readable || polled) {
		// Write's turn comes next, in a nested Poll perhaps, even if Read panics.
		h.pending = backend.Out
		h.ctx.ready.prepend(h)
		return h.callReader(readable)
	}
	switch {
	case writable:
		progress = h.callWrite()
	case readable:
		progress = h.callRead()
	case polled:
		progress = h.callPollReady()
	}
	if !progress && events&unasked != 0 {
		h.mute()
	}
	return progress
}

// callReader makes one call of what Poll and the kernel have both found.
func (h *Handler) callReader(readable bool) bool {
	if readable {
		return h.callRead()
	}
	return h.callPollReady()
}

func (h *Handler) callPollReady() bool {
	cb := h.cb.Load()
	if cb == nil || cb.PollReady == nil {
		return h.callRead()
	}
	h.ctx.stats.count(statPollReadies)
	h.call(cb.PollReady)
	return true
}

func (h *Handler) callRead() bool {
	cb := h.cb.Load()
	if cb == nil || cb.Read == nil {
		return false
	}
	h.ctx.stats.count(statReads)
	if cb.Poll == nil {
		cb.Read()
	} else {
		h.call(cb.Read)
	}
	return true
}

func (h *Handler) callWrite() bool {
	cb := h.cb.Load()
	if cb == nil || cb.Write == nil {
		return false
	}
	h.ctx.stats.count(statWrites)
	if cb.Poll == nil {
		cb.Write()
	} else {
		h.call(cb.Write)
	}
	return true
}

// call runs a callback of a handler with Poll. h is not polled until it returns: a Poll
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
	if cb == nil || cb.Poll == nil {
		return
	}
	h.polled = cb
	if cb.PollBegin != nil {
		h.call(cb.PollBegin)
	}
}

func (h *Handler) endPolling() {
	if cb := h.owed(); cb != nil && cb.PollEnd != nil {
		h.call(cb.PollEnd)
	}
}

// inside reports whether one of h's callbacks runs, for one with Poll.
func (h *Handler) inside() bool { return h.running > 0 }

// poll asks Poll, unless it is asked inside a callback of h.
func (h *Handler) poll() bool {
	cb := h.cb.Load()
	if cb == nil || cb.Poll == nil || h.inside() {
		return false
	}
	h.running++
	defer h.returned()
	if !cb.Poll() {
		return false
	}
	h.pollReady = true
	return true
}

// owed takes the Callbacks whose PollEnd is due, nil if there are none.
func (h *Handler) owed() (cb *Callbacks) {
	cb, h.polled = h.polled, nil
	return cb
}

func (cb *Callbacks) end() {
	if cb != nil && cb.PollEnd != nil {
		cb.PollEnd()
	}
}
