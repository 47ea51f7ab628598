package backendtest

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// Fault is what becomes of one system call of a Poller. The zero Fault lets it be.
type Fault struct {
	Errno unix.Errno    // not 0: the call is not made, and fails with this
	Room  int           // above 0: no more events are asked for, no more requests handed over
	Skew  time.Duration // added to what the clock says, if that is what is asked
	Then  func()        // called when the kernel has returned
}

// Injector lets f decide about each call that Pollers make until restore. A call
// has the name of its manual page; the clock's is "monotonic".
type Injector func(f func(call string) Fault) (restore func())

// TestFaults checks that nothing is lost, reported twice or waited for in vain, and
// that no Wait spins, when system calls fail. It is for Pollers whose author has a
// way to make them fail.
func TestFaults(t *testing.T, open func() (backend.Poller, error), inject Injector) {
	available(t, open)
	for _, c := range faultChecks {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread()
			t.Cleanup(runtime.UnlockOSThread)
			h := &faulty{home: &home{T: t, open: open, ready: make([]backend.Ready, 64)}, inject: inject}
			h.start()
			c.run(h)
		})
	}
}

// faulty is a home whose system calls fail.
type faulty struct {
	*home
	inject Injector
	calls  int    // that wait, since the last under
	failed string // the last that failed
}

var faultChecks = []struct {
	name string
	run  func(*faulty)
}{
	{"trap19_interrupts_are_endured", interruptsAreEndured},
	{"trap19_interrupts_do_not_restart_the_timeout", interruptsDoNotRestart},
	{"endless_interrupts_end", endlessInterrupts},
	{"a_failed_wait_loses_nothing", failedWait},
	{"a_refused_wait_is_tried_again", refusedWait},
	{"an_endless_refusal_is_an_error", endlessRefusal},
	{"trap17_short_batches", shortBatches},
	{"a_failed_add_leaves_nothing", failedAdd},
	{"a_failed_modify_changes_nothing", failedModify},
	{"a_failed_remove_ends_with_the_next_wait", failedRemove},
	{"trap11_interrupted_remove", interruptedRemove},
	{"a_clock_that_jumps_ends_a_wait", clockJumps},
	{"random_faults", randomFaults},
}

// waits are the calls that a Poller waits with.
var waits = []string{"ppoll", "epoll_pwait", "epoll_pwait2", "io_uring_enter"}

// under runs a function while f decides about the calls.
func (h *faulty) under(f func(call string) Fault, run func()) {
	h.calls, h.failed = 0, ""
	restore := h.inject(func(call string) Fault {
		fault := f(call)
		if slices.Contains(waits, call) {
			h.calls++
		}
		if fault.Errno != 0 {
			h.failed = call
		}
		return fault
	})
	defer restore()
	run()
}

// first makes the first n waiting calls fail; -1 means all.
func first(n int, errno unix.Errno) func(string) Fault {
	return func(call string) Fault {
		if n == 0 || !slices.Contains(waits, call) {
			return Fault{}
		}
		n--
		return Fault{Errno: errno}
	}
}

func always(errno unix.Errno) func(string) Fault { return first(-1, errno) }

// atMost checks that no Wait spins.
func (h *faulty) atMost(n int) {
	h.Helper()
	if h.calls > n {
		h.Errorf("%d calls, want at most %d", h.calls, n)
	}
}

// source is an eventfd that is registered, and known to the kernel.
func (h *faulty) source(events backend.Events, tag backend.Tag) *descriptor {
	h.Helper()
	d := h.eventfd(0)
	h.add(d.fd, events, tag)
	h.wait(0)
	return d
}

var bothKinds = []backend.Events{backend.In, backend.In | backend.Edge}

func interruptsAreEndured(h *faulty) {
	for _, events := range bothKinds {
		d := h.source(events, 1)
		for _, n := range []int{1, 50} {
			d.signal()
			h.under(first(n, unix.EINTR), func() {
				if got := h.wait(patience); len(got) != 1 || got[0].Tag != 1 {
					h.Errorf("%d interrupts: got %v, want tag 1", n, got)
				}
			})
			h.atMost(n + 5)
			d.drain()
			h.settle()
		}
		h.remove(d.fd)
	}
}

// interruptsDoNotRestart lets 20 s go by with each of three interrupts.
func interruptsDoNotRestart(h *faulty) {
	h.source(backend.In, 1)
	var late time.Duration
	h.under(func(call string) Fault {
		switch {
		case call == "monotonic":
			return Fault{Skew: late}
		case slices.Contains(waits, call):
			if late < time.Minute {
				late += 20 * time.Second
				return Fault{Errno: unix.EINTR}
			}
		}
		return Fault{}
	}, func() {
		start := time.Now()
		if got := h.wait(time.Minute); len(got) != 0 {
			h.Errorf("got %v", got)
		}
		h.deadline(start, "a minute that was over")
	})
	h.atMost(8)
}

