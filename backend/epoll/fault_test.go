package epoll

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestFaults(t *testing.T) {
	backendtest.TestFaults(t, func() (backend.Poller, error) { return New() }, inject)
}

// The same with the wait of kernels before 5.11.
func TestFaultsInMilliseconds(t *testing.T) {
	backendtest.TestFaults(t, func() (backend.Poller, error) {
		p, err := New()
		if err == nil {
			p.waiter.milliseconds = true
		}
		return p, err
	}, inject)
}

// inject is the seam of package sys.
func inject(f func(call string) backendtest.Fault) (restore func()) {
	return sys.Inject(func(c sys.Call) sys.Fault { return sys.Fault(f(string(c))) })
}

// failing makes calls of that name, the nth and all that follow, fail until lift.
func failing(t *testing.T, name sys.Call, n int, errno unix.Errno) (calls map[sys.Call]int, lift func()) {
	calls = make(map[sys.Call]int)
	lift = sys.Inject(func(c sys.Call) (f sys.Fault) {
		calls[c]++
		if c == name && calls[c] >= n {
			f.Errno = errno
		}
		return f
	})
	t.Cleanup(lift)
	return calls, lift
}

// The rest is about what only epoll does.

// Trap 20: a kernel or a filter that does not know epoll_pwait2 is asked once.
func TestTrap20_Pwait2IsRefusedOnce(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOMEM} {
		p := newPoller(t)
		fd := eventfd(t, 0)
		add(t, p, fd, backend.In, 1)
		calls, lift := failing(t, sys.CallEpollPwait2, 1, errno)
		for range 5 {
			if got := wait(t, p, 300*time.Microsecond); len(got) != 0 {
				t.Errorf("got %v", got)
			}
		}
		if n := calls[sys.CallEpollPwait2]; n != 1 {
			t.Errorf("%v: epoll_pwait2 was called %d times, want once", errno, n)
		}
		if n := calls[sys.CallEpollPwait]; n > 10 { // a signal may interrupt one
			t.Errorf("epoll_pwait was called %d times in 5 Waits", n)
		}
		_ = sys.WriteEventfd(fd)
		if got := wait(t, p, time.Minute); len(got) != 1 {
			t.Errorf("got %v, want tag 1", got)
		}
		lift()
	}
}

// Only epoll can be refused by the kernel in the middle of Add.
func TestFailedRegistrationsAreNotKept(t *testing.T) {
	p := newPoller(t)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for i, fd := range []int{eventfd(t, 1), null} {
		_, lift := failing(t, sys.CallEpollCtl, i+1, unix.ENOMEM) // of null: that of the beacon
		err := p.Add(fd, backend.In, 1)
		lift()
		if !errors.Is(err, unix.ENOMEM) {
			t.Errorf("Add: %v, want ENOMEM", err)
		}
		if p.table.Len() != 0 || p.always.beacon >= 0 || len(p.always.keys) != 0 {
			t.Errorf("after a failed Add there are %d registrations, the beacon is %d", p.table.Len(), p.always.beacon)
		}
		add(t, p, fd, backend.In, 2)
		if got := wait(t, p, time.Minute); len(got) != 1 || got[0].Tag != 2 {
			t.Errorf("got %v, want tag 2", got)
		}
		if err := p.Remove(fd); err != nil {
			t.Error(err)
		}
	}
}

// Only epoll makes a new instance behind the caller's back (trap 10). It takes the
// place of the old one when it knows everything, or not at all.
func TestTrap10_NewInstanceIsCompleteOrNotMade(t *testing.T) {
	for _, c := range []struct {
		call sys.Call
		n    int // from which call on it fails
	}{{sys.CallEpollCreate1, 1}, {sys.CallEpollCtl, 1}, {sys.CallEpollCtl, 2}} {
		p := newPoller(t)
		r, w := pipe(t)
		dup(t, r)
		a, b := eventfd(t, 0), eventfd(t, 0)
		add(t, p, r, backend.In, 1)
		add(t, p, a, backend.In, 2)
		add(t, p, b, backend.In, 3)
		unix.Close(r)
		if err := p.Remove(r); err != nil {
			t.Fatal(err)
		}
		_, _ = unix.Write(w, []byte("x"))
		_, lift := failing(t, c.call, c.n, unix.ENOMEM)
		ready := make([]backend.Ready, 4)
		if n, err := p.Wait(ready, 0); n != 0 || !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), string(c.call)) {
			t.Errorf("got %v, %v; want an error that names %s", ready[:n], err, c.call)
		}
		lift()
		_, _ = sys.WriteEventfd(a), sys.WriteEventfd(b)
		seen := make(map[backend.Tag]bool)
		for range 3 {
			for _, r := range wait(t, p, time.Second) {
				seen[r.Tag] = true
			}
		}
		if !seen[2] || !seen[3] || len(seen) != 2 || p.orphaned {
			t.Errorf("%s fails: %v were reported, want 2 and 3; orphaned %v", c.call, seen, p.orphaned)
		}
	}
}

func TestTrap22_NewNamesTheCallAndTheCause(t *testing.T) {
	for errno, want := range map[unix.Errno]struct {
		cause  error
		advice string
	}{
		unix.EMFILE: {backend.ErrFDLimit, "ulimit -n"},
		unix.ENFILE: {backend.ErrFDLimit, "fs.file-max"},
		unix.ENOMEM: {backend.ErrMemory, ""},
		unix.EPERM:  {backend.ErrSeccomp, "allow epoll_create1"},
		unix.ENOSYS: {backend.ErrSeccomp, "allow epoll_create1"},
	} {
		_, lift := failing(t, sys.CallEpollCreate1, 1, errno)
		_, err := New()
		lift()
		if !errors.Is(err, errno) || !errors.Is(err, backend.ErrUnavailable) || !strings.Contains(err.Error(), "epoll_create1") {
			t.Errorf("New: %v", err)
			continue
		}
		if !errors.Is(err, want.cause) || !strings.Contains(err.Error(), want.advice) {
			t.Errorf("New: %v; want that it wraps %q, and %q", err, want.cause, want.advice)
		}
	}
}
