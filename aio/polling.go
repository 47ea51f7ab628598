//go:build linux

package aio

import (
	"runtime"
	"slices"
	"time"

	"github.com/aioloop/aioloop/aio/internal/polling"
	"github.com/aioloop/aioloop/internal/sys"
)

// adaptive is the state of adaptive polling; it belongs to the home goroutine.
type adaptive struct {
	polling.Rule
	handlers []*Handler // those with a Poll callback, and those that had one and are owed a PollEnd
	blind    bool       // some handler can be watched by the kernel only
	started  bool       // PollBegin was called
	several  bool       // there is more than one P
	trusted  int32      // for so many more iterations

	last      polling.Sample // not learned from yet
	immediate int            // iterations since then whose event was there at once
	found     uint           // counts iterations that found something without a sleep
}

const (
	// While there are no Poll callbacks, the clock is read once for so many looks.
	looksPerReading = 16
	// The number of Ps is asked for once in so many iterations that find their event
	// at once: that takes a lock of Go's scheduler. Longer ones ask each time.
	trust = 64
	// Once in so many iterations the Poller is asked though nothing shows in user
	// space: it may have had to put off what it was to do.
	collectPeriod = 64
)

// pollAndWait looks for events in user space before it sleeps. How long it took until
// there was one is what the rule learns from. The timeout is not 0.
func (c *Context) pollAndWait(timeout time.Duration) error {
	a := &c.adaptive
	if a.last.Blocked > 0 {
		c.adapt()
	}
	spun, found := c.pollUserSpace(timeout)
	if !found && a.started {
		found = c.stopPolling()
		if len(a.handlers) > 0 { // Poll callbacks take their time, and may arm timers
			c.nowValid = false
		}
		timeout = c.timeout()
	}
	switch {
	case found && spun == 0:
		a.immediate++
		return c.collectFound()
	case c.peeker == nil && a.blind: // there is no use in learning
		return c.wait(timeout)
	}
	a.last = polling.Sample{Immediate: a.immediate, Spun: spun, Arrived: spun, Blocked: spun}
	a.immediate = 0
	if found {
		return c.collectFound()
	}
	return c.waitAndSample(timeout)
}

// pollUserSpace looks for events until there is one, the window or the timeout is
// over. It reports whether it found one and after how long; 0 if that was too short
// to be measured. The clock has just been read if it was not.
func (c *Context) pollUserSpace(timeout time.Duration) (spun time.Duration, found bool) {
	a := &c.adaptive
	window := a.Window
	if timeout >= 0 {
		window = min(window, timeout)
	}
	if window > 0 && c.canPoll() {
		if c.peeker != nil && (c.unseen || c.opsInFlight > 0) { // it shows nothing before it was asked for
			_ = c.wait(0) // an error comes again when the loop sleeps
		}
		if found = c.busy(); !found {
			spun, found = c.spin(window)
		}
	}
	return spun, found
}

// canPoll reports whether everything that can happen shows in user space, and
// whether there is a CPU for somebody to make it happen.
func (c *Context) canPoll() bool {
	return (c.peeker != nil || !c.adaptive.blind) && c.adaptive.severalCPUs()
}

func (a *adaptive) severalCPUs() bool {
	if a.trusted == 0 {
		a.several, a.trusted = runtime.GOMAXPROCS(0) > 1, trust
	}
	a.trusted--
	return a.several
}

// spin looks for events. An event that is there at once costs no look at the clock.
func (c *Context) spin(window time.Duration) (spun time.Duration, found bool) {
	a := &c.adaptive
	c.emit(TracePollBegin, "", int64(window))
	a.started = true
	for _, h := range a.handlers {
		h.beginPolling()
	}
	looks := looksPerReading
	if len(a.handlers) > 0 {
		looks = 1
	}
	if found = c.look(2 * looks); !found {
		if a.trusted = 0; a.severalCPUs() {
			spun, found = c.spinByTheClock(window, looks)
		}
	}
	c.emit(TracePollEnd, "", int64(spun))
	if found {
		c.stats.PollHits++
	} else {
		c.stats.PollMisses++
	}
	return spun, found
}