func endlessInterrupts(h *faulty) {
	d := h.source(backend.In|backend.Edge, 1)
	d.signal()
	seen := 0
	for _, timeout := range []time.Duration{0, nap, backend.Forever} {
		h.under(always(unix.EINTR), func() {
			n, err := h.p.Wait(h.ready, timeout)
			seen += n
			if err != nil && !errors.Is(err, unix.EINTR) {
				h.Errorf("Wait(%v): %v", timeout, err)
			}
		})
		h.atMost(20000)
	}
	if seen == 0 {
		h.expect(1)
	}
}

func failedWait(h *faulty) {
	for _, errno := range []unix.Errno{unix.ENOMEM, unix.EPERM, unix.EIO} {
		level, edge := h.source(backend.In, 1), h.source(backend.In|backend.Edge, 2)
		for _, timeout := range []time.Duration{0, nap, backend.Forever} {
			level.signal()
			edge.signal()
			missing := map[backend.Tag]bool{1: true, 2: true}
			h.under(always(errno), func() {
				n, err := h.p.Wait(h.ready, timeout)
				for _, r := range h.ready[:n] {
					delete(missing, r.Tag)
				}
				if n == 0 && (!errors.Is(err, errno) || !strings.Contains(err.Error(), h.failed)) {
					h.Errorf("Wait(%v): %v, want an error that wraps %v and names %s", timeout, err, errno, h.failed)
				}
			})
			h.atMost(10)
			h.collectMissing(missing, func(backend.Tag) {})
			level.drain()
			edge.drain()
			h.settle()
		}
		h.remove(level.fd)
		h.remove(edge.fd)
	}
}

// refusedWait: a refusal may be an error, or be met by trying again.
func refusedWait(h *faulty) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		d := h.source(backend.In|backend.Edge, 1)
		d.signal()
		h.under(first(30, errno), func() {
			for range 100 {
				n, err := h.p.Wait(h.ready, patience)
				if err != nil && !errors.Is(err, errno) {
					h.Errorf("Wait: %v, want %v or nothing", err, errno)
				}
				if n > 0 {
					return
				}
			}
			h.Errorf("%v: the event is not reported", errno)
		})
		h.atMost(200)
		h.remove(d.fd)
	}
}

func endlessRefusal(h *faulty) {
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.EBUSY} {
		d := h.source(backend.In|backend.Edge, 1)
		h.under(func(call string) Fault {
			if call == "ppoll" && h.p.Name() != "ppoll" { // it may be how the Poller takes a rest
				return Fault{}
			}
			return always(errno)(call)
		}, func() {
			_, err := h.p.Wait(h.ready, backend.Forever)
			if !errors.Is(err, errno) || !strings.Contains(err.Error(), h.failed) {
				h.Errorf("Wait: %v, want an error that wraps %v and names %s", err, errno, h.failed)
			}
		})
		h.atMost(2000)
		d.signal()
		h.expect(1)
		h.remove(d.fd)
	}
}

func shortBatches(h *faulty) {
	const count = 40
	for _, events := range bothKinds {
		var all []*descriptor
		h.under(func(string) Fault { return Fault{Room: 1} }, func() {
			for i := range count {
				all = append(all, h.eventfd(1))
				h.add(all[i].fd, events, backend.Tag(i))
			}
			h.collectAllBy(8, count)
			for _, d := range all {
				h.remove(d.fd)
			}
		})
		h.atMost(20 * count)
		h.quiet()
	}
}

// refusals make every call fail, or all but the one that looks whether a number is
// open.
func refusals(errno unix.Errno) map[string]func(string) Fault {
	return map[string]func(string) Fault{
		"all": func(string) Fault { return Fault{Errno: errno} },
		"all but ppoll": func(call string) Fault {
			if call == "ppoll" {
				return Fault{}
			}
			return Fault{Errno: errno}
		},
	}
}

func (h *faulty) eachRefusal(check func(errno unix.Errno, f func(string) Fault)) {
	for _, errno := range []unix.Errno{unix.ENOMEM, unix.ENOSPC} {
		for _, f := range refusals(errno) {
			check(errno, f)
		}
	}
}

// wantFDError is for a call that may fail or not.
func (h *faulty) wantFDError(err error, errno unix.Errno) {
	h.Helper()
	var fdError *backend.FDError
	if err != nil && (!errors.As(err, &fdError) || !errors.Is(err, errno)) {
		h.Errorf("%v is no FDError that wraps %v", err, errno)
	}
}

func failedAdd(h *faulty) {
	h.eachRefusal(func(errno unix.Errno, f func(string) Fault) {
		d := h.eventfd(1)
		var err error
		h.under(f, func() { err = h.p.Add(d.fd, backend.In, 1) })
		h.wantFDError(err, errno)
		if err != nil {
			h.never(1)
			if err := h.p.Remove(d.fd); !errors.Is(err, unix.ENOENT) {
				h.Errorf("Remove after a failed Add: %v, want ENOENT", err)
			}
			h.add(d.fd, backend.In, 2)
			h.expect(2)
		} else {
			h.expect(1)
		}
		h.remove(d.fd)
	})
}

