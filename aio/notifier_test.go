package aio

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestEventNotifierSetAndClear(t *testing.T) {
	n := notifier(t)
	expect := func(want bool) {
		t.Helper()
		if set, err := n.TestAndClear(); set != want || err != nil {
			t.Errorf("%v, %v; want %v", set, err, want)
		}
	}
	expect(false)
	must(t, n.Set())
	must(t, n.Set())
	expect(true)
	expect(false)
}

func TestEventNotifierDescriptor(t *testing.T) {
	n := notifier(t)
	flags, err := unix.FcntlInt(uintptr(n.FD()), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v: not non-blocking", flags, err)
	}
	if flags, err = unix.FcntlInt(uintptr(n.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: not close-on-exec", flags, err)
	}
}

func TestClosedEventNotifier(t *testing.T) {
	n, err := NewEventNotifier()
	must(t, err)
	must(t, n.Close())
	wantError(t, n.Close(), ErrClosed)
	wantError(t, n.Set(), ErrClosed)
	_, err = n.TestAndClear()
	wantError(t, err, ErrClosed)
}

// A counter at its limit is set, and setting it wakes up a loop that waits for a change.
func TestEventNotifierAtItsLimit(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		turn(t, c)
		full := binary.NativeEndian.AppendUint64(nil, math.MaxUint64-1)
		_, err := unix.Write(n.FD(), full)
		must(t, err)
		block(t, c)
		if c.port.edge { // it was not read, so it is still full
			must(t, n.Set())
			block(t, c)
			if ran != 2 {
				t.Errorf("%d calls", ran)
			}
		}
		if set, err := n.TestAndClear(); set != c.port.edge || err != nil {
			t.Errorf("set %v, %v", set, err)
		}
	})
}

func TestWatchNotifierThatIsSetAlready(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		must(t, n.Set())
		ran := 0
		h := watchNotifier(t, c, n, func() { ran++ })
		if !block(t, c) || ran != 1 {
			t.Errorf("%d calls", ran)
		}
		must(t, h.Close())
		must(t, n.Set())
		turn(t, c)
		if ran != 1 {
			t.Error("called after Close")
		}
	})
}

// Sets from other goroutines: none that comes after a call is without one.
func TestWatchNotifierMissesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		called := make(chan struct{}, 1)
		watchNotifier(t, c, n, func() { called <- struct{}{} })
		start(t, c)
		for range 500 {
			must(t, n.Set())
			select {
			case <-called:
			case <-time.After(patience):
				t.Fatal("a set was missed")
			}
		}
	})
}

func TestWatchNotifierOfAClosedOne(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n, err := NewEventNotifier()
		must(t, err)
		must(t, n.Close())
		canaries := openCanaries(t) // one of them has the number now
		_, err = c.WatchNotifier(n, Callbacks{Read: func(*Handler) {}})
		wantError(t, err, ErrClosed)
		checkCanaries(t, canaries)
	})
}

// Set and Close from different goroutines: no write goes to another's number.
func TestTrap16_SetRacesClose(t *testing.T) {
	for range 100 {
		n, err := NewEventNotifier()
		must(t, err)
		var group, first sync.WaitGroup
		first.Add(3)
		for range 3 {
			group.Go(func() {
				_ = n.Set()
				first.Done()
				for range 100 {
					_ = n.Set()
					_, _ = n.TestAndClear()
				}
			})
		}
		first.Wait()
		must(t, n.Close())
		canaries := openCanaries(t)
		group.Wait()
		checkCanaries(t, canaries)
	}
}

func TestTrap22_NotifierNamesTheCause(t *testing.T) {
	for errno, want := range map[unix.Errno]struct {
		cause  error
		advice string
	}{
		unix.EMFILE: {backend.ErrFDLimit, "ulimit -n"},
		unix.ENFILE: {backend.ErrFDLimit, "fs.file-max"},
		unix.ENOMEM: {backend.ErrMemory, ""},
	} {
		restore := inject(t, func(c sys.Call) (f sys.Fault) {
			if c == sys.CallEventfd {
				f.Errno = errno
			}
			return f
		})
		_, err := NewEventNotifier()
		restore()
		wantError(t, err, errno)
		if !errors.Is(err, want.cause) || !strings.Contains(err.Error(), want.advice) {
			t.Errorf("%v; want that it wraps %q, and %q", err, want.cause, want.advice)
		}
	}
}

// A call that is slow between its being there and its system call: Close waits for
// it with the descriptor open, and refuses those that come in the meantime.
func TestTrap16_CloseWaitsForCallsUnderWay(t *testing.T) {
	for call, use := range map[sys.Call]func(*EventNotifier) error{
		sys.CallEventfdWrite: (*EventNotifier).Set,
		sys.CallEventfdRead:  func(n *EventNotifier) error { _, err := n.TestAndClear(); return err },
	} {
		t.Run(string(call), func(t *testing.T) {
			n, err := NewEventNotifier()
			must(t, err)
			begun, used, closed := make(chan struct{}), make(chan error, 1), make(chan error, 1)
			slow := make(chan struct{})
			goOn := sync.OnceFunc(func() { close(slow) })
			defer goOn()
			var first atomic.Bool
			defer sys.Inject(func(c sys.Call) sys.Fault {
				if c == call && !first.Swap(true) {
					close(begun)
					<-slow
				}
				return sys.Fault{}
			})()
			go func() { used <- use(n) }()
			<-begun
			go func() { closed <- n.Close() }()
			eventually(t, "Close begins", func() bool { return n.users.Load() >= closing })
			wantError(t, use(n), ErrClosed)
			select {
			case err := <-closed:
				t.Fatalf("Close has not waited: %v", err)
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := unix.FcntlInt(uintptr(n.FD()), unix.F_GETFD, 0); err != nil {
				t.Errorf("it is closed: %v", err)
			}
			goOn()
			must(t, <-used)
			must(t, <-closed)
		})
	}
}
