//go:build linux

package aio

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aioloop/aioloop/aio/internal/osthread"
	"github.com/aioloop/aioloop/aio/internal/polling"
	"github.com/aioloop/aioloop/backend"
)

// Option configures a Context. New fails if one is given twice.
type Option func(*options) error

type options struct {
	name    string
	backend Backend
	poller  backend.Poller
	polling Polling
	virtual *VirtualClock
	mode    Mode
	thread  osthread.Settings
	batch   int           // see WithBatching
	stay    time.Duration // the same

	observed bool // one of the next four is asked for, or WithTimings
	trace    func(TraceEvent)
	slow     func(SlowCallback)
	limit    time.Duration
	debug    *debugger

	given []string // the options that were given
}

// once is called by each option: which of two would count is not for the reader to guess.
func (o *options) once(option string) error {
	if slices.Contains(o.given, option) {
		return fmt.Errorf("aio: %s is given twice: leave one out", option)
	}
	o.given = append(o.given, option)
	return nil
}

// WithName names the Context in errors and traces, and its thread, if it keeps one: the home
// goroutine is locked to it in thread mode with io_uring, and with WithThread. The thread has the
// first 15 bytes of the name, in ps -L for example, until Close; the first thread of the process
// keeps the name of the process.
func WithName(name string) Option {
	return func(o *options) error {
		o.name, o.thread.Name = name, name
		return o.once("WithName")
	}
}

// WithBackend chooses the kernel interface. Without it, and with Auto, the
// environment variable AIOLOOP_BACKEND decides, and without that the kernel.
func WithBackend(b Backend) Option {
	return func(o *options) error {
		if _, err := b.MarshalText(); err != nil {
			return err
		}
		o.backend = b
		return o.once("WithBackend")
	}
}

// WithPoller makes the Context wait on a Poller of the caller's own; it passes
// the suite in backend/backendtest. The Context owns it, and closes it, from New
// on, even if New fails. It takes precedence over WithBackend. A second WithPoller makes
// New fail and close both.
func WithPoller(p backend.Poller) Option {
	return func(o *options) error {
		if p == nil {
			return fmt.Errorf("aio: WithPoller(nil)")
		}
		if err := o.once("WithPoller"); err != nil {
			return errors.Join(err, p.Close())
		}
		o.poller = p
		return nil
	}
}

// WithPolling makes the loop poll in user space, for at most p.Max, before it
// sleeps. See Polling. All backends honour it. Context.SetPolling changes it later.
func WithPolling(p Polling) Option {
	return func(o *options) error {
		if err := p.check("WithPolling"); err != nil {
			return err
		}
		o.polling = p
		return o.once("WithPolling")
	}
}

// WithBatching makes a loop that has slept and has an event stay asleep until there are n, or until d is
// over since it fell asleep: fewer wake-ups for a stream of completions, at the price of being late by
// up to d for each event that comes alone, a notify among them. n is 1 to 256, d 1 µs or more. It needs io_uring
// and Linux 6.12 (IORING_FEAT_MIN_TIMEOUT): elsewhere New fails with errors.ErrUnsupported. It has no
// effect in park mode and in a foreign loop, which do not sleep in the ring.
func WithBatching(n int, d time.Duration) Option {
	return func(o *options) error {
		if n < 1 || n > 256 || d < time.Microsecond {
			return fmt.Errorf("aio: WithBatching(%d, %v): use 1 to 256, and 1 µs or more", n, d)
		}
		o.batch, o.stay = n, d
		return o.once("WithBatching")
	}
}

// setBatch asks p for what WithBatching wants.
func (o *options) setBatch(p backend.Poller) error {
	if o.batch == 0 {
		return nil
	}
	b, ok := p.(backend.Batcher)
	if !ok {
		return fmt.Errorf("aio: WithBatching: the %s backend waits for one event: %w", p.Name(), errors.ErrUnsupported)
	}
	if err := b.Batch(o.batch, o.stay); err != nil {
		return fmt.Errorf("aio: WithBatching: %w", err)
	}
	return nil
}

func (p Polling) check(op string) error {
	if p.Max < 0 || p.Grow < 0 || p.Shrink < 0 {
		return fmt.Errorf("aio: %s: negative value in %+v", op, p)
	}
	if p.Rule != PollLearned && p.Rule != PollQEMU {
		return fmt.Errorf("aio: %s: there is no rule %d: use PollLearned or PollQEMU", op, int(p.Rule))
	}
	return nil
}

// WithVirtualClock makes Virtual and VirtualRT timers of this Context run on v,
// which several Contexts may share. Without it each Context has a clock of its own.
func WithVirtualClock(v *VirtualClock) Option {
	return func(o *options) error {
		if v == nil {
			return fmt.Errorf("aio: WithVirtualClock(nil)")
		}
		o.virtual = v
		return o.once("WithVirtualClock")
	}
}

// WithTrace calls f at the loop's trace points, on the home goroutine. f must not
// block and must not call the Context. Package tracing has functions for log/slog, for
// runtime/trace and for the labels of runtime/pprof.
func WithTrace(f func(TraceEvent)) Option {
	return func(o *options) error {
		if f == nil {
			return fmt.Errorf("aio: WithTrace: the function is nil")
		}
		o.observed, o.trace = true, f
		return o.once("WithTrace")
	}
}

// Polling are the parameters of adaptive polling. While the loop has nothing to do
// it looks for events in user space, for a window that the Rule sets, before it
// sleeps. A notify that arrives in the meantime costs no system call and no wake-up;
// looking costs CPU time.
//
// The loop never polls when GOMAXPROCS is 1, nor, on ppoll and epoll, while a
// handler of Watch without a Poll callback is registered: only io_uring shows the
// readiness of a descriptor without a system call.
type Polling struct {
	// Max is the limit of the window: how long the loop may look in vain. 0, the
	// default, switches polling off. QEMU's default for an I/O thread is 32 µs.
	Max time.Duration
	// Rule sets the window, between 0 and Max, after each wait.
	Rule PollingRule
	// Grow is the factor by which PollQEMU's window grows; 0 means 2.
	Grow int
	// Shrink is the divisor by which PollQEMU's window shrinks; 0 means that it
	// goes to 0.
	Shrink int
}

// PollingRule says what the window of adaptive polling follows from. The rules are
// compared, in a simulation, in aio/internal/polling/testdata/pollrules.txt.
type PollingRule int

// The rules.
const (
	// PollLearned weighs, over the last few dozen waits, the time that a window
	// would have cost against the wake-ups that it would have saved. While most of the
	// last few hundred events are found, one is worth spending Max and the price of a
	// wake-up on it; otherwise no more than the CPU time of a sleep, because the median
	// stays what it is. The times are those at which events arrived, not at which the
	// thread had woken up, so that a machine where that takes long is no different.
	PollLearned PollingRule = iota
	// PollQEMU is QEMU's rule. The window grows by the factor Grow, from 4 µs on,
	// when the thread was woken up later than the window and before Max was over,
	// and shrinks when it was woken up later than that.
	PollQEMU
)

// rule returns the rule that p asks for.
func (p Polling) rule() polling.Rule {
	return polling.NewRule(polling.Config{Max: p.Max, Learned: p.Rule == PollLearned, Grow: p.Grow, Shrink: p.Shrink})
}
