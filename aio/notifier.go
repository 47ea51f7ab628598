//go:build linux

package aio

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// EventNotifier is an eventfd(2): a counter that any goroutine, process or kernel
// subsystem can set and a loop can wait for. All its
// methods may be called from any goroutine at any time.
type EventNotifier struct {
	fd int
	// users counts the calls that are using fd. Close adds closing, which refuses
	// new calls, and waits for the others: the number may belong to another file
	// a moment later.
	users atomic.Int64
	// mirror is how loops see Set in user space, nil if none does.
	mirror atomic.Pointer[mirror]
}

// mirror shows loops in user space what Set has written.
type mirror struct {
	// parked is the Context in park mode that watches the notifier, else nil.
	parked atomic.Pointer[Context]
	// looked means that a loop looks at seen for what Set has written.
	looked, seen atomic.Bool
}

// mirrored returns the mirror of n, and makes it if there is none.
func (n *EventNotifier) mirrored() *mirror {
	if n.mirror.Load() == nil {
		n.mirror.CompareAndSwap(nil, new(mirror))
	}
	return n.mirror.Load()
}

const closing = 1 << 32

// NewEventNotifier returns a notifier that is not set. The descriptor is
// non-blocking and close-on-exec, and belongs to the EventNotifier until Close.
// It fails with EMFILE or ENFILE, and matches backend.ErrFDLimit, if there is no
// descriptor left.
func NewEventNotifier() (*EventNotifier, error) {
	fd, err := sys.NewEventfd()
	if err != nil {
		return nil, fmt.Errorf("aio: no event notifier: %w", noEventfd(err))
	}
	return &EventNotifier{fd: fd}, nil
}

// noEventfd says what to change, in the words that the backends use.
func noEventfd(errno error) error {
	err := os.NewSyscallError("eventfd2", errno)
	switch errno {
	case unix.EMFILE: // the process's limit
		return fmt.Errorf("%w: %w; close descriptors or raise `ulimit -n`", err, backend.ErrFDLimit)
	case unix.ENFILE: // the system's limit
		return fmt.Errorf("%w: %w; raise the sysctl fs.file-max", err, backend.ErrFDLimit)
	case unix.ENOMEM:
		return fmt.Errorf("%w: %w", err, backend.ErrMemory)
	}
	return err
}

// FD returns the descriptor, to hand to the kernel (KVM's irqfd, VFIO) or to a
// child process. It stays the property of the EventNotifier.
func (n *EventNotifier) FD() int { return n.fd }

// Set sets the notifier. It never blocks and makes one system call. It fails with
// ErrClosed after Close.
func (n *EventNotifier) Set() error {
	if !n.acquire() {
		return ErrClosed
	}
	err := n.write()
	n.release()
	if s := n.mirror.Load(); s != nil {
		s.show()
	}
	return os.NewSyscallError("write", err)
}

// show is done last: a loop that sees it finds the counter set.
func (s *mirror) show() {
	if s.looked.Load() {
		s.seen.Store(true)
	}
	if c := s.parked.Load(); c != nil {
		s.tell(c)
	}
}

// tell spares a loop that sets what it watches itself a sleep: it would wait until the Go
// runtime's poller has seen the event.
func (s *mirror) tell(c *Context) {
	switch {
	case !c.home.mine():
	case c.home.closed():
		s.parked.CompareAndSwap(c, nil)
	default:
		c.port.mustAskAgain()
	}
}

// shows reports whether Set was called since the last TestAndClear, if looked is set.
func (s *mirror) shows() bool { return s.seen.Load() }

func (n *EventNotifier) write() error {
	err := sys.WriteEventfd(n.fd) // W2
	if err == unix.EAGAIN {
		// The counter is at its limit, so the notifier is set; but the write that
		// did not happen woke no loop.
		_, _ = sys.ReadEventfd(n.fd)
		err = sys.WriteEventfd(n.fd)
	}
	return err
}

// TestAndClear reports whether the notifier was set, and clears it. A notifier
// that is handled by WatchNotifier needs no clearing. It fails with ErrClosed
// after Close.
func (n *EventNotifier) TestAndClear() (bool, error) {
	if !n.acquire() {
		return false, ErrClosed
	}
	if s := n.mirror.Load(); s != nil {
		s.seen.Store(false) // first: a Set beside it is seen once more
	}
	_, err := sys.ReadEventfd(n.fd)
	n.release()
	if err == unix.EAGAIN {
		return false, nil
	}
	return err == nil, os.NewSyscallError("read", err)
}

// Close closes the descriptor once every Set and TestAndClear under way has
// returned. Handlers that watch it are closed before. A second Close fails with
// ErrClosed.
func (n *EventNotifier) Close() error {
	if n.users.Add(closing) >= 2*closing { // C1
		n.users.Add(-closing)
		return ErrClosed
	}
	for n.users.Load()%closing != 0 { // C2
		runtime.Gosched()
	}
	return os.NewSyscallError("close", unix.Close(n.fd)) // C3
}

// acquire reports whether the caller may use fd, until release. A caller that finds
// Close begun leaves no trace, or callers that repeat it would keep Close waiting.
func (n *EventNotifier) acquire() bool {
	if n.users.Load() >= closing { // W0
		return false
	}
	if n.users.Add(1) < closing { // W1
		return true
	}
	n.release()
	return false
}

func (n *EventNotifier) release() { n.users.Add(-1) } // W3
