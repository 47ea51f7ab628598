package iouring

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// locked is what the process knows of the user's locked memory. The kernel gives that of a
// closed ring back some milliseconds later, after an RCU grace period. So a limit that is
// reached at this moment may not be reached soon.
type locked struct {
	closed atomic.Int64 // when this process has closed a ring, on the Monotonic clock
	vain   atomic.Int64 // when it has waited in vain
}

var memory locked

// The waits between the attempts grow from the first to the last; together they take a
// quarter of a second. A process that has waited in vain does not wait again for a while,
// unless it has closed a ring since.
const (
	firstWait = time.Millisecond
	lastWait  = 128 * time.Millisecond
	vainFor   = time.Second
)

func (l *locked) returned() { l.closed.Store(int64(sys.Monotonic())) }

// mayCome reports whether it makes sense to wait for memory.
func (l *locked) mayCome() bool {
	vain := l.vain.Load()
	return vain == 0 || l.closed.Load() >= vain || int64(sys.Monotonic())-vain > int64(vainFor)
}

// patiently makes a ring by open, and waits while there is no memory for it.
func patiently(open func() error) (err error) {
	for wait := firstWait; ; wait *= 2 {
		if err = open(); !errors.Is(err, unix.ENOMEM) || !memory.mayCome() {
			return err
		}
		if wait > lastWait {
			memory.vain.Store(int64(sys.Monotonic()))
			return err
		}
		_, _ = sys.PpollFor(nil, wait) // a Go timer would make the runtime's poller, which a filter may forbid
	}
}
