//go:build linux

package aio

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/aioloop/aioloop/backend"
)

// The errors of this package, for errors.Is. Errors from the kernel wrap their
// errno; those of a backend that cannot be used match backend.ErrUnavailable.
var (
	// ErrClosed is returned by everything that is called on what is closed, a second Close
	// included, and by the handlers, bottom halves and timers of a closed Context. It matches
	// os.ErrClosed.
	ErrClosed error = closedError{}

	// ErrWrongGoroutine is returned by Poll, TryPoll and Run on a goroutine other
	// than the home goroutine, which is the one that called one of them first.
	ErrWrongGoroutine = errors.New("aio: the Context belongs to another goroutine: hand it work with a bottom half or Do")

	// ErrCoroutine is returned by the first Poll, TryPoll, Run or Prepare in a coroutine of
	// iter.Pull if it would lock the goroutine to its thread: Go ends a process that does.
	ErrCoroutine = errors.New("aio: a coroutine of iter.Pull cannot be the home goroutine of a loop that keeps its thread: poll on a goroutine, or choose park mode, or epoll without WithThread")

	// ErrPolling is returned by Close while the loop is inside Poll or Run: from
	// one of its callbacks, or from another goroutine; and in a coroutine.
	ErrPolling = errors.New("aio: the Context is polling: end Run, or return from the callback, before Close")

	// ErrNoCallback is returned by Watch and Change for Callbacks without Read, Write and
	// Priority, and by Want for what there is no callback for.
	ErrNoCallback = errors.New("aio: a handler needs a Read, a Write or a Priority callback")

	// ErrReentrant is returned by ReentrancyGuard.Do when the guarded code is
	// running already.
	ErrReentrant = errors.New("aio: guarded code was entered again from within itself")

	// ErrDeadlock is returned by Do, Call, WaitWhile and IOThread.Stop of a loop with WithDebug if
	// it would wait for one that waits for the caller, and by IOThread.Stop in a callback of the
	// loop that it stops.
	ErrDeadlock = errors.New("loops would wait for each other without end: let one of them schedule a bottom half instead")

	// ErrPanicked is returned by Do and Call when the function did not return: it
	// panicked, which goes on to the caller of Poll, or it ended its goroutine. IOThread.Stop
	// returns it if a callback ended the goroutine.
	ErrPanicked = errors.New("aio: the function panicked on the loop")
)

// deadlockError is ErrDeadlock of a loop that would wait for itself.
type deadlockError string

func (e deadlockError) Error() string      { return string(e) }
func (deadlockError) Is(target error) bool { return target == ErrDeadlock }

// callbackError is ErrNoCallback where more can be said.
type callbackError string

func (e callbackError) Error() string      { return string(e) }
func (callbackError) Is(target error) bool { return target == ErrNoCallback }

type closedError struct{}

func (closedError) Error() string        { return "aio: closed" }
func (closedError) Is(target error) bool { return target == os.ErrClosed }

// LeakError is returned by Close when something was left in the Context. The
// Context is closed all the same, and none of what is listed will ever run.
type LeakError struct {
	Loop         string   // its name
	Handlers     []string // handlers that were not closed: fd and name
	BottomHalves []string // bottom halves that were scheduled and had not run
	Timers       []string // timers that were pending
	Operations   []string // what was under way: native operations, what and fd, and what attachments name
}

func (e *LeakError) Error() string {
	var parts []string
	for _, kind := range []struct {
		what  string
		names []string
	}{{"open handlers", e.Handlers}, {"scheduled bottom halves", e.BottomHalves}, {"pending timers", e.Timers}, {"operations under way", e.Operations}} {
		if len(kind.names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(kind.names), kind.what, strings.Join(kind.names, ", ")))
		}
	}
	loop := ""
	if e.Loop != "" {
		loop = fmt.Sprintf("loop %q ", e.Loop)
	}
	return "aio: " + loop + "closed with " + strings.Join(parts, ", ")
}

func (e *LeakError) empty() bool {
	return len(e.Handlers)+len(e.BottomHalves)+len(e.Timers)+len(e.Operations) == 0
}

// error puts an error of the Poller into the terms of this package.
func (c *Context) error(err error) error {
	switch {
	case err == nil || err == ErrClosed:
		return err
	case errors.Is(err, backend.ErrClosed):
		return ErrClosed
	case c.name == "":
		return fmt.Errorf("aio: %w", err)
	}
	return fmt.Errorf("aio: loop %q: %w", c.name, err)
}
