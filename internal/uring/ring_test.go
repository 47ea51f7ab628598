package uring

import (
	"errors"
	"runtime"
	"testing"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

func newRing(t *testing.T, sq, cq, flags uint32) *Ring {
	t.Helper()
	runtime.LockOSThread()
	r, err := New(sq, cq, flags)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		t.Skipf("skipped: io_uring (Linux 5.1, or forbidden): %v", err)
	case errors.Is(err, unix.EINVAL):
		t.Skipf("skipped: io_uring setup flags %#x: %v", flags, err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		runtime.UnlockOSThread()
		if r.FD() >= 0 {
			_ = r.Close()
		}
	})
	return r
}

// nop queues a request that completes immediately.
func nop(t *testing.T, r *Ring, data uint64) {
	t.Helper()
	e := r.Next()
	if e == nil {
		t.Fatal("the submission queue is full")
	}
	e.PrepOperation(abi.IORING_OP_NOP, -1, 0, 0, 0)
	e.SetUserData(data)
}

func submit(t *testing.T, r *Ring) {
	t.Helper()
	if err := r.Submit(); err != nil {
		t.Fatal(err)
	}
}

// The structures that are handed to the kernel have the kernel's layout.
func TestLayout(t *testing.T) {
	if n := unsafe.Sizeof(SQE{}); n != 64 {
		t.Errorf("a submission entry has %d bytes, want 64", n)
	}
	if n := unsafe.Sizeof(CQE{}); n != 16 {
		t.Errorf("a completion entry has %d bytes, want 16", n)
	}
	var arg getEventsArg
	if n := unsafe.Offsetof(arg.timeout); n != 16 {
		t.Errorf("the timeout of a wait is at %d, want 16", n)
	}
	if n := unsafe.Sizeof(arg); n < getEventsArgSize {
		t.Errorf("the argument of a wait has %d bytes, the kernel reads %d", n, getEventsArgSize)
	}
}

func TestCompletionsComeInOrder(t *testing.T) {
	r := newRing(t, 8, 0, 0)
	if r.Peek() != nil || r.Queued() != 0 {
		t.Fatal("a new ring is not empty")
	}
	for round := range uint64(10) { // around both queues
		for i := range uint64(5) {
			nop(t, r, round*5+i)
		}
		submit(t, r)
		if r.Queued() != 0 {
			t.Fatalf("%d entries are still queued", r.Queued())
		}
		for i := range uint64(5) {
			c := r.Peek()
			if c == nil || c.UserData() != round*5+i || c.Result() != 0 {
				t.Fatalf("completion %d: %v", round*5+i, c)
			}
			r.Seen()
		}
		if r.Peek() != nil {
			t.Fatal("more completions than requests")
		}
	}
}

func TestFullSubmissionQueue(t *testing.T) {
	r := newRing(t, 4, 16, 0)
	for i := range uint64(4) {
		nop(t, r, i)
	}
	if r.Next() != nil || r.Queued() != 4 {
		t.Errorf("a fifth entry in a queue of four; %d queued", r.Queued())
	}
	submit(t, r)
	if r.Next() == nil {
		t.Error("no entry after Submit")
	}
}

// Trap 17: what the full queue had no room for is held back until the next enter.
func TestOverflowIsPending(t *testing.T) {
	r := newRing(t, 2, 4, 0)
	const count = 40
	for i := range uint64(count) {
		if r.Queued() == 2 {
			submit(t, r)
		}
		nop(t, r, i)
	}
	submit(t, r)
	if !r.Pending() {
		t.Fatal("the overflow does not show")
	}
	for i := uint64(0); i < count; {
		c := r.Peek()
		switch {
		case c == nil && !r.Pending():
			t.Fatalf("completions from %d on are lost", i)
		case c == nil:
			submit(t, r)
		case c.UserData() != i:
			t.Fatalf("completion of %d, want %d", c.UserData(), i)
		default:
			r.Seen()
			i++
		}
	}
	submit(t, r)
	if r.Pending() {
		t.Error("pending, though everything was seen")
	}
}

