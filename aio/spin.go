//go:build linux

package aio

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio/internal/polling"
)

// spin is the state of adaptive polling; it belongs to the home goroutine.
type spin struct {
	rule     polling.Rule
	handlers []*Handler // those with a Poll callback, and those that had one and are owed a PollEnd
	blind    bool       // only the kernel can watch some handler
	started  bool       // PollBegin was called
	several  bool       // there is more than one P
	trusted  int32      // several holds for so many more iterations

	last      polling.Sample // not learned from yet
	immediate int32          // iterations since then whose event was there immediately
	hits      uint32         // counts iterations that found something without a sleep

	next atomic.Pointer[polling.Rule] // what SetPolling asks for, nil once it is taken
}

const (
	// While there are no Poll callbacks, the clock is read once for so many looks.
	looksPerReading = 16
	// The number of Ps is asked for once in so many iterations that find their event
	// immediately: asking takes a lock of Go's scheduler. Longer iterations ask each time.
	trust = 64
	// Once in so many iterations the Poller is asked though nothing shows in user space:
	// it may have put off some of its work.
	collectPeriod = 64
)

func newSpin(p Polling) spin { return spin{rule: p.rule()} }

// change takes the rule of the latest SetPolling, if there was one since the last call. The samples
// so far are about the old one.
func (s *spin) change() (changed bool) {
	next := s.next.Swap(nil)
	if next == nil {
		return false
	}
	s.rule, s.last, s.immediate = *next, polling.Sample{}, 0
	return true
}

// ask has the home goroutine change the rule. Any goroutine may call it.
func (s *spin) ask(p Polling) {
	rule := p.rule()
	s.next.Store(&rule)
}

// enabled reports whether WithPolling or SetPolling asked for it.
func (s *spin) enabled() bool { return s.rule.Enabled() }

// polls reports whether PollBegin was called.
func (s *spin) polls() bool { return s.started }

// canPoll reports whether everything that can happen shows in user space, and whether
// there is another CPU on which it can happen.
func (s *spin) canPoll(p *port) bool { return (p.shows() || !s.blind) && s.severalCPUs() }

// learns reports whether there is use in learning.
func (s *spin) learns(p *port) bool { return p.shows() || !s.blind }

func (s *spin) severalCPUs() bool {
	if s.trusted == 0 {
		s.several, s.trusted = runtime.GOMAXPROCS(0) > 1, trust
	}
	s.trusted--
	return s.several
}

// learn lets the rule set the window. It comes an iteration later: the event of the sample
// has waited long enough.
func (s *spin) learn(o *observer) {
	if s.last.Blocked == 0 {
		return
	}
	before := s.rule.Window
	s.rule.Learn(s.last)
	s.last.Blocked = 0
	switch {
	case s.rule.Window > before:
		o.emit(TracePollGrow, "", int64(s.rule.Window))
	case s.rule.Window < before:
		o.emit(TracePollShrink, "", int64(s.rule.Window))
	}
}

// found records an event that was there after the loop had looked for so long.
func (s *spin) found(spun time.Duration) {
	if spun == 0 {
		s.immediate = min(s.immediate, math.MaxInt32-1) + 1
		return
	}
	s.sample(polling.Sample{Spun: spun, Arrived: spun, Blocked: spun})
}

// collectAnyway reports whether it is time to ask a Poller that shows nothing.
func (s *spin) collectAnyway() bool {
	s.hits++
	return s.hits%collectPeriod == 0
}

// wait is a wait after the loop has looked for spun. Its other times count from when it
// began to look.
type wait struct {
	spun, timeout    time.Duration
	blocked, arrived time.Duration
	slept            bool
}

// waited records what a wait teaches.
func (s *spin) waited(w wait) {
	sample := polling.Sample{Spun: w.spun, Blocked: w.blocked, Arrived: polling.Unknown}
	switch limit := w.spun + w.timeout; {
	case !w.slept:
		sample.Arrived = w.blocked
	case w.arrived > 0 && w.arrived <= w.blocked:
		sample.Arrived, sample.Woken = w.arrived, true
	case w.timeout >= 0 && w.blocked >= limit:
		sample.Arrived = limit
	}
	s.sample(sample)
}

func (s *spin) sample(sample polling.Sample) {
	sample.Immediate, s.immediate = int(s.immediate), 0
	s.last = sample
}

// abandon calls each PollEnd that is owed.
func (s *spin) abandon() { endPolling(s.handlers) }

