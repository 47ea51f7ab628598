package sys

import (
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDeadlineAndUntil(t *testing.T) {
	for _, timeout := range []time.Duration{-1, math.MinInt64, math.MaxInt64} {
		if d := Deadline(timeout); d >= 0 || Until(d) != -1 {
			t.Errorf("Deadline(%v) = %v, Until %v; want for ever", timeout, d, Until(d))
		}
	}
	if d := Deadline(0); d != 0 || Until(d) != 0 {
		t.Errorf("Deadline(0) = %v, Until %v; want 0", d, Until(d))
	}
	before := Monotonic()
	d := Deadline(time.Hour)
	if left := Until(d); left > time.Hour || left < time.Hour-(Monotonic()-before) {
		t.Errorf("an hour's deadline is %v away", left)
	}
	if left := Until(Monotonic() - 1); left != 0 {
		t.Errorf("a deadline that is over is %v away, want 0", left)
	}
}

func TestTimespec64(t *testing.T) {
	for d, want := range map[time.Duration]Timespec64{
		0:                            {0, 0},
		1:                            {0, 1},
		time.Second - 1:              {0, 999_999_999},
		90*time.Second + 5:           {90, 5},
		time.Duration(math.MaxInt64): {math.MaxInt64 / 1_000_000_000, math.MaxInt64 % 1_000_000_000},
	} {
		if got := NewTimespec64(d); got != want {
			t.Errorf("%d: got %v, want %v", d, got, want)
		}
	}
}

func TestEventfdCounts(t *testing.T) {
	fd, err := NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := ReadEventfd(fd); err != unix.EAGAIN {
		t.Errorf("reading 0: %v, want EAGAIN", err)
	}
	for range 3 {
		if err := WriteEventfd(fd); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := ReadEventfd(fd); n != 3 || err != nil {
		t.Errorf("got %d, %v, want 3", n, err)
	}
	full := []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if _, err := unix.Write(fd, full); err != nil {
		t.Fatal(err)
	}
	if err := WriteEventfd(fd); err != unix.EAGAIN {
		t.Errorf("writing to a full counter: %v, want EAGAIN", err)
	}
	for command, want := range map[int]int{unix.F_GETFL: unix.O_NONBLOCK, unix.F_GETFD: unix.FD_CLOEXEC} {
		if flags, err := unix.FcntlInt(uintptr(fd), command, 0); err != nil || flags&want == 0 {
			t.Errorf("flags %#x, %v, want %#x among them", flags, err, want)
		}
	}
}

func TestCheckPollable(t *testing.T) {
	path, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(path)
	for _, fd := range []int{-1, math.MinInt32, 1 << 30, math.MaxInt32, math.MaxInt, path} {
		if _, err := CheckPollable(fd); err != unix.EBADF {
			t.Errorf("fd %d: %v, want EBADF", fd, err)
		}
	}
	if _, err := CheckPollable(2); err != nil {
		t.Errorf("standard error: %v", err)
	}
}

// Trap 35: without poll(2), under a limit of 0, the answers are the same.
func TestTrap35_CheckPollableWithoutPoll(t *testing.T) {
	path, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(path)
	defer Inject(func(c Call) (f Fault) {
		if c == CallPpoll {
			f.Errno = unix.EINVAL
		}
		return f
	})()
	for fd, want := range map[int]error{-1: unix.EBADF, 1 << 30: unix.EBADF, path: unix.EBADF, 2: nil} {
		failing, err := CheckPollable(fd)
		if err != want || failing != (fd >= 0) {
			t.Errorf("fd %d: failing %v, %v; want %v", fd, failing, err, want)
		}
	}
}

func TestWaitsWithAndWithoutSleep(t *testing.T) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epfd)
	events := make([]unix.EpollEvent, 1)
	for name, wait := range map[string]func(time.Duration) (int, error){
		"ppoll": func(d time.Duration) (int, error) {
			ts := unix.NsecToTimespec(int64(d))
			return Ppoll(nil, &ts)
		},
		"epoll_pwait": func(d time.Duration) (int, error) {
			return EpollPwait(epfd, events, int(d/time.Millisecond))
		},
		"epoll_pwait2": func(d time.Duration) (int, error) {
			ts := NewTimespec64(d)
			return EpollPwait2(epfd, events, &ts)
		},
	} {
		for _, d := range []time.Duration{0, time.Millisecond} {
			start := time.Now()
			n, err := wait(d)
			if err == unix.ENOSYS {
				t.Logf("%s (Linux 5.11) is missing", name)
				continue
			}
			if n != 0 || err != nil && err != unix.EINTR || err == nil && time.Since(start) < d {
				t.Errorf("%s(%v): %d, %v after %v", name, d, n, err, time.Since(start))
			}
		}
	}
}

func TestPollNowAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = CheckPollable(2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGettid(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if got := Gettid(); got != unix.Gettid() {
		t.Errorf("got %d, want %d", got, unix.Gettid())
	}
}
