package sys

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// interrupted makes the first n calls of that name fail with EINTR, and counts all.
func interrupted(t *testing.T, name Call, n int) (calls *int) {
	calls = new(int)
	t.Cleanup(Inject(func(c Call) (f Fault) {
		if c == name {
			if *calls++; *calls <= n {
				f.Errno = unix.EINTR
			}
		}
		return f
	}))
	return calls
}

func TestInterruptsAreEndured(t *testing.T) {
	fd, err := NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, c := range []struct {
		call Call
		make func() error
	}{
		{CallEventfdWrite, func() error { return WriteEventfd(fd) }},
		{CallPpoll, func() error { _, err := CheckPollable(fd); return err }},
		{CallEventfdRead, func() error { _, err := ReadEventfd(fd); return err }},
	} {
		calls := interrupted(t, c.call, 100)
		if err := c.make(); err != nil || *calls < 101 { // more if a signal of the runtime interrupts one as well
			t.Errorf("%s: %v after %d calls, want 101 at least", c.call, err, *calls)
		}
		calls = interrupted(t, c.call, math.MaxInt)
		if err := c.make(); err != unix.EINTR || *calls != MaxInterrupts {
			t.Errorf("%s, for ever interrupted: %v after %d calls, want EINTR after %d", c.call, err, *calls, MaxInterrupts)
		}
	}
}

func TestPpollForEnduresInterrupts(t *testing.T) {
	fd, err := NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := WriteEventfd(fd); err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []time.Duration{-1, 0, time.Minute} {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN, Revents: unix.POLLERR}}
		calls := interrupted(t, CallPpoll, 100)
		if n, err := PpollFor(fds, timeout); n != 1 || err != nil || *calls < 101 {
			t.Errorf("PpollFor(%v): %d, %v after %d calls", timeout, n, err, *calls)
		}
		calls = interrupted(t, CallPpoll, math.MaxInt)
		n, err := PpollFor(fds, timeout)
		if n != 0 || err != nil || fds[0].Revents != 0 || *calls != MaxInterrupts {
			t.Errorf("PpollFor(%v), for ever interrupted: %d, %v, revents %#x after %d calls", timeout, n, err, fds[0].Revents, *calls)
		}
	}
}

// Trap 32: a timed sleep is made of slices, and is as long as it should be. On a busy machine
// one slice can take the time of several.
func TestTrap32_PpollForSleepsInSlices(t *testing.T) {
	for timeout, least := range map[time.Duration]int{slice: 1, 8 * slice: 2} {
		calls := interrupted(t, CallPpoll, 0)
		before := Monotonic()
		n, err := PpollFor(nil, timeout)
		if slept := Monotonic() - before; n != 0 || err != nil || *calls < least || slept < timeout {
			t.Errorf("PpollFor(%v): %d, %v after %d calls and %v, want %d calls", timeout, n, err, *calls, slept, least)
		}
	}
}

// The calls that are made fail with what is injected, and are not made; afterwards
// everything is as before.
func TestInject(t *testing.T) {
	epfd, err := EpollCreate1()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	fd, err := NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	events := make([]unix.EpollEvent, 2)
	calls := map[Call]func() error{
		CallPpoll:        func() error { _, err := Ppoll(nil, &unix.Timespec{}); return err },
		CallEpollCreate1: func() error { fd, err := EpollCreate1(); unix.Close(fd); return err },
		CallEpollCtl:     func() error { return EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, nil) },
		CallEpollPwait:   func() error { _, err := EpollPwait(epfd, events, 0); return err },
		CallEpollPwait2:  func() error { _, err := EpollPwait2(epfd, events, &Timespec64{}); return err },
		CallEventfd:      func() error { fd, err := NewEventfd(); unix.Close(fd); return err },
		CallEventfdRead:  func() error { _, err := ReadEventfd(fd); return err },
		CallEventfdWrite: func() error { return WriteEventfd(fd) },
		CallIoUringEnter: func() error { _, err := IoUringEnter(-1, 0, 0, 0, nil, 0); return err },
		CallIoSetup:      func() error { _, err := IoSetup(-1); return err },
		CallIoSubmit:     func() error { _, err := IoSubmit(nil, nil); return err },
		CallIoGetevents:  func() error { _, err := IoGetevents(nil, nil, 0); return err },
		CallIoCancel:     func() error { return IoCancel(nil, nil) },
		CallIoDestroy:    func() error { return IoDestroy(nil) },
	}
	for name, call := range calls {
		asked := 0
		restore := Inject(func(c Call) (f Fault) {
			asked++
			if c == name {
				f.Errno = unix.EXFULL
			}
			return f
		})
		if err := call(); err != unix.EXFULL || asked != 1 {
			t.Errorf("%s: %v, asked %d times", name, err, asked)
		}
		restore()
		if err := call(); err == unix.EXFULL || asked != 1 {
			t.Errorf("%s after restore: %v, asked %d times", name, err, asked)
		}
	}
}

func TestInjectedClocks(t *testing.T) {
	restore := Inject(func(c Call) Fault {
		return Fault{Skew: map[Call]time.Duration{CallMonotonic: 100 * time.Hour, CallWallClock: -100 * time.Hour}[c]}
	})
	monotonic, wall := Monotonic(), WallClock()
	restore()
	if d := monotonic - Monotonic(); d < 99*time.Hour {
		t.Errorf("Monotonic was moved by %v", d)
	}
	if d := wall - WallClock(); d > -99*time.Hour {
		t.Errorf("WallClock was moved by %v", d)
	}
}

// The seam costs nothing that can be measured while it is not used: two loads of one
// word, against the same code without it.
func BenchmarkPpollNoFault(b *testing.B) {
	var now unix.Timespec
	for b.Loop() {
		_, _ = Ppoll(nil, &now)
	}
}

func BenchmarkMonotonicNoFault(b *testing.B) {
	for b.Loop() {
		_ = Monotonic()
	}
}
