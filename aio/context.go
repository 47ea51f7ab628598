//go:build linux

package aio

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio/internal/osthread"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

// Context is an event loop: QEMU's AioContext. See the package documentation for
// what it owns and for the goroutine that it belongs to.
//
// A Context is made with New, driven with Run, Poll or TryPoll, and ended with
// Close. Nothing is lost if it is made on one goroutine and driven on another.
type Context struct {
	name     string
	reason   string // why the backend was chosen
	mode     Mode
	thread   *osthread.Settings // what it asks for its thread, or nil
	notifier *EventNotifier
	virtual  *VirtualClock
	trace    func(TraceEvent)

	// The Poller and the abilities that it has.
	poller    backend.Poller
	peeker    backend.Peeker
	submitter backend.Submitter
	pollable  backend.Pollable
	queryable backend.Queryable
	parker    *parker // nil in thread mode

	// state says whether the loop is idle, inside Poll, or closed; home is the
	// goroutine that polls, 0 before the first Poll.
	home    atomic.Uintptr
	state   atomic.Uint32
	changed atomic.Bool // handlers has changed since the last refresh

	mu       sync.Mutex // guards the next two but for find, and Handler.muted; taken before the Poller's own
	handlers handlerTable
	ended    chan struct{} // closed by Close; made when it is first asked for

	timers [clocks]timerList

	_ cacheLinePad // what notifiers write lies in lines of its own

	// The notify protocol, see notify.go.
	notified atomic.Uint64 // counts notifies
	notifyMe atomic.Uint32 // whether the loop sleeps or is about to, and where: whoever clears this wakes it up
	arrived  atomic.Int64  // Realtime of the last such notify, for adaptive polling
	written  atomic.Uint64 // counts those notifies
	queue    bhQueue       // its second half is the home goroutine's, on a line of its own

	// The rest belongs to the home goroutine.
	prepared  bool // a foreign loop is between Prepare and Check
	between   bool // a Poll or Run is, and reminds it at its end
	reminded  bool // it was reminded, with the notify that comes after the accepted ones
	direct    bool // the foreign loop waits for the notifier, which the Poller does not watch
	edge      bool // the notifier need not be read
	locked    bool
	unseen    bool         // the Poller has not waited since handlers changed
	nowValid  bool         // now is
	depth     int32        // of nested Polls
	watched   int32        // handlers, as of the last refresh
	unset     func() error // undoes what was done to the thread, or nil
	yielder   *yielder     // among the yielders, nil if there is none
	accepted  uint64       // the value of notified when the loop last looked
	taken     uint64       // counts bottom halves taken from queue
	batch     bhList       // bottom halves of this iteration that have not run yet
	idle      bhList
	idleBatch bhList // idle ones that run now, and have not run yet
	idleSince time.Duration
	ready     handlerList // handlers with events that were not dispatched yet
	events    []backend.Ready
	adaptive  adaptive
	now       time.Duration // Realtime, valid if nowValid
	native
	stats Stats
}

// cacheLinePad keeps fields written by different CPUs out of each other's lines.
type cacheLinePad [64]byte

// What notifyMe holds.
const (
	isAwake  uint32 = iota
	isAsleep        // in the kernel, or a foreign loop is on its behalf
	isParked
)

// What state holds.
const (
	stateIdle uint32 = iota
	statePolling
	stateBorrowed // another goroutine reads what belongs to the home goroutine
	stateClosed
)

// firstEvents is how many events a Wait can return at first; the room doubles
// when it is filled, up to maxEvents.
const (
	firstEvents = 4
	maxEvents   = 1024
)

// notifierTag is the tag of the Context's own notifier, notifierEvents what it is
// watched for.
var notifierTag = backend.MakeTag(0, 0)

const notifierEvents = backend.In | backend.Edge

// New returns a Context. It fails if the chosen backend is not available, with an
// error that matches backend.ErrUnavailable and says what to change; if the
// environment variable AIOLOOP_BACKEND names no backend; or if the process has no
// file descriptor left (EMFILE). A Context takes one or two descriptors, in park mode
// up to four.
func New(opts ...Option) (*Context, error) {
	var o options
	if err := errors.Join(o.apply(opts), o.resolveMode()); err != nil {
		return nil, errors.Join(err, o.discard())
	}
	// First of all, so that Auto can do with what is left: ppoll opens nothing else.
	notifier, err := NewEventNotifier()
	if err != nil {
		return nil, errors.Join(err, o.discard())
	}
	poller, reason, err := o.open()
	if err != nil {
		return nil, errors.Join(err, notifier.Close())
	}
	c := newContext(&o, poller, reason)
	c.notifier = notifier
	if err := errors.Join(poller.Add(notifier.FD(), notifierEvents, notifierTag), c.parker.attend()); err != nil {
		return nil, errors.Join(fmt.Errorf("aio: %w", err), c.parker.close(), poller.Close(), notifier.Close())
	}
	c.virtual.join(c)
	return c, nil
}

// open makes the Poller, or takes the user's own, and says why that one.
func (o *options) open() (p backend.Poller, reason string, err error) {
	if o.poller != nil {
		return o.poller, "given with WithPoller", nil
	}
	return o.backend.open(o.mode)
}

// apply applies all options, also after one has failed: there may be a Poller to
// discard among them.
func (o *options) apply(opts []Option) (err error) {
	for _, opt := range opts {
		if opt == nil {
			err = errors.Join(err, errors.New("aio: New: an Option is nil"))
			continue
		}
		err = errors.Join(err, opt(o))
	}
	return err
}

