package iouring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

var must = testkit.Must

// The conformance suite, also of the code for older kernels, is in
// conformance_test.go. Here is what only io_uring can get wrong; each test says why.

func openVariant(t *testing.T, alter func(*config)) *Poller {
	t.Helper()
	runtime.LockOSThread()
	c := detect()
	alter(&c)
	p, err := open(c)
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skipf("skipped: %v", err)
	}
	must(t, err)
	t.Cleanup(func() {
		must(t, p.Close())
		runtime.UnlockOSThread()
	})
	return p
}

func eventfd(t *testing.T, counter uint) int {
	t.Helper()
	fd, err := unix.Eventfd(counter, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func wait(t *testing.T, p *Poller, timeout time.Duration) []backend.Ready {
	t.Helper()
	ready := make([]backend.Ready, 16)
	n, err := p.Wait(ready, timeout)
	must(t, err)
	return ready[:n]
}

// Only io_uring can have changes that the kernel does not take yet. A loop that slept
// then would sleep with descriptors that are not watched (trap 5). Before Bind
// no one may submit, which makes a full queue stay full.
func TestNobodySleepsWithChangesLeft(t *testing.T) {
	p := openVariant(t, func(c *config) { c.sq, c.cq, c.flags = 4, 8, 0 })
	for tag := range backend.Tag(9) {
		must(t, p.Add(eventfd(t, 0), backend.In, tag))
	}
	p.table.Lock()
	complete, err := p.prepare()
	p.table.Unlock()
	if complete || err != nil || len(p.changed) != 5 {
		t.Fatalf("prepare: complete %v, %v, %d changes left; want false, 5", complete, err, len(p.changed))
	}
	start := time.Now()
	if err := p.enter(time.Minute); err != nil || time.Since(start) > 30*time.Second {
		t.Errorf("enter slept for %v, %v", time.Since(start), err)
	}
	must(t, p.Bind())
	wait(t, p, 0)
	if len(p.changed) != 0 {
		t.Errorf("%d changes left after a Wait", len(p.changed))
	}
}

// Only io_uring keeps a slot after Remove, until the request is cancelled: used
// again too early, it would take the old request for its own.
func TestARemovedSlotIsNotUsedWhileItIsArmed(t *testing.T) {
	p := openVariant(t, func(*config) {})
	must(t, p.Bind())
	a, b := eventfd(t, 0), eventfd(t, 0)
	must(t, p.Add(a, backend.In, 1))
	wait(t, p, 0)
	elsewhere(func() { must(t, p.Remove(a)) })
	if s := p.table.At(0); s.Live || !s.X.armed {
		t.Fatalf("removed on another goroutine, the slot is %+v", s)
	}
	must(t, p.Add(b, backend.In, 2))
	if s := p.table.At(1); s == nil || int(s.FD) != b {
		t.Error("the new registration has not got a slot of its own")
	}
	must(t, unix.Close(a))
	wait(t, p, 0)
	c := eventfd(t, 0)
	must(t, p.Add(c, backend.In, 3))
	if s := p.table.At(0); int(s.FD) != c {
		t.Error("the cancelled slot is not used again")
	}
}

// elsewhere runs f on a thread of its own and waits for it.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: not the caller's thread
		defer close(done)
		f()
	}()
	<-done
}

// Only io_uring forgets a level-triggered registration with each event.
func TestOneRequestPerRegistration(t *testing.T) {
	p := openVariant(t, func(*config) {})
	fd := eventfd(t, 1)
	must(t, p.Add(fd, backend.In, 1))
	for range 5 {
		if got := wait(t, p, time.Minute); len(got) != 1 {
			t.Fatalf("got %v", got)
		}
		if p.table.At(0).X.armed || len(p.changed) != 1 {
			t.Fatal("the request is over, and not listed to be made again")
		}
	}
	must(t, p.Modify(fd, backend.In|backend.Edge, 2))
	wait(t, p, time.Minute)
	if p.multishot && (!p.table.At(0).X.armed || len(p.changed) != 0) {
		t.Error("an edge-triggered request is made again for each event")
	}
}

// Only kernels before 5.11 need a request for the timeout. After a signal the one
// that is under way serves on; a new one each time would pile up.
func TestOneTimerForOneDeadline(t *testing.T) {
	p := openVariant(t, func(c *config) { c.flags, c.extArg = 0, false })
	must(t, p.Bind())
	arm := func(timeout time.Duration, want uint32) {
		t.Helper()
		if armed, err := p.armTimer(timeout); !armed || err != nil || p.ring.Queued() != want {
			t.Errorf("armTimer(%v): %v, %v, %d requests, want %d", timeout, armed, err, p.ring.Queued(), want)
		}
	}
	arm(time.Hour, 1)
	arm(time.Hour, 1)
	arm(2*time.Hour, 1)
	arm(time.Millisecond, 2) // the other one would be late
	arm(time.Minute, 2)
	start := time.Now()
	if got := wait(t, p, 5*time.Millisecond); len(got) != 0 || time.Since(start) < 5*time.Millisecond {
		t.Errorf("got %v after %v", got, time.Since(start))
	}
}