func failedModify(h *faulty) {
	h.eachRefusal(func(errno unix.Errno, f func(string) Fault) {
		d := h.source(backend.In, 1)
		var err error
		h.under(f, func() { err = h.p.Modify(d.fd, backend.Out, 2) })
		h.wantFDError(err, errno)
		if err != nil {
			h.quiet()
			d.signal()
			h.expect(1)
			h.modify(d.fd, backend.Out, 2)
		}
		h.expect(2)
		h.remove(d.fd)
	})
}

func failedRemove(h *faulty) {
	h.eachRefusal(func(errno unix.Errno, f func(string) Fault) {
		a, b := h.socketpair()
		h.add(a.fd, backend.In, 1)
		h.wait(0)
		h.under(f, func() {
			if err := h.p.Remove(a.fd); err != nil && !errors.Is(err, errno) {
				h.Errorf("Remove: %v", err)
			}
		})
		b.write("x")
		h.never(1)
		if err := h.p.Remove(a.fd); !errors.Is(err, unix.ENOENT) {
			h.Errorf("a second Remove: %v, want ENOENT", err)
		}
		if s, err := a.tryRead(1); s != "x" || err != nil {
			h.Errorf("read %q, %v", s, err)
		}
	})
}

func interruptedRemove(h *faulty) {
	a, b := h.socketpair()
	h.add(a.fd, backend.In, 1)
	h.wait(0)
	h.under(first(3, unix.EINTR), func() { h.remove(a.fd) })
	a.close()
	if s, err := b.tryRead(1); s != "" || err != nil {
		h.Errorf("the peer reads %q, %v; want the end of the file", s, err)
	}
}

func clockJumps(h *faulty) {
	d := h.source(backend.In|backend.Edge, 1)
	var jump time.Duration
	start := time.Now()
	h.under(func(call string) Fault {
		fault := Fault{Skew: jump}
		if call != "monotonic" && jump == 0 {
			jump, fault.Errno = time.Hour, unix.EINTR
		}
		return fault
	}, func() {
		if got := h.wait(time.Minute); len(got) != 0 {
			h.Errorf("got %v", got)
		}
		d.signal()
		h.expect(1)
	})
	h.deadline(start, "a minute that was over")
	h.atMost(20)
	d.drain()
	h.settle() // the clock is an hour back again
	d.signal()
	h.expect(1)
}

// randomFaults is repeated with AIOLOOP_SEED set to the seed that is logged.
func randomFaults(h *faulty) {
	const count = 12
	random := h.random()
	var sources [count]*descriptor
	for i := range sources {
		sources[i] = h.source(bothKinds[i%2], backend.Tag(i))
	}
	errnos := []unix.Errno{unix.EINTR, unix.EINTR, unix.EAGAIN, unix.EBUSY, unix.ENOMEM}
	once, _ := h.p.(backend.EdgeTriggered)
	for range 200 {
		missing := make(map[backend.Tag]bool)
		var set []*descriptor
		h.under(func(call string) Fault {
			switch {
			case !slices.Contains(waits, call) || random.IntN(2) == 0:
				return Fault{}
			case random.IntN(2) == 0:
				return Fault{Room: 1 + random.IntN(3)}
			}
			return Fault{Errno: errnos[random.IntN(len(errnos))]}
		}, func() {
			for i, d := range sources {
				if random.IntN(2) == 0 {
					d.signal()
					set = append(set, d)
					missing[backend.Tag(i)] = true
				}
			}
			h.collectMissing(missing, func(tag backend.Tag) {
				if tag%2 == 1 && once != nil && once.EdgeTriggered() {
					h.Fatalf("the edge of tag %d was reported twice, or for nothing", tag)
				}
			})
		})
		h.atMost(1000)
		for _, d := range set {
			d.drain()
		}
		h.settle()
	}
}

// collectMissing waits until all are reported. Others, and the same once more, are
// handed to extra.
func (h *faulty) collectMissing(missing map[backend.Tag]bool, extra func(backend.Tag)) {
	h.Helper()
	for waits := 0; len(missing) > 0; waits++ {
		if waits > 500 {
			h.Fatalf("%d are not reported", len(missing))
		}
		n, err := h.p.Wait(h.ready[:3], nap)
		if err != nil && n > 0 {
			h.Logf("%d events along with %v", n, err)
		}
		for _, r := range h.ready[:n] {
			if !missing[r.Tag] {
				extra(r.Tag)
			}
			delete(missing, r.Tag)
		}
	}
}

// random is seeded from AIOLOOP_SEED or, if that is not set, from the clock.
func (h *faulty) random() *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("AIOLOOP_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	h.Logf("to repeat this: AIOLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
