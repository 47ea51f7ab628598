package ppoll

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

var must = testkit.Must

// The conformance suite is in conformance_test.go. Here is what only ppoll can get
// wrong; each test says why.

// Only ppoll keeps a set that Wait brings up to date: a removed member's place is
// taken by the last one, whose slot must know.
func TestSetFollowsTheTable(t *testing.T) {
	p := New()
	fds := make([]int, 7)
	for i := range fds {
		fds[i] = eventfd(t, 0)
		must(t, p.Add(fds[i], backend.In, backend.Tag(i)))
	}
	inSet(t, p, fds...)
	for _, i := range []int{2, 6, 0} { // in the middle, the last, the first
		must(t, p.Remove(fds[i]))
	}
	inSet(t, p, fds[1], fds[3], fds[4], fds[5])
	must(t, p.Remove(fds[1]))
	must(t, p.Remove(fds[5]))
	must(t, p.Add(fds[1], backend.Out, 1))
	must(t, p.Modify(fds[3], backend.Out, 3))
	inSet(t, p, fds[1], fds[3], fds[4])
	for _, i := range []int{1, 3, 4} {
		must(t, p.Remove(fds[i]))
	}
	inSet(t, p)
}

// inSet checks the poll set after a Wait, and that each slot knows its place.
func inSet(t *testing.T, p *Poller, want ...int) {
	t.Helper()
	if _, err := p.Wait(make([]backend.Ready, 8), 0); err != nil {
		t.Fatal(err)
	}
	var got []int
	for i := range p.set {
		got = append(got, int(p.set[i].Fd))
		s := p.table.Get(p.keys[i])
		if s == nil || int(s.X.index) != i || s.FD != p.set[i].Fd {
			t.Errorf("place %d of the set is not its slot's: %+v", i, s)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the set has %v, want %v", got, want)
	}
}

// Only ppoll tells of a descriptor that was closed while registered, and would go
// on telling, immediately, forever.
func TestNvalIsReportedOnce(t *testing.T) {
	p := New()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	must(t, err)
	must(t, p.Add(fd, backend.In, 1))
	must(t, unix.Close(fd))
	ready := make([]backend.Ready, 4)
	n, err := p.Wait(ready, 0)
	if n != 1 || err != nil || ready[0] != (backend.Ready{Tag: 1, Events: backend.Nval}) {
		t.Fatalf("got %v, %v, want nval of tag 1", ready[:n], err)
	}
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Errorf("reported again: %v, %v", ready[:n], err)
	}
}

// Only ppoll(2) refuses a set that is larger than the limit of open files, though
// they are open.
func TestLimitBelowTheNumberOfDescriptors(t *testing.T) {
	p := New()
	for range 20 {
		must(t, p.Add(eventfd(t, 1), backend.In, 1))
	}
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 10, Max: old.Max}))
	ready := make([]backend.Ready, 4)
	if _, err := p.Wait(ready, 0); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "more descriptors are registered than RLIMIT_NOFILE allows") {
		t.Errorf("got %v, want EINVAL with the limit that it comes from", err)
	}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	if n, err := p.Wait(ready, 0); n != 4 || err != nil {
		t.Errorf("got %d, %v after the limit was lifted, want 4", n, err)
	}
}

// Only ppoll scans: the next scan goes on where the last one had no more room.
func TestScanGoesOnWhereItStopped(t *testing.T) {
	p := New()
	for tag := range backend.Tag(5) {
		must(t, p.Add(eventfd(t, 1), backend.In, tag))
	}
	ready := make([]backend.Ready, 2)
	var got []backend.Tag
	for range 5 {
		n, err := p.Wait(ready, 0)
		must(t, err)
		for _, r := range ready[:n] {
			got = append(got, r.Tag)
		}
	}
	if want := []backend.Tag{0, 1, 2, 3, 4, 0, 1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func eventfd(t *testing.T, counter uint) int {
	t.Helper()
	fd, err := unix.Eventfd(counter, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Those with recent events are asked first, and none is lost
// on the way.
func TestTheBusyComeForward(t *testing.T) {
	p := New()
	var fds [100]int
	for i := range fds {
		fds[i] = eventfd(t, 0)
		must(t, p.Add(fds[i], backend.In, backend.Tag(i)))
	}
	ready := make([]backend.Ready, len(fds))
	for round := range 3 * len(fds) {
		i := round * 37 % len(fds)
		must(t, sys.WriteEventfd(fds[i]))
		if n, err := p.Wait(ready, time.Second); n != 1 || err != nil || ready[0].Tag != backend.Tag(i) {
			t.Fatalf("%d events, %v, %+v; want tag %d", n, err, ready[0], i)
		}
		for place, k := range p.keys {
			if s := p.table.Get(k); int(s.X.index) != place || p.set[place].Fd != s.FD {
				t.Fatalf("place %d is muddled: %+v", place, s)
			} else if s.Tag == backend.Tag(i) && place >= front {
				t.Fatalf("tag %d, which had an event, has place %d", i, place)
			}
		}
		_, _ = sys.ReadEventfd(fds[i])
	}
}

// Of those in front the one that had the last event is the first.
func TestTheLastIsTheFirst(t *testing.T) {
	p := New()
	var fds [front]int
	for i := range fds {
		fds[i] = eventfd(t, 0)
		must(t, p.Add(fds[i], backend.In, backend.Tag(i)))
	}
	ready := make([]backend.Ready, 1)
	for _, i := range []int{3, 3, 0, front - 1} {
		must(t, sys.WriteEventfd(fds[i]))
		if n, err := p.Wait(ready, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		_, _ = sys.ReadEventfd(fds[i])
		if tag := p.table.Get(p.keys[0]).Tag; tag != backend.Tag(i) {
			t.Errorf("after an event of tag %d the first is %d", i, tag)
		}
	}
}

// As many as there are places in front stay there: each that comes takes the place of the one
// that has been there longest.
func TestTheBusyDoNotDriveEachOtherOut(t *testing.T) {
	p := New()
	var fds [2 * front]int
	for i := range fds {
		fds[i] = eventfd(t, 0)
		must(t, p.Add(fds[i], backend.In, backend.Tag(i)))
	}
	ready := make([]backend.Ready, len(fds))
	for i := front; i < len(fds); i++ {
		must(t, sys.WriteEventfd(fds[i]))
		if n, err := p.Wait(ready, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		_, _ = sys.ReadEventfd(fds[i])
	}
	for place, k := range p.keys {
		if tag := p.table.Get(k).Tag; (tag >= front) != (place < front) {
			t.Errorf("tag %d has place %d", tag, place)
		}
	}
}
