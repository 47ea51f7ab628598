package epoll

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// waiter sleeps in epoll_pwait2(2), which takes nanoseconds, or where that is
// missing in epoll_pwait(2), which takes milliseconds.
type waiter struct {
	milliseconds bool // latched when the kernel or a filter refuses epoll_pwait2
}

func (w *waiter) wait(epfd int, events []unix.EpollEvent, timeout time.Duration) (int, error) {
	deadline := sys.Deadline(timeout)
	for range sys.MaxInterrupts {
		n, err := w.once(epfd, events, timeout)
		switch {
		case err == unix.EINTR: // a signal, often the Go scheduler's own: wait for the rest
			timeout = sys.Until(deadline)
		case w.refused(err): // ask again in milliseconds
			w.milliseconds = true
		default:
			return n, err
		}
	}
	return 0, nil // the caller looks around and comes back
}

// coarse reports whether the call in milliseconds will do: 0 and forever are exact in both.
func (w *waiter) coarse(timeout time.Duration) bool { return w.milliseconds || timeout <= 0 }

// call returns the name of the call that waits for that long.
func (w *waiter) call(timeout time.Duration) sys.Call {
	if w.coarse(timeout) {
		return sys.CallEpollPwait
	}
	return sys.CallEpollPwait2
}

func (w *waiter) once(epfd int, events []unix.EpollEvent, timeout time.Duration) (int, error) {
	if w.coarse(timeout) {
		return sys.EpollPwait(epfd, events, milliseconds(timeout))
	}
	ts := sys.NewTimespec64(timeout)
	return sys.EpollPwait2(epfd, events, &ts)
}

// refused tells a call that is not let through from a failed wait. A kernel before 5.11
// answers ENOSYS, a seccomp filter whatever its author chose. The other call finds out
// what else is wrong.
func (w *waiter) refused(err error) bool {
	switch err {
	case nil, unix.EBADF, unix.EFAULT, unix.EINTR:
		return false
	}
	return !w.milliseconds
}

// milliseconds rounds up: rounded down, the last fraction before a deadline would
// be spent in a busy loop of zero timeouts.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	ms := (timeout + time.Millisecond - 1) / time.Millisecond
	if timeout > math.MaxInt64-time.Millisecond {
		ms = math.MaxInt64 / time.Millisecond
	}
	return int(min(ms, math.MaxInt32))
}
