package sys

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Call is a system call, or a clock, that a test can make fail or lie.
type Call string

// The calls that ask the hook.
const (
	CallPpoll        Call = "ppoll"
	CallEpollCreate1 Call = "epoll_create1"
	CallEpollCtl     Call = "epoll_ctl"
	CallEpollPwait   Call = "epoll_pwait"
	CallEpollPwait2  Call = "epoll_pwait2"
	CallEventfd      Call = "eventfd2"
	CallEventfdRead  Call = "read"
	CallEventfdWrite Call = "write"
	CallIoUringSetup Call = "io_uring_setup"
	CallIoUringEnter Call = "io_uring_enter"
	CallIoSetup      Call = "io_setup"
	CallIoSubmit     Call = "io_submit"
	CallIoGetevents  Call = "io_getevents"
	CallIoCancel     Call = "io_cancel"
	CallIoDestroy    Call = "io_destroy"
	CallMmap         Call = "mmap"
	CallPreadv2      Call = "preadv2"
	CallPwritev2     Call = "pwritev2"
	CallPreadv       Call = "preadv"
	CallPwritev      Call = "pwritev"
	CallFsync        Call = "fsync"
	CallFallocate    Call = "fallocate"
	CallLseek        Call = "lseek"
	CallMonotonic    Call = "monotonic"
	CallWallClock    Call = "wall clock"
	CallBoottime     Call = "boot time"
)

// Fault is what a test wants of one call. The zero Fault lets it be.
type Fault struct {
	Errno unix.Errno    // not 0: the call is not made, and fails with this
	Room  int           // above 0: no more events are asked for, requests handed over or bytes moved
	Skew  time.Duration // added to what a clock says
	Then  func()        // if not nil, called when the kernel has returned; of io_uring_enter only
}

// hook is nil but in tests: one load is all that it costs.
var hook atomic.Pointer[func(Call) Fault]

// Inject lets f decide about every call of the process until restore. f is called
// on the goroutine that makes the call, so perhaps on several at a time; it must not
// make such calls itself. It is for tests, which do not run in parallel then.
func Inject(f func(Call) Fault) (restore func()) {
	hook.Store(&f)
	return func() { hook.Store(nil) }
}

// fault asks the hook, if there is one. It is small enough to be inlined, and takes
// no pointer to the call's arguments, which would make them escape to the heap.
func fault(c Call) Fault {
	if hook.Load() == nil {
		return Fault{}
	}
	return ask(c)
}

//go:noinline
func ask(c Call) (f Fault) {
	if h := hook.Load(); h != nil {
		f = (*h)(c)
	}
	return f
}

// room returns how many of n events, or requests, the call is to deal with.
func (f Fault) room(n int) int {
	if f.Room > 0 {
		return min(n, f.Room)
	}
	return n
}

// FaultOf is for a call that is not made in this package; it returns nil if the
// call happens.
func FaultOf(c Call) error {
	if hook.Load() == nil {
		return nil
	}
	return errnoOf(c)
}

//go:noinline
func errnoOf(c Call) error {
	if f := ask(c); f.Errno != 0 {
		return f.Errno
	}
	return nil
}

// skew returns what a test adds to a clock.
func skew(c Call) time.Duration {
	if hook.Load() == nil {
		return 0
	}
	return ask(c).Skew
}
