package iouring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

func TestFaults(t *testing.T) {
	backendtest.TestFaults(t, func() (backend.Poller, error) { return New() }, inject)
}

func TestFaultsOfVariants(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { backendtest.TestFaults(t, v.open, inject) })
	}
}

// inject is the seam of package sys.
func inject(f func(call string) backendtest.Fault) (restore func()) {
	return sys.Inject(func(c sys.Call) sys.Fault { return sys.Fault(f(string(c))) })
}

// failing makes the first n calls of that name fail, and counts them all.
func failing(t *testing.T, name sys.Call, n int, errno unix.Errno) (calls *int) {
	calls = new(int)
	t.Cleanup(sys.Inject(func(c sys.Call) (f sys.Fault) {
		if c == name {
			*calls++
			if *calls <= n {
				f.Errno = errno
			}
		}
		return f
	}))
	return calls
}

// The rest is about what only io_uring does.

// Trap 22: fragmented memory has room for a smaller ring.
func TestTrap22_TheRingIsHalvedWithoutMemory(t *testing.T) {
	for name, tries := range map[sys.Call]int{sys.CallIoUringSetup: 3, sys.CallMmap: 2 + 2 + 1} {
		t.Run(string(name), func(t *testing.T) {
			openVariant(t, func(*config) {}) // features are known from here on
			calls := failing(t, name, 2, unix.ENOMEM)
			p, err := New()
			must(t, err)
			defer p.Close()
			room := 0
			for p.ring.Next() != nil {
				room++
			}
			if room != submissionEntries/4 || *calls > tries {
				t.Errorf("%d entries after %d calls, want %d", room, *calls, submissionEntries/4)
			}
			if got := p.ring.Room(); got != completionEntries/4 { // it is by far the larger one
				t.Errorf("room for %d completions, want %d", got, completionEntries/4)
			}
		})
	}
}

func TestTrap22_NoMemoryAtAll(t *testing.T) {
	openVariant(t, func(*config) {})
	for _, name := range []sys.Call{sys.CallIoUringSetup, sys.CallMmap} {
		calls := failing(t, name, 1000, unix.ENOMEM)
		p, err := New()
		if !errors.Is(err, backend.ErrMemory) || !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("New: %v, %v; want an error about memory that names %s", p, err, name)
		}
		if *calls > 9*8 { // New waits 8 times
			t.Errorf("%d calls of %s, want at most 8 each time", *calls, name)
		}
	}
}

// A probe that finds no descriptor, or no memory, must not lead to a plainer ring. What
// a process has found out it remembers, so this takes a new one for each errno.
func TestProbesWithoutADescriptor(t *testing.T) {
	const child = "AIOLOOP_TEST_PROBES"
	errno, err := strconv.Atoi(os.Getenv(child))
	if err != nil {
		openVariant(t, func(*config) {})
		for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
			cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", child, errno))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", errno, err, out)
			}
		}
		return
	}
	for _, name := range []sys.Call{sys.CallIoUringSetup, sys.CallEventfd} {
		for n := 1; probeFails(t, name, n, unix.Errno(errno)); n++ {
			if n > 20 {
				t.Fatal("there is no end to it")
			}
		}
	}
}

// probeFails reports whether New makes n calls of that name, of which the last fails.
func probeFails(t *testing.T, name sys.Call, n int, errno unix.Errno) bool {
	t.Helper()
	p, calls, err := openFailing(name, n, errno)
	switch {
	case calls < n:
		must(t, err)
		must(t, p.Close())
		return false
	case err == nil && errno == unix.ENOMEM: // not a probe: the Poller's own ring, which is halved then
		if want := detect(); p.config.flags != want.flags || p.config.multishot != want.multishot {
			t.Errorf("call %d of %s has found no memory, and New returns %+v", n, name, p.config)
		}
		must(t, p.Close())
	case !errors.Is(err, errno) || !errors.Is(err, backend.ErrFDLimit) && !errors.Is(err, backend.ErrMemory):
		t.Errorf("call %d of %s fails with %v, and New returns %+v, %v", n, name, errno, p, err)
	}
	return true
}