// discard closes the user's Poller, which New has taken over.
func (o *options) discard() error {
	if o.poller == nil {
		return nil
	}
	return o.poller.Close()
}

func newContext(o *options, poller backend.Poller, reason string) *Context {
	c := &Context{
		name: o.name, reason: reason, mode: o.mode, thread: o.thread,
		trace: o.trace, virtual: o.virtual,
		poller:   poller,
		events:   make([]backend.Ready, firstEvents),
		adaptive: adaptive{Rule: o.polling.rule()},
	}
	if c.virtual == nil {
		c.virtual = NewVirtualClock()
	}
	c.peeker, _ = poller.(backend.Peeker)
	c.submitter, _ = poller.(backend.Submitter)
	c.pollable, _ = poller.(backend.Pollable)
	c.queryable, _ = poller.(backend.Queryable)
	if e, ok := poller.(backend.EdgeTriggered); ok {
		c.edge = e.EdgeTriggered()
	}
	if o.mode == ModePark {
		c.parker = newParker(poller, c.pollable, c.edge)
	}
	c.queue.init()
	c.handlers.init()
	for id := range c.timers {
		c.timers[id].init(c, ClockID(id))
	}
	return c
}

// Name returns what was given to WithName.
func (c *Context) Name() string { return c.name }

// Backend returns the live backend and why it was chosen.
func (c *Context) Backend() BackendInfo { return BackendInfo{c.poller.Name(), c.reason} }

// Mode returns ModeThread or ModePark.
func (c *Context) Mode() Mode { return c.mode }

// closed reports whether Close was called.
func (c *Context) closed() bool { return c.state.Load() == stateClosed }

func (c *Context) closedError() error {
	if c.closed() {
		return ErrClosed
	}
	return nil
}

// maySleep reports whether the loop, or a foreign one on its behalf, may be asleep
// while the caller changes something, or be about to with a timeout from before.
func (c *Context) maySleep() bool { return !c.onHome() || c.prepared }

// onHome reports whether the caller is the home goroutine.
func (c *Context) onHome() bool {
	return c.home.Load() == uintptr(goroutine.Current())
}

// pollerError puts an error of the Poller into the terms of this package.
func (c *Context) pollerError(err error) error {
	if err == nil || err == ErrClosed {
		return err
	}
	if errors.Is(err, backend.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("aio: %w", err)
}

// handlersChanged makes the loop take notice of a change, also if it is asleep.
func (c *Context) handlersChanged() {
	c.changed.Store(true) // N1
	if c.maySleep() {
		c.Notify()
	}
}

// readClock returns Realtime, read once for each time that the loop has slept.
func (c *Context) readClock() time.Duration {
	if !c.nowValid {
		c.now, c.nowValid = sys.Monotonic(), true
	}
	return c.now
}

func (c *Context) emit(point TracePoint, name string, value int64) {
	if c.trace != nil {
		c.trace(TraceEvent{Point: point, At: sys.Monotonic(), Name: name, Value: value})
	}
}

// Close ends the Context and releases its descriptors. It may be called from any
// goroutine when the loop is not inside Poll or Run, and fails with ErrPolling
// otherwise. Notifiers that are under way are waited for; later ones do nothing.
//
// Handlers are closed, their descriptors are not: those belong to the caller.
// What was left undone is named in a *LeakError. A second Close fails with
// ErrClosed. If the home goroutine was locked to its thread and calls Close, it
// is unlocked.
func (c *Context) Close() error {
	if before := c.transition(stateClosed); before == stateClosed {
		return ErrClosed
	} else if before == statePolling {
		return ErrPolling
	}
	c.end()
	c.virtual.leave(c)
	leaks := c.leaks()
	err := errors.Join(c.parker.close(), c.poller.Close(), c.notifier.Close())
	if c.locked && c.onHome() {
		err = errors.Join(err, c.letGo())
	}
	endPolling(c.adaptive.handlers) // a device that is left must not stay silent
	if leaks.empty() {
		return err
	}
	return errors.Join(leaks, err)
}

// end wakes up those who wait for ending.
func (c *Context) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = alreadyEnded
	} else {
		close(c.ended)
	}
}

// ending returns a channel that Close closes.
func (c *Context) ending() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
	}
	return c.ended
}

// alreadyEnded is the channel of those that nobody has asked for before Close.
var alreadyEnded = func() chan struct{} {
	ended := make(chan struct{})
	close(ended)
	return ended
}()

// leaks names what is left and lets go of it.
func (c *Context) leaks() *LeakError {
	var e LeakError
	c.mu.Lock()
	for _, h := range c.handlers.all() {
		e.Handlers = append(e.Handlers, fmt.Sprintf("fd %d: %s", h.fd, h.name()))
		h.cb.Store(nil)
	}
	c.mu.Unlock()
	c.gather()
	for _, list := range []*bhList{&c.batch, &c.idle} {
		for b := list.pop(); b != nil; b = list.pop() {
			if b.Scheduled() && !b.awaited {
				e.BottomHalves = append(e.BottomHalves, nameOf(b.name, b.fn))
			}
		}
	}
	for i := range c.timers {
		e.Timers = append(e.Timers, c.timers[i].abandon()...)
	}
	e.Operations = c.abandonOperations()
	return &e
}