// spinByTheClock is what spin comes to. That there is something is not seen later
// because of a look at the clock: the last one before it has to do.
func (c *Context) spinByTheClock(window time.Duration, looks int) (spun time.Duration, found bool) {
	c.nowValid = false
	start := c.readClock()
	for spun < window {
		if c.look(looks) {
			return max(spun, 1), true
		}
		c.now = sys.Monotonic()
		spun = c.now - start
	}
	return spun, false
}

// look takes so many looks, or as many as it takes to see something.
func (c *Context) look(times int) (found bool) {
	for ; times > 0 && !found; times-- {
		found = c.notifyPending() || !c.queue.empty() || c.peeker != nil && c.peeker.Peek()
		// The handlers are asked in any case, or notifies without a pause would starve them.
		for _, h := range c.adaptive.handlers {
			found = c.lookAt(h) || found
		}
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
	endPolling(c.adaptive.handlers)
	for _, h := range c.adaptive.handlers {
		found = c.lookAt(h) || found
	}
	c.adaptive.started = false // last: if one panics, the last look is still to come
	return found
}

// endPolling calls each PollEnd that is owed. If one panics, the others come before the
// panic goes on: a device must not stay silent because of another.
func endPolling(handlers []*Handler) {
	ended := 0
	defer func() {
		if ended < len(handlers) {
			endPolling(handlers[ended:])
		}
	}()
	for _, h := range handlers {
		ended++
		h.endPolling()
	}
}

// collectFound collects what was found if it is the Poller that has it.
func (c *Context) collectFound() error {
	a := &c.adaptive
	a.found++
	if c.peeker == nil || !c.peeker.Peek() && a.found%collectPeriod != 0 {
		return nil // everything was polled, and Wait knows nothing new
	}
	return c.wait(0)
}

// waitAndSample sleeps, after the loop has spun, and takes down what that teaches.
func (c *Context) waitAndSample(timeout time.Duration) error {
	s := &c.adaptive.last
	start := c.readClock() - s.Spun
	limit, sleeps := s.Spun+timeout, c.stats.Sleeps
	err := c.wait(timeout)
	s.Blocked = c.readClock() - start
	switch arrived := time.Duration(c.arrived.Load()) - start; {
	case c.stats.Sleeps == sleeps: // it did not come to that
		s.Arrived = s.Blocked
	case arrived > 0 && arrived <= s.Blocked:
		s.Arrived, s.Woken = arrived, true
	case timeout >= 0 && s.Blocked >= limit:
		s.Arrived = limit
	default:
		s.Arrived = polling.Unknown
	}
	return err
}

// adapt lets the rule set the window. That is put off until the loop has nothing else
// to do: the event of the sample has waited long enough.
func (c *Context) adapt() {
	a := &c.adaptive
	before := a.Window
	a.Learn(a.last)
	a.last.Blocked = 0
	switch {
	case a.Window > before:
		c.emit(TracePollGrow, "", int64(a.Window))
	case a.Window < before:
		c.emit(TracePollShrink, "", int64(a.Window))
	}
}

// refresh brings the home goroutine's view of the handlers up to date.
func (c *Context) refresh() {
	if !c.changed.Load() {
		return
	}
	c.changed.Store(false)
	c.unseen = true
	a := &c.adaptive
	before := a.handlers
	c.mu.Lock()
	c.watched = c.handlers.count
	a.handlers = slices.Clone(c.handlers.polled)
	a.blind = len(a.handlers) < int(c.watched)
	c.mu.Unlock()
	var owed []*Handler
	for _, h := range before {
		if h.polled != nil && h.polled != h.cb.Load() { // closed or changed on another goroutine
			owed = append(owed, h)
		}
	}
	endPolling(owed)
}
