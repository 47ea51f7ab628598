//go:build linux

package aio

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// alarm wakes the loop for timers on the Boottime clock: the time for which the kernel lets it wait
// stands still while the machine is suspended. It is a timerfd(2) with a handler of its own, made
// for the first such timer that the loop waits for. It belongs to the home goroutine.
type alarm struct {
	handler *Handler      // nil if there is none
	at      time.Duration // what it is set for
}

// set makes the alarm end a sleep at a point that is to come. If it cannot be made, the loop takes
// notice when it wakes up for another reason.
func (a *alarm) set(c *Context, at time.Duration) {
	if a.at == at || a.handler == nil && !a.open(c) {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(at))}
	if unix.TimerfdSettime(int(a.handler.fd), unix.TFD_TIMER_ABSTIME, &spec, nil) == nil {
		a.at = at
	}
}

func (a *alarm) open(c *Context) (opened bool) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return false
	}
	sys.Opened(fd, sys.KindTimerfd)
	a.handler, err = c.Watch(fd, Callbacks{
		Name: "alarm of the Boottime clock",
		Read: func(*Handler) {
			var expirations [8]byte
			_, _ = unix.Read(fd, expirations[:])
		},
		Poll: func() bool { return false }, // polling sees the clock
	})
	if err != nil {
		_ = unix.Close(fd)
		a.handler = nil
		return false
	}
	a.handler.SetBackground(true)
	return true
}

// close is part of Close of the Context.
func (a *alarm) close() {
	if a.handler != nil {
		_ = a.handler.Close()
		_ = unix.Close(int(a.handler.fd))
	}
}
