//go:build linux

package aio

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/goroutine"
)

// Poll runs one iteration of the loop and sleeps until there is something to do
// (QEMU's aio_poll, blocking). It reports whether anything made progress: a bottom
// half that is not idle, a handler, a completion or a timer. It may return without
// progress, after a Notify for example.
//
// The first call of Poll, TryPoll or Run makes the caller's goroutine the home
// goroutine for the life of the Context; with io_uring it is then locked to its
// thread until Close. On any other goroutine they fail with ErrWrongGoroutine. A
// callback may call Poll: the inner iteration runs what the outer one has not
// reached yet, and the outer one does not run it again.
//
// A panic in a callback goes on to the caller of Poll. The Context stays as it
// was: what has not run yet runs in the next iteration.
func (c *Context) Poll() (progress bool, err error) { return c.iterate(true) }

// TryPoll is Poll without sleeping (QEMU's aio_poll, not blocking).
func (c *Context) TryPoll() (progress bool, err error) { return c.iterate(false) }

func (c *Context) iterate(blocking bool) (progress bool, err error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.leave()
	if c.prepared && !c.between {
		return c.iterateBetween(blocking)
	}
	c.resume()
	c.stats.Iterations++
	c.nowValid = false
	err = c.await(blocking)
	c.accept() // L5
	c.gather() // L6
	return c.dispatch(), err
}

// enter makes sure that the caller is the home goroutine, and the only one.
func (c *Context) enter() error {
	g, home := uintptr(goroutine.Current()), c.home.Load()
	switch {
	case home == g && c.depth > 0:
		c.depth++
		return nil
	case home != g && home != 0: // before it touches state, where it would be in the way of the right one
		return c.refuse()
	}
	if !c.state.CompareAndSwap(stateIdle, statePolling) {
		if err := c.enterSlowly(); err != nil {
			return err
		}
	}
	if home != g {
		if err := c.settle(g); err != nil {
			c.state.Store(stateIdle)
			return err
		}
	}
	c.depth = 1
	return nil
}

// refuse says what is wrong on a goroutine that is not the home goroutine.
func (c *Context) refuse() error {
	if c.closed() {
		return ErrClosed
	}
	return ErrWrongGoroutine
}

func (c *Context) enterSlowly() error {
	switch c.transition(statePolling) {
	case stateClosed:
		return ErrClosed
	case statePolling:
		return ErrWrongGoroutine
	}
	return nil
}

// transition leaves stateIdle for another state, waiting if somebody reads the
// counters. It returns the state that it found: if it is not stateIdle, it stays.
func (c *Context) transition(to uint32) (before uint32) {
	for !c.state.CompareAndSwap(stateIdle, to) {
		if before = c.state.Load(); before == statePolling || before == stateClosed {
			return before
		}
		runtime.Gosched()
	}
	return stateIdle
}

// settle makes g the home goroutine if there is none yet.
func (c *Context) settle(g uintptr) error {
	if c.home.Load() != 0 {
		return ErrWrongGoroutine
	}
	if c.binder() != nil || c.thread.Wanted() {
		if err := c.takeThread(); err != nil {
			return err
		}
	}
	c.home.Store(g)
	return nil
}

// takeThread locks the home goroutine to its thread, and sets that up.
func (c *Context) takeThread() (err error) {
	if goroutine.IsCoroutine() {
		return ErrCoroutine
	}
	runtime.LockOSThread()
	if c.unset, err = c.thread.Apply(); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("aio: the thread of the loop: %w", err)
	}
	c.locked = true
	if binder := c.binder(); binder != nil {
		if err := binder.Bind(); err != nil {
			return errors.Join(c.pollerError(err), c.letGo())
		}
	}
	return nil
}

// binder returns the Poller if it is to be bound to the home thread, else nil.
func (c *Context) binder() backend.Binder {
	if c.mode != ModeThread {
		return nil
	}
	binder, _ := c.poller.(backend.Binder)
	return binder
}

// letGo undoes takeThread, on the same goroutine.
func (c *Context) letGo() (err error) {
	if c.unset != nil {
		err = c.unset()
	}
	c.locked, c.unset = false, nil
	runtime.UnlockOSThread()
	return err
}

