package mainloop

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// Loop is the main loop of a program: a MainContext, and in it two aio.Contexts as
// sources. They are made alike and differ only in who notifies them: the AIO
// context is for the program's own bottom halves, timers and events, the I/O
// handler context for descriptors from outside, signals above all.
//
// The goroutine that calls Wait or Run first is the home goroutine of both.
type Loop struct {
	main      *MainContext
	aio       *aio.Context
	iohandler *aio.Context
	signals   *Signals
	pollers   []Poller
	waiting   atomic.Bool
	reason    atomic.Pointer[error] // why Run is to end
}

// Poller takes part in each wait of a Loop, for descriptors that no source has.
// All functions are called on the home
// goroutine; each of them may be nil.
type Poller struct {
	// Fill appends descriptors to wait for, and may shorten the timeout.
	Fill func(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration)
	// OK is called after the wait with all descriptors that Pollers have appended.
	OK func(fds []PollFD)
	// Error is called instead if the wait has failed.
	Error func(err error)
}

// Option configures Init.
type Option func(*options) error

type options struct {
	name    string
	aio     []aio.Option
	signals []syscall.Signal
}

// WithAIO makes both aio.Contexts with these options: aio.WithBackend, aio.WithPolling,
// aio.WithTrace and so on. Neither aio.WithPoller, which is for one Context, nor aio.WithName.
func WithAIO(opts ...aio.Option) Option {
	return func(o *options) error {
		o.aio = append(o.aio, opts...)
		return nil
	}
}

// WithName names the Loop: its Contexts are called name/aio and name/iohandler, instead of aio and
// iohandler, in errors and traces.
func WithName(name string) Option {
	return func(o *options) error {
		if o.name != "" {
			return errors.New("mainloop: WithName is given twice: leave one out")
		}
		o.name = name
		return nil
	}
}

// initialized is set while the process has a Loop: signals belong to a process.
var initialized atomic.Bool

// Init makes the main loop of the program. In this order: signals, which are
// handled in the I/O handler context; the AIO context and its source; the I/O
// handler context's source. It fails with ErrInitialized if there is one already
// that was not closed, and like aio.New.
func Init(opts ...Option) (*Loop, error) {
	if initialized.Swap(true) {
		return nil, ErrInitialized
	}
	l, err := initialize(opts)
	if err != nil {
		initialized.Store(false)
		return nil, err
	}
	return l, nil
}

func initialize(opts []Option) (_ *Loop, err error) {
	var o options
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	l := new(Loop)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
		}
	}()
	if l.main, err = NewMainContext(); err != nil {
		return nil, err
	}
	if l.iohandler, err = o.newContext("iohandler"); err != nil {
		return nil, err
	}
	if l.signals, err = newSignals(l.iohandler, o.signals); err != nil {
		return nil, err
	}
	if l.aio, err = o.newContext("aio"); err != nil {
		return nil, err
	}
	if err = l.attach(l.aio); err != nil {
		return nil, err
	}
	return l, l.attach(l.iohandler)
}

func (o *options) newContext(name string) (*aio.Context, error) {
	full := name
	if o.name != "" {
		full = o.name + "/" + name
	}
	c, err := aio.New(append([]aio.Option{aio.WithName(full)}, o.aio...)...)
	if err != nil {
		return nil, fmt.Errorf("mainloop: the %s context: %w", name, err)
	}
	return c, nil
}

func (l *Loop) attach(c *aio.Context) error {
	return NewAIOSource(c.Name(), c).Attach(l.main)
}

// Context returns the MainContext, to attach sources of one's own to.
func (l *Loop) Context() *MainContext { return l.main }

// AIO returns the context that bottom halves and timers go to.
func (l *Loop) AIO() *aio.Context { return l.aio }

// IOHandler returns the context that descriptors from outside and signals go to.
func (l *Loop) IOHandler() *aio.Context { return l.iohandler }