// openFailing is New when the nth call of that name fails.
func openFailing(name sys.Call, n int, errno unix.Errno) (p *Poller, calls int, err error) {
	defer sys.Inject(func(c sys.Call) (f sys.Fault) {
		if c == name {
			if calls++; calls == n {
				f.Errno = errno
			}
		}
		return f
	})()
	p, err = New()
	return p, calls, err
}

// Only io_uring has a queue in front of the kernel. What it has no room for waits, and happens once.
func TestOperationsWhileTheKernelTakesNone(t *testing.T) {
	p := openVariant(t, func(c *config) { c.sq, c.cq = 4, 8 })
	must(t, p.Bind())
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		restore := sys.Inject(func(c sys.Call) (f sys.Fault) {
			if c == sys.CallIoUringEnter {
				f.Errno = errno
			}
			return f
		})
		nops(t, p, 9)
		for range 3 {
			wait(t, p, 0)
		}
		restore()
		onceEach(t, p, 9)
	}
}

// nops submits n operations.
func nops(t *testing.T, p *Poller, n int) {
	t.Helper()
	for i := range n {
		must(t, p.Submit(&backend.Request{Data: i}))
	}
}

func completions(p *Poller) (all []*backend.Request) {
	var done backend.Requests
	p.Completions(&done)
	for r := done.Pop(); r != nil; r = done.Pop() {
		all = append(all, r)
	}
	return all
}

// onceEach waits for the operations of nops.
func onceEach(t *testing.T, p *Poller, n int) {
	t.Helper()
	seen := make(map[any]int)
	take := func() {
		for _, r := range completions(p) {
			seen[r.Data]++
		}
	}
	for waits := 0; len(seen) < n; waits++ {
		if waits > 100 {
			t.Fatalf("%d of %d operations have completed", len(seen), n)
		}
		wait(t, p, time.Second)
		take()
	}
	wait(t, p, 0)
	take()
	for i, times := range seen {
		if times != 1 {
			t.Errorf("operation %d has completed %d times", i, times)
		}
	}
	if p.ops.live != 0 {
		t.Errorf("%d operations are under way", p.ops.live)
	}
}

// tampered is a Poller whose completions come late, or several times. deliver is
// asked whenever the kernel has been entered.
func tampered(t *testing.T, deliver func(*uring.CQE) int) (p *Poller, calls *int) {
	p = openVariant(t, func(*config) {})
	must(t, p.Bind())
	pump := p.ring.Tamper(deliver)
	calls = new(int)
	t.Cleanup(sys.Inject(func(c sys.Call) (f sys.Fault) {
		if c == sys.CallIoUringEnter {
			*calls++
			f.Then = pump
		}
		return f
	}))
	return p, calls
}

// late holds each completion back until it has been asked for it three times.
func late() func(*uring.CQE) int {
	asked := 0
	return func(*uring.CQE) int {
		if asked++; asked%3 != 0 {
			return 0
		}
		return 1
	}
}

func TestLateCompletions(t *testing.T) {
	p, calls := tampered(t, late())
	nops(t, p, 4)
	onceEach(t, p, 4)
	var fds []int
	for i := range 8 {
		fds = append(fds, eventfd(t, 1))
		must(t, p.Add(fds[i], backend.In|backend.Edge*backend.Events(i%2), backend.Tag(i)))
	}
	seen := make(map[backend.Tag]bool)
	for start := time.Now(); len(seen) < len(fds) && time.Since(start) < 20*time.Second; {
		for _, r := range wait(t, p, time.Second) {
			seen[r.Tag] = true
		}
	}
	if len(seen) < len(fds) || *calls > 500 {
		t.Errorf("%d of %d were reported, with %d calls", len(seen), len(fds), *calls)
	}
}

