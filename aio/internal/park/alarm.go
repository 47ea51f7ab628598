//go:build linux

package park

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// alarm is a timerfd(2) that ends the sleep of a parked loop, exactly: the Go
// runtime rounds its own timers up to the millisecond while all goroutines sleep.
// It belongs to the home goroutine.
//
// On io_uring its event takes a turn of the thread that has asked for it, which may be a
// busy one. The backup, a timer of the Go runtime, comes a little later and needs none.
type alarm struct {
	fd     int           // -1 before it is set for the first time
	due    time.Duration // on the Monotonic clock
	wake   func()        // what the backup calls; nil if the Poller needs none
	backup *time.Timer
}

// backupDelay is how much later the backup comes: as a rule the alarm ends the sleep.
const backupDelay = 20 * time.Millisecond

// alarmTag is the tag of the alarm. No handler has index 0; generation 0 is the loop's own
// notifier.
var alarmTag = backend.MakeTag(0, 1)

// set makes the Poller return an event at deadline, on the Monotonic clock, or earlier. An
// earlier alarm stays, because timers are moved away more often than they fire. A negative
// deadline asks for nothing.
func (a *alarm) set(deadline time.Duration) error {
	if deadline < 0 {
		return nil
	}
	now := sys.Monotonic()
	if a.due > now && a.due <= deadline {
		return nil
	}
	timeout := min(max(deadline-now, 1), sys.Longest) // 0 would disarm it
	spec := unix.ItimerSpec{Value: sys.NewTimespec(timeout)}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	a.due = now + timeout
	if a.backup != nil {
		a.backup.Reset(timeout + backupDelay)
	}
	return nil
}

// open makes the alarm before the first sleep that it ends. The caller flushes p
// afterwards.
func (a *alarm) open(p backend.Poller) error {
	if a.fd >= 0 {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	sys.Opened(fd, sys.KindTimerfd)
	if err := p.Add(fd, backend.In|backend.Edge, alarmTag); err != nil {
		_ = unix.Close(fd)
		return err
	}
	a.fd = fd
	if a.wake != nil {
		a.backup = time.AfterFunc(sys.Longest, a.wake)
	}
	return nil
}

// take removes the alarm's event from ready and returns how many are left. If edge, the
// alarm need not be read.
func (a *alarm) take(ready []backend.Ready, edge bool) int {
	for i := range ready {
		if ready[i].Tag == alarmTag {
			if !edge {
				a.clear()
			}
			if a.backup != nil {
				a.backup.Stop()
			}
			return i + copy(ready[i:], ready[i+1:])
		}
	}
	return len(ready)
}

// clear reads the alarm, which a level-triggered Poller would report forever.
func (a *alarm) clear() {
	var expirations [8]byte
	_, _ = unix.Read(a.fd, expirations[:])
}

func (a *alarm) close() error {
	if a.backup != nil {
		a.backup.Stop()
	}
	if a.fd < 0 {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(a.fd))
}