func TestWaitWithTimeout(t *testing.T) {
	r := newRing(t, 4, 0, 0)
	if !r.Has(FeatExtArg) {
		t.Skip("skipped: a wait with a timeout (Linux 5.11)")
	}
	for _, timeout := range []time.Duration{0, 1, 2 * time.Millisecond} {
		start := time.Now()
		err := r.Wait(timeout)
		if err != unix.ETIME && err != unix.EINTR || err == unix.ETIME && time.Since(start) < timeout {
			t.Errorf("Wait(%v): %v after %v", timeout, err, time.Since(start))
		}
	}
	nop(t, r, 1)
	if err := r.Wait(time.Hour); err != nil || r.Peek() == nil {
		t.Errorf("Wait for a completion: %v", err)
	}
}

func TestDisabledRing(t *testing.T) {
	r := newRing(t, 4, 0, abi.IORING_SETUP_R_DISABLED)
	nop(t, r, 1)
	if err := r.Submit(); err != unix.EBADFD {
		t.Errorf("Submit before Enable: %v, want EBADFD", err)
	}
	if err := r.Permitted(); err != nil {
		t.Errorf("Permitted: %v", err)
	}
	if err := r.Enable(); err != nil {
		t.Fatal(err)
	}
	submit(t, r)
	if r.Peek() == nil {
		t.Error("the request did not complete")
	}
}

// Trap 3: the thread that enables the ring is the one that may submit.
func TestSingleIssuer(t *testing.T) {
	r := newRing(t, 4, 0, abi.IORING_SETUP_R_DISABLED|SetupSingleIssuer)
	if err := r.Enable(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: not the thread of the test
		nop(t, r, 1)
		done <- r.Submit()
	}()
	if err := <-done; err != unix.EEXIST {
		t.Errorf("Submit on another thread: %v, want EEXIST", err)
	}
}

func TestRingIsCloseOnExec(t *testing.T) {
	r := newRing(t, 1, 0, 0)
	if flags, err := unix.FcntlInt(uintptr(r.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

func TestClosedRingIsEmpty(t *testing.T) {
	r := newRing(t, 4, 0, 0)
	nop(t, r, 1)
	submit(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r.Peek() != nil || r.Pending() || r.Queued() != 0 || r.Next() != nil || r.FD() != -1 {
		t.Error("a closed ring has something to show")
	}
	if err := r.Submit(); err != unix.EBADF {
		t.Errorf("Submit: %v, want EBADF", err)
	}
}

func TestErrorsWrapTheErrno(t *testing.T) {
	if _, err := New(4, 0, 1<<31); err == nil || !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		t.Errorf("unknown flags: %v, want EINVAL", err)
	}
}

func TestRingAllocatesNothing(t *testing.T) {
	r := newRing(t, 4, 0, 0)
	if !r.Has(FeatExtArg) {
		t.Skip("skipped: a wait with a timeout (Linux 5.11)")
	}
	if n := testing.AllocsPerRun(100, func() {
		nop(t, r, 1)
		_ = r.Wait(time.Second)
		for r.Peek() != nil {
			r.Seen()
		}
		_ = r.Wait(time.Microsecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A registered ring works like any other, and is the kernel's until it is not registered.
func TestRegisteredRing(t *testing.T) {
	r := newRing(t, 4, 0, 0)
	if err := r.Register(); errors.Is(err, unix.EINVAL) {
		t.Skipf("skipped: the registration of rings (Linux 5.18): %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := r.Register(); err != nil {
		t.Fatalf("a second Register: %v", err)
	}
	for range 2 {
		nop(t, r, 1)
		if submit(t, r); r.Peek() == nil {
			t.Fatal("no completion")
		}
		r.Seen()
		if err := r.Unregister(); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // a thread has room for 16
		if err := r.Register(); err != nil {
			t.Fatal(err)
		}
		if err := r.Unregister(); err != nil {
			t.Fatal(err)
		}
	}
}

// The 17th ring of a thread is refused, and works.
func TestThreadHasRoomForSixteenRings(t *testing.T) {
	refused := 0
	for range 17 {
		r := newRing(t, 1, 0, 0)
		err := r.Register()
		if errors.Is(err, unix.EINVAL) {
			t.Skipf("skipped: the registration of rings (Linux 5.18): %v", err)
		}
		if err != nil {
			if refused++; !errors.Is(err, unix.EBUSY) {
				t.Errorf("%v, want EBUSY", err)
			}
		}
		nop(t, r, 1)
		if submit(t, r); r.Peek() == nil {
			t.Error("no completion")
		}
		defer func() {
			if err := r.Unregister(); err != nil {
				t.Error(err)
			}
		}()
	}
	if refused != 1 {
		t.Errorf("%d rings were refused, want 1", refused)
	}
}