// Trap 12: the number means another file by the time that the completion comes, and
// the slot is another registration's, if there was a Wait in between.
func TestTrap12_LateCompletionOfAReusedNumber(t *testing.T) {
	held := false
	p, _ := tampered(t, func(*uring.CQE) int {
		if held {
			return 0
		}
		return 1
	})
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
		for _, waits := range []int{0, 1} {
			fd := eventfd(t, 0)
			must(t, p.Add(fd, events, 1))
			wait(t, p, 0)
			held = true
			must(t, sys.WriteEventfd(fd))
			wait(t, p, 0)
			must(t, p.Remove(fd))
			for range waits {
				wait(t, p, 0)
			}
			fresh := eventfd(t, 0)
			must(t, unix.Dup3(fresh, fd, unix.O_CLOEXEC))
			must(t, p.Add(fd, events, 2))
			wait(t, p, 0)
			held = false
			p.table.Lock()
			must(t, p.submit()) // without a reason to, a Wait does not enter the kernel
			p.table.Unlock()
			for range 4 {
				if got := wait(t, p, 0); len(got) != 0 {
					t.Errorf("got %v of the file before", got)
				}
			}
			must(t, sys.WriteEventfd(fd))
			if got := wait(t, p, time.Minute); len(got) != 1 || got[0].Tag != 2 {
				t.Errorf("got %v, want tag 2", got)
			}
			must(t, p.Remove(fd))
		}
	}
}

func TestDuplicatedCompletions(t *testing.T) {
	p, _ := tampered(t, func(*uring.CQE) int { return 2 })
	for range 3 {
		nops(t, p, 4)
		onceEach(t, p, 4)
	}
	fd := eventfd(t, 1)
	must(t, p.Add(fd, backend.In, 1))
	for range 3 {
		if got := wait(t, p, time.Minute); len(got) != 1 || got[0].Tag != 1 {
			t.Errorf("got %v, want tag 1 once", got)
		}
	}
	must(t, p.Remove(fd))
	for range 3 {
		if got := wait(t, p, 0); len(got) != 0 {
			t.Errorf("got %v after Remove", got)
		}
	}
}

// Only io_uring has to enter the kernel to take a request back immediately. What else
// has changed is not submitted then: a request for a descriptor whose event was
// reported, and is about to be dispatched, would report it once more.
func TestRemoveSubmitsNothingElse(t *testing.T) {
	p := openVariant(t, func(*config) {})
	must(t, p.Bind())
	ready, idle := eventfd(t, 1), eventfd(t, 0)
	must(t, p.Add(ready, backend.In, 1))
	must(t, p.Add(idle, backend.In, 2))
	if got := wait(t, p, time.Minute); len(got) != 1 || got[0].Tag != 1 {
		t.Fatalf("got %v, want tag 1", got)
	}
	must(t, p.Remove(idle))
	if _, err := sys.ReadEventfd(ready); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, p, 0); len(got) != 0 {
		t.Errorf("got %v for nothing", got)
	}
	must(t, sys.WriteEventfd(ready))
	if got := wait(t, p, time.Minute); len(got) != 1 || got[0].Tag != 1 {
		t.Errorf("got %v, want tag 1", got)
	}
}

// Only io_uring has changes that a foreign loop would wait for in vain (trap 5).
func TestFlushWhileTheKernelTakesNothing(t *testing.T) {
	for errno, submit := range map[unix.Errno]int{unix.EAGAIN: 1, unix.EBUSY: 1, unix.EINTR: 11} {
		p := openVariant(t, func(*config) {})
		must(t, p.Flush())
		fd := eventfd(t, 1)
		must(t, p.Add(fd, backend.In, 1))
		calls := failing(t, sys.CallIoUringEnter, 1000*submit, errno)
		err := p.Flush()
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "io_uring_enter") || *calls > 400*submit {
			t.Errorf("Flush: %v after %d calls, want %v", err, *calls, errno)
		}
		calls = failing(t, sys.CallIoUringEnter, 30, errno)
		must(t, p.Flush())
		if revents, err := sys.PollNow(p.PollFD(), unix.POLLIN); revents == 0 || err != nil {
			t.Errorf("after %d calls of Flush the descriptor is not readable: %v", *calls, err)
		}
		if got := wait(t, p, time.Minute); len(got) != 1 {
			t.Errorf("got %v, want tag 1", got)
		}
	}
}