// The generation in a completion has 30 bits: the next slot's does not spill over
// into the kind of request.
func TestUserData(t *testing.T) {
	for _, k := range []fdtable.Key{{}, {Index: 1<<32 - 1, Generation: 1<<32 - 1}, {Index: 5, Generation: 1 << 30}} {
		for _, kind := range []uint64{kindPoll, kindOperation, kindOther} {
			if got := userData(kind, k); got&kindMask != kind || uint32(got) != k.Index {
				t.Errorf("userData(%#x, %v) = %#x", kind, k, got)
			}
		}
	}
}

// Only io_uring hands memory to the kernel. Buffers of operations that outlive
// their Poller are kept, those of others are not.
func TestBuffersAreKeptOnlyWhileTheKernelHasThem(t *testing.T) {
	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	kept := func() int {
		abandoned.Lock()
		defer abandoned.Unlock()
		return len(abandoned.requests)
	}
	for _, c := range []struct{ pending, elsewhere, kept bool }{
		{false, false, false},
		{false, true, false},
		{true, false, false},
		{true, true, true}, // no one can hear when the kernel has let go
	} {
		before := kept()
		p := openVariant(t, func(*config) {})
		must(t, p.Bind())
		op := backend.Request{}
		if c.pending {
			op = backend.Request{Code: backend.OpRead, FD: pipe[0], Buf: make([]byte, 8), Offset: -1}
		}
		must(t, p.Submit(&op))
		wait(t, p, 0)
		if c.elsewhere {
			elsewhere(func() { must(t, p.Close()) })
		} else {
			must(t, p.Close())
		}
		if grown := kept() > before; grown != c.kept {
			t.Errorf("%+v: buffers kept after Close: %v", c, grown)
		}
	}
}

// Only io_uring can be refused for so many reasons.
func TestUnavailable(t *testing.T) {
	for errno, cause := range map[unix.Errno]error{
		unix.ENOSYS: backend.ErrKernel,
		unix.ENOMEM: backend.ErrMemlock,
		unix.EMFILE: backend.ErrFDLimit,
		unix.ENFILE: backend.ErrFDLimit,
		unix.EINVAL: backend.ErrKernel,
	} {
		err := unavailable(fmt.Errorf("wrapped: %w", os.NewSyscallError("iouring_setup", errno)))
		var u *backend.UnavailableError
		if !errors.As(err, &u) || u.Err != errno || u.Op != "io_uring_setup" || u.Advice == "" {
			t.Errorf("%v: %+v", errno, u)
		}
		if !errors.Is(err, cause) || !errors.Is(err, errno) || !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("%v: %v does not wrap %v", errno, err, cause)
		}
	}
}

// A user changes what the advice names, so each errno and each value of the sysctl has
// its own.
func TestAdvice(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EMFILE: "close descriptors or raise `ulimit -n`",
		unix.ENFILE: "raise the sysctl fs.file-max",
	} {
		text := unavailable(os.NewSyscallError("io_uring_setup", errno)).Error()
		if !strings.HasSuffix(text, "the limit of open files (RLIMIT_NOFILE) is reached; "+want) {
			t.Errorf("%v: %s", errno, text)
		}
	}
	for setting, want := range map[string]string{
		"1": "set kernel.io_uring_disabled to 0, or join the group of kernel.io_uring_group",
		"2": "set kernel.io_uring_disabled to 0",
	} {
		if causes, advice := forbidden(setting); len(causes) != 1 || causes[0] != backend.ErrSysctl || advice != want {
			t.Errorf("io_uring_disabled=%s: %v, %q", setting, causes, advice)
		}
	}
	for _, setting := range []string{"0", ""} { // the sysctl is not the reason
		if causes, advice := forbidden(setting); slices.Contains(causes, backend.ErrSysctl) || strings.Contains(advice, "sysctl") || advice == "" {
			t.Errorf("io_uring_disabled=%q: %v, %q", setting, causes, advice)
		}
	}
}

// What a poll request's failure means is io_uring's own.
func TestFailuresOfPollRequests(t *testing.T) {
	p := &Poller{}
	for _, c := range []struct {
		errno unix.Errno
		want  backend.Events
		dead  bool
	}{
		{unix.ECANCELED, 0, false},
		{unix.EAGAIN, 0, false},
		{unix.ENOMEM, 0, false},
		{unix.EBADF, backend.Nval, true},
		{unix.EINVAL, 0, true},
		{unix.EOPNOTSUPP, backend.Err, true},
	} {
		var s fdtable.Slot[request]
		if got := p.happened(&s, -int32(c.errno)); got != c.want || s.X.dead != c.dead {
			t.Errorf("%v: %v, dead %v; want %v, %v", c.errno, got, s.X.dead, c.want, c.dead)
		}
	}
}

