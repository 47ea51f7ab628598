//go:build linux

package aio

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// Handler is a descriptor that a Context watches.
type Handler struct {
	ctx    *Context
	cb     atomic.Pointer[callbacks] // nil when closed
	tag    backend.Tag
	fd     int32
	paused atomic.Uint32 // the calls that Want has taken back, a callSet

	unwatched  bool // not known to the Poller, guarded by the table
	background bool // no reason for RunUntilDone to wait, guarded by the table

	// The rest belongs to the home goroutine.
	queued  bool       // in ctx.ready
	todo    callSet    // due to what Poll has found, and what is left of the events
	pending eventSet   // collected and not dispatched
	events  eventSet   // what the callbacks are called for
	running int32      // callbacks of one with Poll that have not returned
	next    *Handler   // in ctx.ready
	polled  *callbacks // whose PollBegin was called, PollEnd not
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
// *backend.FDError that wraps EBADF (fd is not open), EEXIST (fd is watched by
// this Context already) or, with Priority, EPERM (the file has no priority events); with
// epoll also ENOSPC (/proc/sys/fs/epoll/max_user_watches),
// ELOOP (fd is an epoll descriptor of four others, one inside the next, or the loop's own),
// and EMFILE or ENFILE for the first descriptor that is always ready, which takes one
// more.
func (c *Context) Watch(fd int, cb Callbacks) (*Handler, error) {
	if err := c.check(fd, &cb); err != nil {
		return nil, err
	}
	return c.watchFD(fd, cb.keep())
}

func (c *Context) watchFD(fd int, cb *callbacks) (*Handler, error) {
	h := &Handler{ctx: c, fd: int32(fd)}
	h.cb.Store(cb)
	c.table.Lock()
	err := c.table.add(h, func() error {
		if c.table.unwatches(fd) { // the Poller does not know
			return &backend.FDError{Backend: c.port.Name(), Op: "add", FD: fd, Err: unix.EEXIST}
		}
		return c.port.Add(fd, cb.interest(cb.calls), h.tag)
	})
	c.table.Unlock()
	if err != nil {
		return nil, c.error(err)
	}
	c.handlersChanged()
	return h, nil
}

// WatchNotifier calls Read each time that n is set; sets that come close together
// may cause one call. It is Watch for an EventNotifier, which needs no clearing then, and spares
// the system call that clears it where the backend needs none. If n was set before, Read is
// called too. n is closed after the handler. Write and Priority are refused, and Edge changes
// nothing.
//
// A loop with WithPolling sees Set calls of this process without a system call, whatever its
// backend (after SetPolling, those of notifiers that it then watches); what sets n otherwise, the kernel for example, it sees at the end of the window.
// Who knows better sets Poll and the other hooks.
func (c *Context) WatchNotifier(n *EventNotifier, cb Callbacks) (*Handler, error) {
	const op = "WatchNotifier"
	if n == nil {
		return nil, fmt.Errorf("aio: %s: %w, and a notifier", op, ErrNoCallback)
	}
	if err := cb.checkNotifier(op); err != nil {
		return nil, c.error(err)
	}
	if !n.acquire() { // its number may be another's by now
		return nil, fmt.Errorf("aio: %s: the notifier: %w", op, ErrClosed)
	}
	defer n.release()
	h, err := c.watchFD(n.FD(), c.keepFor(n, &cb))
	if err == nil && c.port.parks() {
		n.mirrored().parked.Store(c)
	}
	return h, err
}

func (c *Context) keepFor(n *EventNotifier, cb *Callbacks) *callbacks {
	return cb.keepFor(n, !c.port.tellsOnce(), c.waker.stamps() && !c.port.shows())
}

// FD returns the descriptor that is watched.
func (h *Handler) FD() int { return int(h.fd) }

// Events tells what a callback is called for. It is called on the home goroutine, inside the
// callback; outside it returns what the last one was called for. Inside one for what Poll has
// found it returns 0.
func (h *Handler) Events() Events { return Events(h.events) }

// Watched reports whether the loop watches the descriptor: not after Close, and not after
// Unwatched. Any goroutine may call it.
func (h *Handler) Watched() bool {
	h.ctx.table.Lock()
	defer h.ctx.table.Unlock()
	return h.cb.Load() != nil && !h.unwatched
}

// SetBackground says whether RunUntilDone ends although h is watched: a handler in the background,
// that of signals for example, is no reason to go on. Any goroutine may call it. On a closed
// handler it does nothing.
func (h *Handler) SetBackground(on bool) {
	h.ctx.table.Lock()
	if h.cb.Load() != nil {
		h.ctx.table.mark(h, h.unwatched, on)
	}
	h.ctx.table.Unlock()
	h.ctx.handlersChanged()
}

// Want chooses which of Read and Write are called from now on, without new callbacks and
// without allocating: a program reads on when it has room, and writes when it has something to
// write. At first both are. Priority is called as before. On the home goroutine what is not
// wanted is certain not to be called, even if an event was collected for it.
//
// Any goroutine may call Want. It costs nothing if nothing changes, see docs/syscalls.md. It fails
// with ErrNoCallback for a callback that the handler does not have, or if none is left: who wants
// none closes the handler. For the rest it fails like Watch.
func (h *Handler) Want(read, write bool) error {
	c := h.ctx
	c.table.Lock()
	err := h.want(read, write)
	c.table.Unlock()
	if err != nil {
		return c.error(err)
	}
	c.handlersChanged()
	return nil
}

func (h *Handler) want(read, write bool) error {
	cb := h.cb.Load()
	switch {
	case cb == nil:
		return ErrClosed
	case read && cb.read == nil:
		return callbackError("Want: there is no Read callback")
	case write && cb.write == nil:
		return callbackError("Want: there is no Write callback")
	case !read && !write && cb.priority == nil:
		return callbackError("Want: neither Read nor Write is wanted: Close ends the watch")
	}
	var paused callSet
	if !read {
		paused |= callRead | callPollReady
	}
	if !write {
		paused |= callWrite
	}
	if !h.unwatched && cb.calls&^paused == h.wanted(cb) {
		return nil
	}
	return h.set(cb, paused)
}

// Change replaces the callbacks, and wants them all. On the home goroutine the old ones never run
// again, even if an event was collected for them; elsewhere they may be running
// at this moment. That of a notifier stays that of a notifier. It fails like Watch.
func (h *Handler) Change(cb Callbacks) error {
	c := h.ctx
	if err := c.check(h.FD(), &cb); err != nil {
		return err
	}
	c.table.Lock()
	err := h.change(&cb)
	c.table.Unlock()
	if err != nil {
		return c.error(err)
	}
	c.handlersChanged()
	return nil
}

func (h *Handler) change(cb *Callbacks) error {
	old := h.cb.Load()
	switch {
	case old == nil:
		return ErrClosed
	case old.notifier == nil:
		keep := cb.keep()
		if old.conn != nil {
			keep.hooks = keep.own()
			keep.conn = old.conn
		}
		return h.set(keep, 0)
	}
	if err := cb.checkNotifier("Change"); err != nil {
		return err
	}
	return h.set(h.ctx.keepFor(old.notifier, cb), 0)
}

// set gives h callbacks, of which those in paused are not called. The caller holds the table.
func (h *Handler) set(cb *callbacks, paused callSet) error {
	tell := h.ctx.port.Modify
	if h.unwatched {
		tell = h.ctx.port.Add
	}
	if err := tell(h.FD(), cb.interest(cb.calls&^paused), h.tag); err != nil {
		return err
	}
	h.ctx.table.mark(h, false, h.background)
	h.cb.Store(cb)
	h.paused.Store(uint32(paused))
	h.ctx.table.file(h)
	return nil
}

// check refuses callbacks without sense, and Priority for a file that has no such events: every
// backend would take it, and be silent.
func (c *Context) check(fd int, cb *Callbacks) error {
	if err := cb.check(); err != nil {
		return err
	}
	if cb.Priority != nil && c.port.sharesEvents() {
		return c.error(fmt.Errorf("fd %d: Priority in park mode with %s: Go's poller may take the event before the loop does: use ModeThread, or io_uring: %w", fd, c.port.Name(), errors.ErrUnsupported))
	}
	if cb.Priority != nil && errors.Is(sys.Pollable(fd), unix.EPERM) {
		return c.error(&backend.FDError{Backend: c.port.Name(), Op: "add", FD: fd, Err: unix.EPERM})
	}
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
	if !h.unwatched {
		err = c.port.Remove(h.FD())
	}
	c.table.mark(h, false, false)
	var owed *callbacks
	if c.home.mine() {
		owed = h.owed() // under the lock: the Context may be closed elsewhere, and takes it first
	}
	c.table.Unlock()
	c.handlersChanged()
	owed.end() // last: it may panic
	return c.error(err)
}
