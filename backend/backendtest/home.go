package backendtest

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// home is a subtest with its Poller. Its methods are called on the home goroutine,
// which is the subtest's own, locked to its thread.
type home struct {
	*testing.T
	open  func() (backend.Poller, error)
	brief bool

	p     backend.Poller
	ready []backend.Ready // what a Wait may fill
}

// patience is how long something may take that ought to happen immediately. It only
// has to be longer than a machine with other work can keep a thread waiting.
var patience = guest.Patient(20 * time.Second)

// nap is a timeout that is over soon.
const nap = 5 * time.Millisecond

// start opens the Poller of the subtest and closes it at the end.
func (h *home) start() {
	h.Helper()
	h.p = h.opened()
	h.Cleanup(func() {
		if err := h.p.Close(); err != nil {
			h.Errorf("Close: %v", err)
		}
	})
	h.bind(h.p)
}

func (h *home) opened() backend.Poller {
	h.Helper()
	p, err := h.open()
	if err != nil {
		h.Fatalf("open: %v", err)
	}
	return p
}

func (h *home) bind(p backend.Poller) {
	h.Helper()
	if b, ok := p.(backend.Binder); ok {
		h.must("Bind", b.Bind())
	}
}

func (h *home) must(what string, err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
}

func (h *home) add(fd int, events backend.Events, tag backend.Tag) {
	h.Helper()
	h.must("Add", h.p.Add(fd, events, tag))
}

func (h *home) modify(fd int, events backend.Events, tag backend.Tag) {
	h.Helper()
	h.must("Modify", h.p.Modify(fd, events, tag))
}

func (h *home) remove(fd int) {
	h.Helper()
	h.must("Remove", h.p.Remove(fd))
}

// wait is one Wait with room for n events.
func (h *home) waitFor(n int, timeout time.Duration) []backend.Ready {
	h.Helper()
	got, err := h.p.Wait(h.ready[:n], timeout)
	h.must("Wait", err)
	if got < 0 || got > n {
		h.Fatalf("Wait returned %d events, there was room for %d", got, n)
	}
	for _, r := range h.ready[:got] {
		if r.Events == 0 {
			h.Errorf("an event of tag %d without any bit", r.Tag)
		}
	}
	return h.ready[:got]
}

func (h *home) wait(timeout time.Duration) []backend.Ready {
	h.Helper()
	return h.waitFor(len(h.ready), timeout)
}

// rounds returns a fifth of n if the suite is brief.
func (h *home) rounds(n int) int {
	if h.brief {
		n /= 5
	}
	return n
}

// deadline fails the subtest when it takes too long; it is called in loops.
func (h *home) deadline(since time.Time, waiting string) {
	h.Helper()
	if time.Since(since) > patience {
		buf := make([]byte, 1<<16)
		h.Fatalf("after %v still waiting for %s\n%s", patience, waiting, buf[:runtime.Stack(buf, false)])
	}
}

// expect waits until tag is reported and returns its events. Other tags are passed
// over.
func (h *home) expect(tag backend.Tag) backend.Events {
	h.Helper()
	for start := time.Now(); ; h.deadline(start, "an event") {
		for _, r := range h.wait(time.Second) {
			if r.Tag == tag {
				return r.Events
			}
		}
	}
}

// expectAll waits until tag has been reported with all the events.
func (h *home) expectAll(tag backend.Tag, events backend.Events) {
	h.Helper()
	var seen backend.Events
	for start := time.Now(); seen&events != events; h.deadline(start, "the events "+events.String()+", seen "+seen.String()) {
		for _, r := range h.wait(time.Second) {
			if r.Tag == tag {
				seen |= r.Events
			}
		}
	}
}

// settle is two Waits that do not sleep. A Poller that looks ahead may report in
// the first what has ceased to hold since; what the second one reports, holds.
func (h *home) settle() map[backend.Tag]backend.Events {
	h.Helper()
	h.wait(0)
	seen := make(map[backend.Tag]backend.Events)
	for _, r := range h.wait(0) {
		seen[r.Tag] |= r.Events
	}
	return seen
}

// quiet checks that nothing is reported, and that Wait sleeps instead of coming
// back early again and again. Both are given one Wait to get over the past.
func (h *home) quiet() {
	h.Helper()
	h.wait(0)
	waits := 0
	for start := time.Now(); time.Since(start) < 2*nap; waits++ {
		for _, r := range h.wait(nap) {
			h.Fatalf("unexpected event %v of tag %d", r.Events, r.Tag)
		}
	}
	if waits > 20 {
		h.Errorf("%d Waits of %v were over in %v: the Poller spins", waits, nap, 2*nap)
	}
}

// never checks that none of the tags is reported by Waits that do not sleep.
func (h *home) never(tags ...backend.Tag) {
	h.Helper()
	for range 4 {
		for _, r := range h.wait(0) {
			if slices.Contains(tags, r.Tag) {
				h.Fatalf("event %v of tag %d, which is not registered for it", r.Events, r.Tag)
			}
		}
	}
}

// eventually calls f until it returns true.
func (h *home) eventually(what string, f func() bool) {
	h.Helper()
	for start := time.Now(); !f(); h.deadline(start, what) {
		runtime.Gosched()
	}
}

// elsewhere runs f on another goroutine, which is locked to a thread that ends
// with it, and waits for the end.
func (h *home) elsewhere(f func()) {
	h.Helper()
	if !ends(inThread(f)) {
		h.Fatal("a call on another goroutine did not return")
	}
}

// inThread starts f on a thread that ends with it.
func inThread(f func()) (done <-chan struct{}) {
	c := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies
		defer close(c)
		f()
	}()
	return c
}

func ends(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}

// poll2 is the reference for what is reported: poll(2).
func (h *home) poll2(fd int, events backend.Events) backend.Events {
	h.Helper()
	one := []unix.PollFd{{Fd: int32(fd), Events: int16(events)}}
	for {
		_, err := unix.Poll(one, 0)
		if err == unix.EINTR {
			continue
		}
		h.must("poll", err)
		return backend.Events(uint16(one[0].Revents))
	}
}