func (c *Context) leave() {
	c.depth--
	if c.depth == 0 {
		c.yield()
		c.state.Store(stateIdle)
	}
}

// await collects events, polling and sleeping for as long as there is nothing to
// do and the caller wants to block.
func (c *Context) await(blocking bool) error {
	c.refresh()
	timeout := time.Duration(0)
	if blocking && (c.adaptive.Enabled() || !c.shown()) {
		timeout = c.timeout()
	}
	switch {
	case timeout != 0 && c.adaptive.Enabled() && !c.prepared: // or a foreign loop would wait for devices that are silent
		return c.pollAndWait(timeout)
	case c.adaptive.started:
		c.stopPolling()
	}
	return c.wait(timeout)
}

// shown reports whether the Poller shows without being asked that it has something.
func (c *Context) shown() bool { return c.peeker != nil && c.peeker.Peek() }

// wait asks the Poller, unless there is nothing that it could know.
func (c *Context) wait(timeout time.Duration) error {
	var n int
	var err error
	switch {
	case timeout != 0:
		n, err = c.sleep(timeout)
	case c.watched > 0 || c.opsInFlight > 0 || c.unseen || c.shown():
		n, err = c.ask()
		if c.prepared { // it may have taken the event that the foreign loop was to see
			c.notifyMe.Store(isAsleep)
		}
	default:
		return nil
	}
	c.unseen = n == len(c.events) // there may be more
	if n > 0 {
		c.collect(c.events[:n])
		c.makeRoom(n)
	}
	c.reap()
	if c.prepared && c.pollable != nil && err == nil {
		err = c.pollable.Flush() // the foreign loop is about to wait for what was just taken
	}
	return c.pollerError(err)
}

// busy reports whether there is something to run.
func (c *Context) busy() bool {
	return c.batch.first != nil || c.ready.first != nil || c.next < len(c.completed)
}

// makeRoom lets the next Wait return more events if this one filled the slice.
func (c *Context) makeRoom(n int) {
	if n == len(c.events) && n < maxEvents {
		c.events = make([]backend.Ready, 2*n)
	}
}

// timeout returns how long the loop may sleep: not at all if there is something
// to do, to the nearest timer, or for ever (-1).
func (c *Context) timeout() time.Duration {
	if c.gather(); c.busy() {
		return 0
	}
	timeout := never
	if c.idle.first != nil {
		timeout = max(idlePeriod-(c.readClock()-c.idleSince), 0)
	}
	for i := range c.timers {
		if c.timers[i].armed() {
			timeout = min(timeout, c.timers[i].timeout())
		}
	}
	if timeout == never {
		return backend.Forever
	}
	return timeout
}

// dispatch runs what has been collected.
func (c *Context) dispatch() (progress bool) {
	progress = c.runCompletions()
	progress = c.runBottomHalves() || progress
	progress = c.runHandlers() || progress
	for i := range c.timers {
		if c.timers[i].armed() {
			progress = c.timers[i].run() || progress
		}
	}
	c.runIdle(progress)
	return progress
}

// runHandlers dispatches the handlers that have events. Like the bottom halves,
// those that the outer iteration has not reached run in a nested one.
func (c *Context) runHandlers() (progress bool) {
	for h := c.ready.pop(); h != nil; h = c.ready.pop() {
		if c.trace != nil {
			c.emit(TraceHandler, h.name(), int64(h.fd))
		}
		progress = h.dispatch() || progress
	}
	return progress
}

// handlerList is a queue of handlers in which each is at most once.
type handlerList struct {
	first, last *Handler
}

func (l *handlerList) append(h *Handler) {
	if h.queued {
		return
	}
	h.queued, h.next = true, nil
	if l.first == nil {
		l.first = h
	} else {
		l.last.next = h
	}
	l.last = h
}

func (l *handlerList) prepend(h *Handler) {
	if h.queued {
		return
	}
	h.queued, h.next = true, l.first
	if l.first == nil {
		l.last = h
	}
	l.first = h
}

func (l *handlerList) pop() *Handler {
	h := l.first
	if h != nil {
		l.first, h.next, h.queued = h.next, nil, false
	}
	return h
}
