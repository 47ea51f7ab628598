//go:build linux

package aio

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/aioloop/aioloop/aio/internal/osthread"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/gate"
	"github.com/aioloop/aioloop/internal/timeslice"
)

// Context is an event loop. See the package documentation for
// what it owns and for the goroutine that it belongs to.
//
// A Context is made with New, driven with Run, Poll or TryPoll, and ended with
// Close. Nothing is lost if it is made on one goroutine and driven on another.
type Context struct {
	virtual  *VirtualClock
	observer *observer

	// Each part is explained where its type is, in a file of its own. Only that file
	// touches its fields.
	port     port
	home     home
	ending   ending
	table    handlerTable
	closings closings
	attached attachments
	timers   timers
	alarm    alarm

	// What notifiers write is kept off the loop's cache lines. These are hardly ever used.
	name   string
	reason string       // why the backend was chosen
	drains atomic.Int32 // calls of RunUntilDone, which end when nothing is left
	holds  atomic.Int32 // reasons for those to go on, see Hold
	_      [unsafe.Sizeof(cacheLinePad{}) - 2*unsafe.Sizeof("") - 8]byte

	gate   gate.Gate
	waker  waker
	halves halves // its first field is the last that notifiers write, a pad follows it

	turn         foreignTurn
	watch        stopwatch
	ready        readyList
	batch        batch
	spin         spin
	glance       glance
	kernelGlance glance
	slice        timeslice.Slice
	operations   operations
	stats        counters
}

// cacheLinePad keeps fields written by different CPUs out of each other's cache lines.
type cacheLinePad [64]byte

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
	if err := o.setBatch(poller); err != nil {
		return nil, errors.Join(err, poller.Close(), notifier.Close())
	}
	c := newContext(&o, poller, reason, notifier)
	if err := errors.Join(poller.Add(notifier.FD(), notifierEvents, notifierTag), c.port.startWatcher()); err != nil {
		return nil, errors.Join(fmt.Errorf("aio: %w", err), c.port.close(), notifier.Close())
	}
	c.virtual.join(c)
	c.observer.join(c)
	loops.join(c)
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

// settings are what the thread is given, nil if nothing.
func (o *options) settings() *osthread.Settings {
	if o.thread.Name == "" && !o.thread.Wanted() {
		return nil
	}
	return &o.thread
}

func newContext(o *options, poller backend.Poller, reason string, notifier *EventNotifier) *Context {
	c := &Context{
		name: o.name, reason: reason,
		observer: o.observer(), virtual: o.virtual,
		port: newPort(poller, o.mode),
		home: newHome(o.settings()),
		spin: newSpin(o.polling),
	}
	if c.virtual == nil {
		c.virtual = NewVirtualClock()
	}
	c.waker.init(notifier, c.spin.enabled())
	c.halves.init()
	c.table.init()
	if c.port.parks() || o.thread.Ahead() {
		c.slice.Off()
	}
	return c
}

// Name returns what was given to WithName.
func (c *Context) Name() string { return c.name }

// Backend returns the live backend and why it was chosen.
func (c *Context) Backend() BackendInfo { return BackendInfo{c.port.Name(), c.reason} }

// Mode returns ModeThread or ModePark.
func (c *Context) Mode() Mode {
	if c.port.parks() {
		return ModePark
	}
	return ModeThread
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
	if err := c.home.close(); err != nil {
		return err
	}
	c.virtual.leave(c)
	c.observer.leave(c)
	loops.leave(c)
	KickWaiters() // those that wait for c end, and attachments may wait for them
	left := c.attached.end()
	c.alarm.close()
	leaks := c.leaks()
	leaks.Operations = append(leaks.Operations, left...)
	c.ending.end() // the counters stay as they are
	err := errors.Join(c.port.close(), c.waker.close())
	if c.home.mine() {
		err = errors.Join(err, c.error(c.home.releaseThread()))
	}
	c.home.left()
	c.spin.abandon() // a device that is left must not stay silent
	c.closings.abandon()
	if leaks.empty() {
		return err
	}
	return errors.Join(leaks, err)
}

// leaks names what is left and lets go of it.
func (c *Context) leaks() *LeakError {
	return &LeakError{
		Loop:         c.name,
		Handlers:     c.table.abandon(),
		BottomHalves: c.halves.abandon(&c.watch),
		Timers:       c.timers.abandon(),
		Operations:   c.operations.names(&c.port),
	}
}