// Signals returns what delivers signals to the I/O handler context.
func (l *Loop) Signals() *Signals { return l.signals }

// NotifyEvent makes the loop go round once. Any
// goroutine may call it.
func (l *Loop) NotifyEvent() { l.aio.Notify() }

// ScheduleBH calls fn once in the AIO context. Any goroutine may call it.
func (l *Loop) ScheduleBH(fn func()) error { return l.aio.ScheduleOnce(fn) }

// SetFDHandler watches fd in the I/O handler context.
// Any goroutine may call it; closing the result ends the watch.
func (l *Loop) SetFDHandler(fd int, cb aio.Callbacks) (*aio.Handler, error) {
	return l.iohandler.Watch(fd, cb)
}

// AddPoller makes p take part in each wait. It is called on the home goroutine, or
// before there is one.
func (l *Loop) AddPoller(p Poller) { l.pollers = append(l.pollers, p) }

// Wait does one turn: it fills in the descriptors of all
// sources and Pollers, computes the soonest timeout of sources, bottom halves and
// timers on all clocks, waits in ppoll(2) with nanoseconds, hands the results back
// and dispatches. It reports whether there was progress. It fails with ErrWaiting
// if it is called from within itself, and with the errors of the sources.
func (l *Loop) Wait() (progress bool, err error) { return l.wait(-1) }

// TryWait is Wait without waiting.
func (l *Loop) TryWait() (progress bool, err error) { return l.wait(0) }

func (l *Loop) wait(limit time.Duration) (progress bool, err error) {
	if err := l.main.Acquire(); err != nil {
		return false, err
	}
	defer l.main.Release()
	if l.waiting.Swap(true) {
		return false, ErrWaiting
	}
	defer l.waiting.Store(false)
	return l.main.iterate(limit, l)
}

func (l *Loop) fill(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration) {
	for _, p := range l.pollers {
		if p.Fill == nil {
			continue
		}
		var wanted time.Duration
		fds, wanted = p.Fill(fds, timeout)
		if wanted >= 0 && (timeout < 0 || wanted < timeout) {
			timeout = wanted
		}
	}
	return fds, timeout
}

func (l *Loop) polled(fds []PollFD, err error) {
	for _, p := range l.pollers {
		switch {
		case err != nil && p.Error != nil:
			p.Error(err)
		case err == nil && p.OK != nil:
			p.OK(fds)
		}
	}
}

// Run calls Wait until ctx ends, and returns nil then, or until Stop is called, and returns the
// reason given to that, or the first error of Wait. The turn under way is completed.
func (l *Loop) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.NotifyEvent)()
	for {
		if reason := l.reason.Swap(nil); reason != nil {
			return *reason
		}
		if ctx.Err() != nil { // asked here, so that no ctx of an earlier Run ends this one
			return nil
		}
		if _, err := l.Wait(); err != nil {
			return err
		}
	}
}

// Stop ends Run, which returns reason, nil for example; the first reason counts. Any goroutine
// may call it; if Run is not running, the next one ends immediately. Run may be called again.
func (l *Loop) Stop(reason error) {
	l.reason.CompareAndSwap(nil, &reason)
	l.NotifyEvent()
}

// Close ends the loop: default actions of signals are restored, and both contexts
// are closed, which reports what was left in them. It is called on the home
// goroutine, outside of Wait.
func (l *Loop) Close() error {
	if l.waiting.Load() {
		return ErrWaiting
	}
	err := l.main.Close()
	if err == ErrClosed || err == ErrOwned { // nothing has happened
		return err
	}
	defer initialized.Store(false)
	return errors.Join(err, l.release())
}

// release closes what Init has made so far.
func (l *Loop) release() error {
	var errs []error
	if l.signals != nil {
		errs = append(errs, l.signals.close())
	}
	if l.main != nil {
		if err := l.main.Close(); err != ErrClosed {
			errs = append(errs, err)
		}
	}
	for _, c := range []*aio.Context{l.aio, l.iohandler} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
