package aio

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// Bad descriptors are reported immediately, the same on every backend, and leave the
// loop as it was. (What needs more than a line is in the file of its topic: Poll
// from a second goroutine, use after Close, Close from a callback, panics, and a
// process without descriptors.)
func TestBadDescriptors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, _ := pipe(t)
		watch(t, c, r, Callbacks{Read: func(*Handler) {}})
		for _, bad := range []struct {
			name string
			fd   int
			want error
		}{
			{"negative", -1, unix.EBADF},
			{"very negative", math.MinInt, unix.EBADF},
			{"huge", math.MaxInt, unix.EBADF},
			{"not open", 1 << 30, unix.EBADF},
			{"closed", freeNumber(t), unix.EBADF},
			{"duplicate", r, unix.EEXIST},
		} {
			_, err := c.Watch(bad.fd, Callbacks{Read: func(*Handler) { t.Error("called") }})
			var fdErr *backend.FDError
			if !errors.Is(err, bad.want) || !errors.As(err, &fdErr) || fdErr.FD != bad.fd {
				t.Errorf("%s: %v, want %v", bad.name, err, bad.want)
			}
			if !strings.HasPrefix(err.Error(), "aio: ") {
				t.Errorf("%q does not say who reports it", err)
			}
		}
		settle(t, c)
	})
}

// freeNumber returns the number of a descriptor that has just been closed.
func freeNumber(t *testing.T) int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	must(t, err)
	must(t, unix.Close(fd))
	return fd
}

func TestHandlersWithoutCallbacks(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		for _, cb := range []Callbacks{
			{}, {Poll: func() bool { return false }}, {PollReady: func() {}, PollBegin: func() {}, Edge: true, Name: "x"},
		} {
			_, err := c.Watch(n.FD(), cb)
			wantError(t, err, ErrNoCallback)
		}
		_, err := c.WatchNotifier(n, Callbacks{Read: nil})
		wantError(t, err, ErrNoCallback)
		_, err = c.WatchNotifier(nil, Callbacks{Read: func(*Handler) {}})
		wantError(t, err, ErrNoCallback)
		ran := false
		h := watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { ran = true }})
		wantError(t, h.Change(Callbacks{}), ErrNoCallback)
		must(t, n.Set())
		if block(t, c); !ran {
			t.Error("a refused Change has changed something")
		}
	})
}

func TestNilFunctionsPanicWithASentence(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var guard ReentrancyGuard
		h := watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
		for _, f := range []func(){
			func() { _ = h.CloseThen(nil) },
			func() { c.NewBottomHalf(nil) },
			func() { _ = c.ScheduleOnce(nil) },
			func() { c.NewTimer(Realtime, nil) },
			func() { _ = c.Do(context.Background(), nil) },
			func() { _, _ = Call[int](context.Background(), c, nil) },
			func() { _ = guard.Do(nil) },
		} {
			wantPanic(t, f)
		}
		if guard.Engaged() {
			t.Error("the guard is left engaged")
		}
	})
}

func TestUnknownClocksPanicWithASentence(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		for _, id := range []ClockID{-1, clocks, 99} {
			wantPanic(t, func() { c.NewTimer(id, func() {}) })
			wantPanic(t, func() { c.Now(id) })
		}
	})
}

func TestBadOptions(t *testing.T) {
	checkDescriptors(t)
	for name, opt := range map[string]Option{
		"unknown backend":  WithBackend(99),
		"negative backend": WithBackend(-1),
		"nil Poller":       WithPoller(nil),
		"nil clock":        WithVirtualClock(nil),
		"nil option":       nil,
		"negative Max":     WithPolling(Polling{Max: -1}),
		"negative Grow":    WithPolling(Polling{Grow: -1}),
		"negative Shrink":  WithPolling(Polling{Shrink: -1}),
	} {
		if c, err := New(opt); err == nil || c != nil || !strings.Contains(err.Error(), "aio: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which of two would count is not for the reader to guess.
func TestOptionsGivenTwice(t *testing.T) {
	v := NewVirtualClock()
	for name, opt := range map[string]Option{
		"WithName": WithName("a"), "WithBackend": WithBackend(Epoll), "WithMode": WithMode(ModeThread),
		"WithPolling": WithPolling(Polling{}), "WithVirtualClock": WithVirtualClock(v), "WithThread": WithThread(Thread{}),
		"WithTrace": WithTrace(func(TraceEvent) {}),
	} {
		c, err := New(opt, opt)
		if err == nil {
			must(t, c.Close())
		}
		if err == nil || !strings.Contains(err.Error(), name+" is given twice") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The name of a loop is in the errors of its methods and in what it says of leaks.
func TestErrorsNameTheLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithName("disk 7"))
		_, watchErr := c.Watch(-1, Callbacks{Read: func(*Handler) {}})
		must(t, c.ScheduleOnce(func() {}))
		for _, err := range []error{watchErr, c.Close()} {
			if err == nil || !strings.Contains(err.Error(), `loop "disk 7"`) {
				t.Errorf("%v: does not name the loop", err)
			}
		}
	})
}