// loses has the kernel cancel a new request.
func loses(p *Poller, r *backend.Request) {
	p.ops.complete(userData(kindOperation, p.ops.begin(r)), -int32(unix.ECANCELED), 0)
}

// What the kernel has cancelled by itself is submitted again.
func TestWhatTheKernelCancelsIsSubmittedAgain(t *testing.T) {
	p := openVariant(t, func(*config) {})
	r := new(backend.Request)
	loses(p, r)
	if len(p.ops.lost) != 1 || !p.ops.done.Empty() {
		t.Fatalf("%d to be submitted again; done: %v", len(p.ops.lost), p.ops.done.First())
	}
	must(t, p.Bind())
	wait(t, p, 0)
	if done := completions(p); len(done) != 1 || done[0] != r || r.Result != 0 {
		t.Errorf("completed as %v", done)
	}
}

// What the kernel has cancelled by itself, and then the caller, is not submitted again.
func TestWhatIsLostCanBeCancelled(t *testing.T) {
	p := openVariant(t, func(*config) {})
	must(t, p.Bind())
	var all [3]backend.Request
	for i := range all {
		loses(p, &all[i])
	}
	must(t, p.Cancel(&all[1]))
	count := 0
	for range 3 {
		wait(t, p, 0)
		count += len(completions(p))
	}
	if all[0].Result != 0 || all[1].Err() != unix.ECANCELED || all[2].Result != 0 || count != 3 || len(p.ops.lost) != 0 || p.ops.live != 0 {
		t.Errorf("%d have completed, as %v, %v, %v; %d are lost, %d under way", count, all[0].Err(), all[1].Err(), all[2].Err(), len(p.ops.lost), p.ops.live)
	}
}

// Trap 38: an operation for which the kernel can make no worker thread ends after a
// bounded time, and not with the ECANCELED of the kernel, which no caller asked for.
func TestTrap38_OperationThatIsLostAgainAndAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		every  time.Duration // between two losses
		thread int           // that submits it again; 0: this one
		ends   bool
	}{
		{"no worker thread", 50 * time.Millisecond, 0, true},
		{"lost now and then", 2 * shortLife, 0, false},
		{"the thread has ended", 50 * time.Millisecond, 1 << 30, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openVariant(t, func(*config) {})
			var now time.Duration
			defer sys.Inject(func(c sys.Call) (f sys.Fault) {
				if c == sys.CallMonotonic {
					f.Skew = now
				}
				return f
			})()
			key := p.ops.begin(new(backend.Request))
			losses := 0
			for p.ops.live > 0 && losses < 1000 {
				losses++
				p.ops.complete(userData(kindOperation, key), -int32(unix.ECANCELED), 0)
				p.ops.lost = nil // submitted again
				if l := p.ops.losses[key.Index]; l != nil {
					l.submitted, l.thread = sys.Monotonic(), c.thread
					if c.thread == 0 {
						l.thread = sys.Gettid()
					}
				}
				now += c.every
			}
			switch done := completions(p); {
			case !c.ends && len(done) != 0:
				t.Errorf("it has completed as %v after %d losses", done[0].Err(), losses)
			case c.ends && (len(done) != 1 || done[0].Err() != unix.EAGAIN || now < giveUpAfter || now > 2*giveUpAfter):
				t.Errorf("%v after %v, want EAGAIN after %v", done, now, giveUpAfter)
			}
			p.ops.slots[key.Index].request, p.ops.live = nil, 0
		})
	}
}

// A lost operation is paused for, and only then: the home goroutine does not spin.
func TestTrap38_LostOperationsAreSubmittedInPauses(t *testing.T) {
	calls := failing(t, sys.CallPpoll, 0, 0)
	for i, o := range []operations{{}, {lost: []uint32{0}}, {slow: true}, {slow: true, lost: []uint32{0}}} {
		*calls = 0
		if o.pause(); (*calls > 0) != (i == 3) {
			t.Errorf("lost %v, slow %v: %d calls of ppoll", o.lost, o.slow, *calls)
		}
	}
}