// Trap 11: a request that has its event already cannot be cancelled, it has to
// end, and with many such the kernel ends them in portions.
func TestTrap11_RemoveReleasesAmongManyEvents(t *testing.T) {
	p := openVariant(t, func(*config) {})
	const n = 100
	var pipes [n][2]int
	for i := range pipes {
		must(t, unix.Pipe2(pipes[i][:], unix.O_CLOEXEC|unix.O_NONBLOCK))
		defer unix.Close(pipes[i][1])
		must(t, p.Add(pipes[i][0], backend.In, backend.Tag(i)))
	}
	wait(t, p, 0)
	for i := range pipes {
		_, err := unix.Write(pipes[i][1], []byte("x"))
		must(t, err)
	}
	for i := n - 1; i >= 0; i-- {
		must(t, p.Remove(pipes[i][0]))
		must(t, unix.Close(pipes[i][0]))
		if _, err := unix.Write(pipes[i][1], []byte("x")); err != unix.EPIPE {
			t.Fatalf("pipe %d of %d is held: %v, want EPIPE", i, n, err)
		}
	}
}

// Completions that the queue had no room for come before anything new. Where the
// kernel does not see to that, until Linux 5.18, requests that complete immediately would
// keep them back forever.
func TestNothingOvertakesAnOverflow(t *testing.T) {
	p := openVariant(t, func(c *config) { c.sq, c.cq, c.flags = 4, 8, 0 })
	const n = 40
	for tag := range backend.Tag(n) {
		must(t, p.Add(eventfd(t, 1), backend.In, tag))
	}
	must(t, p.Bind())
	seen := make(map[backend.Tag]bool)
	for held := 0; len(seen) < n; {
		if held = len(p.changed); p.ring.Overflown() {
			p.table.Lock()
			complete, err := p.prepare()
			p.table.Unlock()
			if complete || err != nil || len(p.changed) != held {
				t.Fatalf("prepare: complete %v, %v, %d of %d changes left", complete, err, len(p.changed), held)
			}
		}
		for _, r := range wait(t, p, time.Minute) {
			if seen[r.Tag] {
				t.Fatalf("tag %d is reported again after %d of %d", r.Tag, len(seen), n)
			}
			seen[r.Tag] = true
		}
	}
}

// Requests wait for those that will follow the completions that there are, but not for long.
func TestFewRequestsWaitForOthers(t *testing.T) {
	p := openVariant(t, func(*config) {})
	ready := make([]backend.Ready, 1)
	fds := make([]int, 4*maxPostponed)
	var reads []backend.Request
	for i := range fds {
		fds[i] = eventfd(t, 0)
		reads = append(reads, backend.Request{Code: backend.OpRead, FD: fds[i], Buf: make([]byte, 8)})
	}
	for i := range reads {
		must(t, p.Submit(&reads[i]))
	}
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	must(t, p.Submit(&backend.Request{}))
	for i := range maxPostponed + 1 {
		must(t, sys.WriteEventfd(fds[i]))
		if !p.ring.WorkPending() {
			t.Skip("this kernel does not say that it has deferred work (Linux 5.19)")
		}
		if n, err := p.Wait(ready, 0); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		want := 1
		if i == maxPostponed {
			want = 2 // the request has been submitted, and has completed
		}
		if done := completions(p); len(done) != want {
			t.Fatalf("Wait %d has seen %d completions, want %d", i, len(done), want)
		}
	}
	must(t, p.Submit(&backend.Request{}))
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if done := completions(p); len(done) != 1 {
		t.Errorf("%d completions, where nothing was to be seen before", len(done))
	}
}

// A poll that is removed has ended after the next Wait: what closes its descriptor relies on it.
func TestARemovedPollDoesNotWaitForOthers(t *testing.T) {
	p := openVariant(t, func(*config) {})
	ready := make([]backend.Ready, 1)
	fds := make([]int, 8)
	reads := make([]backend.Request, len(fds))
	for i := range fds {
		fds[i] = eventfd(t, 0)
		reads[i] = backend.Request{Code: backend.OpRead, FD: fds[i], Buf: make([]byte, 8)}
		must(t, p.Submit(&reads[i]))
	}
	watched := eventfd(t, 0)
	must(t, p.Add(watched, backend.In, 1))
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	elsewhere(func() { must(t, p.Remove(watched)) }) // at home it would be taken back at this moment
	must(t, sys.WriteEventfd(fds[0]))
	if !p.ring.WorkPending() {
		t.Skip("this kernel does not say that it has deferred work (Linux 5.19)")
	}
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n := p.ring.Queued(); n != 0 {
		t.Errorf("%d entries are still in the queue", n)
	}
}

// What the kernel cancels by itself is submitted again, so that a link must not be broken.
func TestRawEntriesStandAlone(t *testing.T) {
	p := openVariant(t, func(*config) {})
	for flags, want := range map[uint8]error{
		0: nil, abi.IOSQE_FLAGS_ASYNC: nil,
		abi.IOSQE_FLAGS_IO_LINK: unix.EINVAL, abi.IOSQE_FLAGS_IO_HARDLINK: unix.EINVAL, 1 << 6: unix.EINVAL,
	} {
		if err := p.Submit(&backend.Request{Code: backend.OpRaw, Raw: &[64]byte{abi.IORING_OP_NOP, flags}}); !errors.Is(err, want) {
			t.Errorf("flags %#x: %v, want %v", flags, err, want)
		}
	}
}
