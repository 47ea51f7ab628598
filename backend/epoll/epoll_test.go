package epoll

import (
	"math"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// The conformance suite is in conformance_test.go. Here is what only epoll can get
// wrong; each test says why.

// Only epoll has a wait that takes milliseconds. Rounded down, the last fraction
// would be a busy loop (trap 20).
func TestMillisecondsAreRoundedUp(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		want    int
	}{
		{-1, -1},
		{math.MinInt64, -1},
		{0, 0},
		{1, 1},
		{300 * time.Microsecond, 1},
		{time.Millisecond, 1},
		{time.Millisecond + 1, 2},
		{25 * 24 * time.Hour, math.MaxInt32}, // more than 2^31 ms
		{math.MaxInt64 - 1, math.MaxInt32},
		{math.MaxInt64, math.MaxInt32},
	} {
		if got := milliseconds(c.timeout); got != c.want {
			t.Errorf("milliseconds(%v) = %d, want %d", c.timeout, got, c.want)
		}
	}
}

// The suite forces the fallback with a filter, in another process; this one
// measures it without.
func TestWaitInMillisecondsIsNotEarlyAndDoesNotSpin(t *testing.T) {
	p := newPoller(t)
	p.waiter.milliseconds = true
	for range 10 {
		start, waits := time.Now(), 0
		for left := 300 * time.Microsecond; left > 0; left = 300*time.Microsecond - time.Since(start) {
			wait(t, p, left)
			waits++
		}
		if waits > 2 {
			t.Errorf("%d Waits until 300µs were over", waits)
		}
	}
}

func TestRefusalsOfPwait2AreLatched(t *testing.T) {
	for _, c := range []struct {
		w    waiter
		err  error
		want bool
	}{
		{waiter{}, unix.ENOSYS, true},
		{waiter{}, unix.EPERM, true},
		{waiter{}, unix.EBADF, false},
		{waiter{}, nil, false},
		{waiter{milliseconds: true}, unix.EPERM, false}, // nothing is left to try
	} {
		if got := c.w.refused(c.err); got != c.want {
			t.Errorf("%+v refused(%v) = %v, want %v", c.w, c.err, got, c.want)
		}
	}
}

// Only epoll hands over events before the lock is taken: what they are about can be
// changed, or removed and its slot used again, in between (trap 12).
func TestTrap12_ChangedBetweenTheKernelAndCollect(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, p *Poller, fd int){
		"modified": func(t *testing.T, p *Poller, fd int) {
			if err := p.Modify(fd, 0, 2); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, p *Poller, fd int) {
			if err := p.Remove(fd); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, p *Poller, fd int) {
			if err := p.Remove(fd); err != nil {
				t.Fatal(err)
			}
			add(t, p, fd, 0, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoller(t)
			fd := eventfd(t, 1)
			add(t, p, fd, backend.In, 1)
			events := make([]unix.EpollEvent, 4)
			n, err := sys.EpollPwait(p.epfd, events, 0)
			if n != 1 || err != nil {
				t.Fatalf("%d events, %v", n, err)
			}
			change(t, p, fd)
			ready := make([]backend.Ready, 4)
			if n, err := p.collect(ready, events[:n]); n != 0 || err != nil {
				t.Errorf("collected %v, %v", ready[:n], err)
			}
		})
	}
}

