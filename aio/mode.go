//go:build linux

package aio

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/ppoll"
)

// Mode says where a loop sleeps. *Mode is a flag.Value and an
// encoding.TextUnmarshaler.
//
// In thread mode the home goroutine sleeps in a system call, on a thread that it
// keeps in the meantime. What wakes it up is an event or the write of a notifier, and
// nothing stands between the kernel and the loop but the kernel's scheduler; with
// [WithThread] a loop is punctual on a machine whose CPUs are all busy.
//
// In park mode it sleeps like any goroutine that waits, and takes up no thread. Go's
// scheduler is in between, which is a loss for events from outside while all Ps
// are busy, and a gain for everything between goroutines: a loop that wakes up
// another one, and [Context.Do], need no system call. docs/tuning.md has figures.
//
// In park mode on io_uring the kernel completes a request on the thread that submitted it.
// While that thread waits for a CPU, some milliseconds under load, TryPoll does not see
// what is ready, so that a TryPoll without progress does not mean that nothing is. Poll
// waits for it. On epoll TryPoll sees everything.
type Mode int

// The modes.
const (
	ModeAuto   Mode = iota // park where GOMAXPROCS is 1, the backend can and there is no WithThread, else thread
	ModeThread             // all backends
	ModePark               // epoll, io_uring and Pollers that are backend.Pollable
)

var modeNames = [...]string{ModeAuto: "auto", ModeThread: "thread", ModePark: "park"}

// String returns the name: "auto", "thread" or "park".
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modeNames[m]
}

// Set implements flag.Value.
func (m *Mode) Set(name string) error {
	for i, known := range modeNames {
		if name == known {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("aio: unknown mode %q: choose one of %s", name, strings.Join(modeNames[:], ", "))
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) error { return m.Set(string(text)) }

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) {
	if m < 0 || int(m) >= len(modeNames) {
		return nil, fmt.Errorf("aio: unknown mode %d", int(m))
	}
	return []byte(m.String()), nil
}

// WithMode chooses where the loop sleeps. New fails with errors.ErrUnsupported if
// it is ModePark and the backend, ppoll for example, cannot do it.
func WithMode(m Mode) Option {
	return func(o *options) error {
		if _, err := m.MarshalText(); err != nil {
			return err
		}
		o.mode = m
		return o.once("WithMode")
	}
}

// resolve makes one of the two modes out of ModeAuto. Where there is one P, a loop
// that sleeps in a system call holds it until the runtime takes it away, which is
// what everybody else waits for.
func (m Mode) resolve(o *options) Mode {
	switch {
	case m != ModeAuto:
		return m
	case runtime.GOMAXPROCS(0) == 1 && !o.thread.Wanted() && o.canPark():
		return ModePark
	}
	return ModeThread
}

// canPark reports whether the backend that was asked for can.
func (o *options) canPark() bool {
	if o.poller != nil {
		return parkable(o.poller) == nil
	}
	b, _, err := o.backend.fromEnvironment()
	return err == nil && b != Ppoll
}

// parkable says why a loop cannot park on p.
func parkable(p backend.Poller) error {
	if _, ok := p.(backend.Pollable); !ok {
		return fmt.Errorf("aio: park mode: the %s backend has no descriptor to wait for: choose epoll or io_uring, or thread mode: %w", p.Name(), errors.ErrUnsupported)
	}
	if _, ok := p.(backend.Binder); ok {
		return fmt.Errorf("aio: park mode: the %s Poller belongs to a thread: choose thread mode: %w", p.Name(), errors.ErrUnsupported)
	}
	return nil
}

// resolveMode settles the mode, and whether it can be had.
func (o *options) resolveMode() error {
	o.mode = o.mode.resolve(o)
	switch {
	case o.mode == ModeThread:
		return nil
	case o.thread.Wanted():
		return errors.New("aio: WithThread: a loop in park mode has no thread: leave out one of the two")
	case o.poller != nil:
		return parkable(o.poller)
	}
	if b, _, err := o.backend.fromEnvironment(); err != nil || b != Ppoll {
		return nil // open reports what is wrong with the environment
	}
	return parkable(ppoll.New())
}
