package iouring

import (
	"errors"
	"runtime"
	"testing"
	"time"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// onThread opens a Poller for a test that keeps its thread.
func onThread(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	t.Cleanup(func() {
		_ = p.Close()
		runtime.UnlockOSThread()
	})
	return p
}

func foreignEvent(t *testing.T) int {
	t.Helper()
	fd, err := sys.NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// readable waits as a foreign loop does.
func readable(t *testing.T, p *Poller, timeout time.Duration) bool {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(p.PollFD()), Events: unix.POLLIN}}
	n, err := sys.PpollFor(fds, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// Registrations of before the first Flush move along to the ring that wakes up a
// foreign loop, level and edge, and a later change holds from the next Flush on.
func TestFlushMovesRegistrations(t *testing.T) {
	p := onThread(t)
	level, edge := foreignEvent(t), foreignEvent(t)
	ready := make([]backend.Ready, 4)
	for fd, events := range map[int]backend.Events{level: backend.In, edge: backend.In | backend.Edge} {
		if err := p.Add(fd, events, backend.Tag(fd)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := p.Wait(ready, 0); n != 0 || err != nil { // on the old ring
		t.Fatal(n, err)
	}
	for _, fd := range []int{level, edge, level, edge} {
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if readable(t, p, 0) {
			t.Fatal("readable with nothing to report")
		}
		go func() {
			time.Sleep(time.Millisecond)
			_ = sys.WriteEventfd(fd)
		}()
		if !readable(t, p, 10*time.Second) {
			t.Fatal("the foreign loop sleeps on")
		}
		if n, err := p.Wait(ready, 0); n != 1 || err != nil || ready[0].Tag != backend.Tag(fd) {
			t.Fatalf("%d events, %v, %+v", n, err, ready[0])
		}
		_, _ = sys.ReadEventfd(fd)
		takeTheRest(t, p, ready)
	}
}

// takeTheRest takes what is still there of an event that is over.
func takeTheRest(t *testing.T, p *Poller, ready []backend.Ready) {
	t.Helper()
	for range 10 {
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Wait(ready, 0); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			return
		}
	}
	t.Fatal("events without end")
}

// What the kernel is at cannot move: Flush says so and leaves it alone.
func TestFlushWithOperationsUnderWay(t *testing.T) {
	p := onThread(t)
	r, w := blockingPipe(t)
	if err := p.Submit(&backend.Request{Code: backend.OpRead, FD: r, Buf: make([]byte, 1), Offset: -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(make([]backend.Ready, 1), 0); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(p.Flush(), unix.EBUSY) {
		t.Skip("the ring is one that can stay")
	}
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(make([]backend.Ready, 1), time.Second); err != nil {
		t.Fatal(err)
	}
	if n := len(completions(p)); n != 1 {
		t.Errorf("%d completions", n)
	}
	if err := p.Flush(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What it has not been given yet does, and so does its cancellation.
func TestFlushBeforeOperationsAreUnderWay(t *testing.T) {
	p := onThread(t)
	r, _ := blockingPipe(t)
	all := []backend.Request{{}, {Code: backend.OpRead, FD: r, Buf: make([]byte, 1), Offset: -1}, {}}
	for i := range all {
		if err := p.Submit(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Cancel(&all[1]); err != nil {
		t.Fatal(err)
	}
	results := make(map[*backend.Request]int32)
	for begin := time.Now(); len(results) < 3; {
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := sys.PpollFor([]unix.PollFd{{Fd: int32(p.PollFD()), Events: unix.POLLIN}}, time.Second); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(make([]backend.Ready, 1), 0); err != nil {
			t.Fatal(err)
		}
		for _, r := range completions(p) {
			if _, twice := results[r]; twice {
				t.Errorf("the %v has completed twice", r)
			}
			results[r] = r.Result
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("completed: %v", results)
		}
	}
	if results[&all[0]] != 0 || results[&all[1]] != -int32(unix.ECANCELED) || results[&all[2]] != 0 {
		t.Errorf("completed: %v", results)
	}
}

// blockingPipe returns the two ends of a pipe that a read waits for.
func blockingPipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(p[0]), unix.Close(p[1]) })
	return p[0], p[1]
}

func TestFlushAfterClose(t *testing.T) {
	p := onThread(t)
	_ = p.Close()
	if err := p.Flush(); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("Flush: %v", err)
	}
	if fd := p.PollFD(); fd != -1 {
		t.Errorf("PollFD: %d", fd)
	}
}

// A ring that is registered with the thread, as in Run, is not kept by that when it is exchanged.
func TestFlushReleasesARegisteredRing(t *testing.T) {
	for range 20 { // a thread has room for 16
		p := onThread(t)
		p.Stay()
		must(t, p.Flush())
		must(t, p.Leave())
		must(t, p.Close())
	}
	p := onThread(t)
	if p.Stay(); p.ring.SetUp(abi.IORING_SETUP_TASKRUN_FLAG) {
		must(t, p.ring.Register()) // does nothing if Stay has done it
	}
	must(t, p.Leave())
}