// Only epoll keeps a registration alive that no one can name any more (trap 10).
// The suite sees that its events are gone; here: how, and that it is done once.
func TestOrphanMakesANewInstance(t *testing.T) {
	p := newPoller(t)
	r, w := pipe(t)
	other := eventfd(t, 0)
	add(t, p, r, backend.In, 1)
	add(t, p, other, backend.In, 2)
	kept := dup(t, r)
	unix.Close(r)
	if err := p.Remove(r); err != nil {
		t.Fatal(err)
	}
	if !p.orphaned {
		t.Fatal("Remove after close went unnoticed")
	}
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	number := p.epfd
	wait(t, p, 0)
	if p.orphaned || p.PollFD() == number { // who waits for it must find out
		t.Errorf("orphaned %v, number %d; want false, not %d", p.orphaned, p.PollFD(), number)
	}
	if n, err := sys.EpollPwait(p.epfd, make([]unix.EpollEvent, 4), 0); n != 0 || err != nil {
		t.Errorf("the new instance has %d events, %v", n, err)
	}
	if flags, err := unix.FcntlInt(uintptr(p.epfd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 || err != nil {
		t.Errorf("the new instance is inherited by children: %d, %v", flags, err)
	}
	if err := sys.WriteEventfd(other); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, p, time.Second); len(got) != 1 || got[0].Tag != 2 {
		t.Errorf("got %v, want tag 2", got)
	}
	unix.Close(kept)
}

// Where descriptors take turns, an orphan may have its turn in every second Wait only.
func TestOrphanThatTakesTurnsIsFound(t *testing.T) {
	for _, which := range []int{0, 1} {
		p := newPoller(t)
		fds := [2]int{eventfd(t, 1), eventfd(t, 1)}
		for i, fd := range fds {
			add(t, p, fd, backend.In, backend.Tag(i))
		}
		dup(t, fds[which])
		unix.Close(fds[which])
		number := p.epfd
		for n := 0; p.epfd == number; n++ {
			if n == 100_000 {
				t.Fatalf("number %d: the Poller spins", which)
			}
			if _, err := p.Wait(make([]backend.Ready, 1), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The number of a descriptor that was closed before Remove is not the beacon's: Remove
// would put it out, and the files that it stands for would never be ready again.
func TestBeaconTakesNoRegisteredNumber(t *testing.T) {
	p := newPoller(t)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(null) })
	fd := eventfd(t, 0)
	add(t, p, fd, backend.In, 1)
	unix.Close(fd)
	add(t, p, null, backend.In, 2)
	if err := p.Remove(fd); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, p, 0); len(got) != 1 || got[0].Tag != 2 {
		t.Errorf("got %v, want tag 2", got)
	}
}

// The new instance watches the beacon as well.
func TestOrphanBesideAnAlwaysReadyFile(t *testing.T) {
	p := newPoller(t)
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, w := pipe(t)
	dup(t, r)
	add(t, p, fd, backend.In, 1)
	add(t, p, r, backend.In, 2)
	unix.Close(r)
	if err := p.Remove(r); err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Write(w, []byte("x"))
	for range 3 {
		if got := wait(t, p, time.Second); len(got) != 1 || got[0].Tag != 1 {
			t.Errorf("got %v, want tag 1", got)
		}
	}
	if p.orphaned {
		t.Error("the orphan is still there")
	}
	if n, err := sys.EpollPwait(p.epfd, make([]unix.EpollEvent, 4), 0); n != 1 || err != nil {
		t.Errorf("the new instance has %d events, %v; want the beacon's", n, err)
	}
}

// Events that were collected along with an orphan's are reported even if no new
// instance can be made at this moment; epoll does not repeat edges.
func TestOrphanWithoutADescriptorLeft(t *testing.T) {
	p := newPoller(t)
	r, w := pipe(t)
	dup(t, r)
	other := eventfd(t, 0)
	add(t, p, r, backend.In, 1)
	add(t, p, other, backend.In|backend.Edge, 2)
	unix.Close(r)
	if err := p.Remove(r); err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Write(w, []byte("x")) // comes first in the batch
	_ = sys.WriteEventfd(other)
	lift := limitDescriptors(t)
	ready := make([]backend.Ready, 4)
	n, err := p.Wait(ready, 0)
	if n != 1 || ready[0].Tag != 2 || err == nil {
		t.Errorf("got %v, %v; want tag 2 and EMFILE", ready[:n], err)
	}
	lift()
	if got := wait(t, p, 0); len(got) != 0 || p.orphaned {
		t.Errorf("got %v, orphaned %v; want nothing, false", got, p.orphaned)
	}
}

// Only epoll needs a descriptor of its own for files that are always ready.
func TestBeaconComesAndGoes(t *testing.T) {
	p := newPoller(t)
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	beacon := func(want bool) {
		t.Helper()
		if got := p.always.beacon >= 0; got != want {
			t.Errorf("beacon %v, want %v", got, want)
		}
	}
	add(t, p, fd, backend.Pri, 1)
	beacon(false)
	if err := p.Modify(fd, backend.In, 2); err != nil {
		t.Fatal(err)
	}
	beacon(true)
	lift := limitDescriptors(t) // it is not made twice
	if err := p.Modify(fd, backend.Out, 3); err != nil {
		t.Error(err)
	}
	lift()
	if err := p.Remove(fd); err != nil {
		t.Fatal(err)
	}
	beacon(false)
}

// The beacon of a daemon that has closed its standard input may have the number 0.
func TestBeaconWithTheNumberZero(t *testing.T) {
	p := newPoller(t)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	other := dup(t, null)
	withoutStandardInput(t)
	add(t, p, null, backend.In, 1)
	add(t, p, other, backend.In, 2)
	if p.always.beacon != 0 {
		t.Fatalf("the beacon has the number %d", p.always.beacon)
	}
	if err := p.rebuild(); err != nil {
		t.Fatal(err)
	}
	if revents, err := sys.PollNow(p.PollFD(), unix.POLLIN); revents != unix.POLLIN || err != nil {
		t.Errorf("a foreign loop would sleep: %#x, %v", revents, err)
	}
	for _, fd := range []int{null, other} {
		if err := p.Remove(fd); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the beacon is left open: %v", err)
	}
}

// withoutStandardInput closes descriptor 0 until the end of the test.
func withoutStandardInput(t *testing.T) {
	t.Helper()
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Dup3(stdin, 0, 0); err != nil {
			t.Error(err)
		}
		_ = unix.Close(stdin)
	})
	_ = unix.Close(0)
}

func TestAddFailsWithoutADescriptorForTheBeacon(t *testing.T) {
	p := newPoller(t)
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lift := limitDescriptors(t)
	if err := p.Add(fd, backend.In, 1); err == nil {
		t.Error("Add succeeded")
	}
	lift()
	add(t, p, fd, backend.In, 1)
	if got := wait(t, p, 0); len(got) != 1 {
		t.Errorf("got %v, want tag 1", got)
	}
}

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func add(t *testing.T, p *Poller, fd int, events backend.Events, tag backend.Tag) {
	t.Helper()
	if err := p.Add(fd, events, tag); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, p *Poller, timeout time.Duration) []backend.Ready {
	t.Helper()
	ready := make([]backend.Ready, 8)
	n, err := p.Wait(ready, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return ready[:n]
}

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[1]) })
	return p[0], p[1]
}

func eventfd(t *testing.T, counter uint) int {
	t.Helper()
	fd, err := unix.Eventfd(counter, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(d) })
	return d
}

// limitDescriptors sees to it that no descriptor can be opened before lift.
func limitDescriptors(t *testing.T) (lift func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(limit unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	set(unix.Rlimit{Cur: 3, Max: old.Max}) // all numbers below are in use
	lift = func() { set(old) }
	t.Cleanup(lift)
	return lift
}
