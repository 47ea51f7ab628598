//go:build linux

package aio

import (
	"runtime"
	"slices"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// firstWindow is what the window grows from (QEMU's 4 µs).
const firstWindow = 4 * time.Microsecond

// next returns the window after an iteration that found its event a time of idle
// after it had begun to look. It depends on its arguments alone.
//
// The rule is QEMU's, but idle ends when the event *arrived*, which a notifier
// that finds the loop asleep records, and not when the thread had woken up: where
// a wake-up takes longer than Max, the difference decides whether polling is ever
// tried.
func (p Polling) next(window, idle time.Duration) time.Duration {
	switch {
	case idle <= window: // the window did its work
		return window
	case idle > p.Max: // no window that is allowed would have helped
		if p.Shrink == 0 {
			return 0
		}
		return window / time.Duration(p.Shrink)
	case window == 0:
		return min(firstWindow, p.Max)
	case p.Grow == 0:
		return min(window*2, p.Max)
	default:
		return min(window*time.Duration(p.Grow), p.Max)
	}
}

// adaptive is the state of adaptive polling; it belongs to the home goroutine.
type adaptive struct {
	Polling
	window   time.Duration
	handlers []*Handler // those with a Poll callback, and those that had one and are owed a PollEnd
	blind    bool       // some handler can be watched by the kernel only
	started  bool       // PollBegin was called
}

// pollAndWait looks for events in user space before it sleeps, and learns from how
// long it took until there was one. The timeout is not 0.
func (c *Context) pollAndWait(timeout time.Duration) (err error) {
	start := sys.Monotonic()
	if !c.pollUserSpace(timeout) {
		c.nowValid = false // time has passed, and Poll callbacks may have armed timers
		err = c.wait(c.timeout())
	} else if c.peeker != nil {
		err = c.wait(0)
	} // else everything was polled, and Wait knows nothing new
	c.adapt(start, timeout)
	return err
}

// pollUserSpace looks for events until there is one, the window or the timeout is
// over. It reports whether it found one.
func (c *Context) pollUserSpace(timeout time.Duration) (found bool) {
	window := c.adaptive.window
	if timeout >= 0 {
		window = min(window, timeout)
	}
	if window > 0 && c.canPoll() {
		if c.peeker != nil { // it shows nothing of a descriptor before its request is made
			_ = c.wait(0) // an error comes again when the loop sleeps
		}
		found = c.busy() || c.spin(window)
	}
	if !found && c.adaptive.started {
		found = c.stopPolling()
	}
	return found
}

// canPoll reports whether everything that can happen shows in user space, and
// whether there is a CPU for somebody to make it happen.
func (c *Context) canPoll() bool {
	return (c.peeker != nil || !c.adaptive.blind) && runtime.GOMAXPROCS(0) > 1
}

func (c *Context) spin(window time.Duration) (found bool) {
	a := &c.adaptive
	c.emit(TracePollBegin, "", int64(window))
	a.started = true
	for _, h := range a.handlers {
		h.beginPolling()
	}
	start := sys.Monotonic()
	now := start
	for !found && now-start < window {
		found = c.look()
		now = sys.Monotonic()
	}
	c.emit(TracePollEnd, "", int64(now-start))
	if found {
		c.stats.PollHits++
	} else {
		c.stats.PollMisses++
	}
	return found
}

// look is one turn of the polling loop.
func (c *Context) look() (found bool) {
	found = c.notifyPending() || !c.queue.empty() || c.peeker != nil && c.peeker.Peek()
	// The handlers are asked in any case, or notifies without a pause would starve them.
	for _, h := range c.adaptive.handlers {
		found = c.lookAt(h) || found
	}
	return found
}

func (c *Context) lookAt(h *Handler) bool {
	cb := h.cb.Load()
	if cb == nil || cb.Poll == nil || !cb.Poll() {
		return false
	}
	h.pollReady = true
	c.ready.append(h)
	return true
}

// stopPolling lets the handlers send notifications again, and looks once more.
func (c *Context) stopPolling() (found bool) {
	for _, h := range c.adaptive.handlers {
		h.endPolling()
		found = c.lookAt(h) || found
	}
	c.adaptive.started = false // last: if one panics, the others are still owed theirs
	return found
}

// adapt learns from an iteration that began to look at start. What ended it arrived
// when a notifier says so, or when a timer was due, which is before the thread had
// woken up.
func (c *Context) adapt(start, timeout time.Duration) {
	idle := sys.Monotonic() - start
	if timeout > 0 {
		idle = min(idle, timeout)
	}
	if arrived := time.Duration(c.arrived.Swap(0)); arrived > start {
		idle = min(idle, arrived-start)
	}
	a := &c.adaptive
	window := a.next(a.window, idle)
	switch {
	case window > a.window:
		c.emit(TracePollGrow, "", int64(window))
	case window < a.window:
		c.emit(TracePollShrink, "", int64(window))
	}
	a.window = window
}

// refresh brings the home goroutine's view of the handlers up to date.
func (c *Context) refresh() {
	if !c.changed.Load() {
		return
	}
	c.changed.Store(false)
	c.unseen = true
	a := &c.adaptive
	owed := a.handlers
	c.mu.Lock()
	c.watched = c.handlers.count
	a.handlers = slices.Clone(c.handlers.polled)
	a.blind = len(a.handlers) < c.watched
	c.mu.Unlock()
	for _, h := range owed { // closed or changed on another goroutine
		if h.polled != nil && h.polled != h.cb.Load() {
			h.endPolling()
		}
	}
}