// lookFor looks for events until there is one, or until the window or the timeout is over.
// It reports whether it found one and after how long; 0 if that was too short to measure.
// The clock has just been read if it was not.
func (c *Context) lookFor(timeout time.Duration) (spun time.Duration, found bool) {
	window := c.spin.rule.Window
	if timeout >= 0 {
		window = min(window, timeout)
	}
	if window == 0 || !c.spin.canPoll(&c.port) {
		return 0, false
	}
	if c.port.shows() && (c.port.hides() || c.operations.underWay()) {
		_ = c.ask() // an error comes again when the loop sleeps
	}
	if c.busy() {
		return 0, true
	}
	return c.lookUntil(window)
}

// lookUntil looks for events for at most window. An event that is there immediately costs
// no look at the clock.
func (c *Context) lookUntil(window time.Duration) (spun time.Duration, found bool) {
	s := &c.spin
	c.observer.emit(TracePollBegin, "", int64(window))
	s.started = true
	for _, h := range s.handlers {
		h.beginPolling()
	}
	looks := looksPerReading
	if len(s.handlers) > 0 {
		looks = 1
	}
	if found = c.look(2 * looks); !found {
		if s.trusted = 0; s.severalCPUs() {
			spun, found = c.lookByTheClock(window, looks)
		}
	}
	if c.observer != nil {
		c.observer.looked(spun)
	}
	if found {
		c.stats.count(statPollHits)
	} else {
		c.stats.count(statPollMisses)
	}
	return spun, found
}

// lookByTheClock looks until the window is over. The clock is read after each batch of
// looks, so finding an event never waits for a clock read.
func (c *Context) lookByTheClock(window time.Duration, looks int) (spun time.Duration, found bool) {
	for start := c.watch.readAgain(); spun < window; spun = c.watch.readAgain() - start {
		if c.look(looks) {
			return max(spun, 1), true
		}
	}
	return spun, false
}

// look takes so many looks, or as many as it takes to see something.
func (c *Context) look(times int) (found bool) {
	for ; times > 0 && !found; times-- {
		found = c.gate.Pending() || c.halves.pushed(&c.watch) || c.port.shown()
		// Handlers are asked in any case, or notifies without a pause would starve them.
		for _, h := range c.spin.handlers {
			found = c.lookAt(h) || found
		}
	}
	return found
}

func (c *Context) lookAt(h *Handler) bool {
	if !h.poll() {
		return false
	}
	c.ready.append(h)
	return true
}

// stopPolling lets the handlers send notifications again, and looks once more. At one whose
// callback runs, the last look is still to come.
func (c *Context) stopPolling() (found bool) {
	endPolling(c.spin.handlers)
	missed := false
	for _, h := range c.spin.handlers {
		found = c.lookAt(h) || found
		missed = missed || h.inside()
	}
	if len(c.spin.handlers) > 0 { // Poll callbacks take their time, and may arm timers
		c.watch.expire()
	}
	c.spin.started = missed // last: if a callback panics, the last look is still to come
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

// SetPolling changes what WithPolling has set, from the next iteration on. The window begins at
// 0. Any goroutine may call it. On ppoll and epoll, a notifier that was watched while polling was
// off is like a descriptor, which only the kernel watches, until Change of its handler.
func (c *Context) SetPolling(p Polling) error {
	if err := p.check("SetPolling"); err != nil {
		return err
	}
	if c.home.closed() {
		return ErrClosed
	}
	c.waker.stamp(p.Max > 0)
	c.spin.ask(p)
	c.handlersChanged() // refresh takes it: iterations look for no change of their own
	return nil
}

// refresh brings the home goroutine's view of the handlers, and of SetPolling, up to date.
func (c *Context) refresh() {
	before := c.spin.handlers
	count, polled := c.table.view()
	if c.spin.change() {
		c.waker.stamp(c.spin.enabled())
	}
	c.scheduleClosings()
	c.port.changed(count)
	c.spin.handlers = polled
	c.spin.blind = len(polled) < int(count)
	var owed []*Handler
	for _, h := range before {
		if h.polled != nil && h.polled != h.cb.Load() { // closed or changed on another goroutine
			owed = append(owed, h)
		}
	}
	endPolling(owed)
	if c.observer.debugs() {
		c.checkDescriptors()
		c.table.change() // it comes here again in each iteration
	}
}
