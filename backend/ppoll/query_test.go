package ppoll

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

func openEvent(t *testing.T, set bool) int {
	t.Helper()
	fd, err := sys.NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if set {
		if err := sys.WriteEventfd(fd); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func add(t *testing.T, p *Poller, fd int, tag backend.Tag) {
	t.Helper()
	if err := p.Add(fd, backend.In, tag); err != nil {
		t.Fatal(err)
	}
}

// query is Query and the foreign loop's ppoll(2).
func query(t *testing.T, p *Poller) []unix.PollFd {
	t.Helper()
	fds := p.Query(nil)
	for _, f := range fds {
		if f.Revents != 0 {
			t.Errorf("Query returned %+v, with an old answer", f)
		}
	}
	if _, err := sys.PpollFor(fds, 0); err != nil {
		t.Fatal(err)
	}
	return fds
}

func TestQueryAndCollect(t *testing.T) {
	p := New()
	set, unset := openEvent(t, true), openEvent(t, false)
	add(t, p, set, 1)
	add(t, p, unset, 2)
	ready := make([]backend.Ready, 4)
	for range 3 { // the level is reported each time
		if n := p.Collect(ready, query(t, p)); n != 1 || ready[0] != (backend.Ready{Tag: 1, Events: backend.In}) {
			t.Fatalf("%d events, the first %+v", n, ready[0])
		}
	}
	if got := p.Query(make([]unix.PollFd, 5)); len(got) != 7 {
		t.Errorf("Query did not append: %d", len(got))
	}
}

// What was removed, or replaced, after Query is not reported by Collect.
func TestCollectForgetsWhatWasRemoved(t *testing.T) {
	p := New()
	a, b := openEvent(t, true), openEvent(t, true)
	add(t, p, a, 1)
	add(t, p, b, 2)
	fds := query(t, p)
	if err := p.Remove(a); err != nil {
		t.Fatal(err)
	}
	add(t, p, a, 3)
	if err := p.Modify(b, backend.In, 4); err != nil {
		t.Fatal(err)
	}
	ready := make([]backend.Ready, 4)
	if n := p.Collect(ready, fds); n != 0 {
		t.Errorf("reported %+v", ready[:n])
	}
	if n := p.Collect(ready, query(t, p)); n != 2 {
		t.Errorf("%d events in the next turn", n)
	}
}

// A Wait in between may have another set than the foreign loop has waited for.
func TestCollectAfterAWait(t *testing.T) {
	p := New()
	a, b := openEvent(t, true), openEvent(t, true)
	add(t, p, a, 1)
	fds := query(t, p)
	add(t, p, b, 2)
	ready := make([]backend.Ready, 4)
	if n, err := p.Wait(ready, 0); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if n := p.Collect(ready, fds); n != 0 {
		t.Errorf("an answer about another set was taken: %+v", ready[:n])
	}
}

// A Wait in between may have put another registration into the place of the one that the
// foreign loop has waited for.
func TestCollectAfterAWaitThatHasReplacedAMember(t *testing.T) {
	p := New()
	fd := openEvent(t, true)
	add(t, p, fd, 1)
	fds := query(t, p)
	_, _ = sys.ReadEventfd(fd)
	must(t, p.Remove(fd))
	add(t, p, fd, 2)
	ready := make([]backend.Ready, 4)
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n := p.Collect(ready, fds); n != 0 {
		t.Errorf("an answer about another registration was taken: %+v", ready[:n])
	}
}

// A Wait in between may have reported the descriptor that was closed.
func TestCollectDoesNotRepeatWhatAWaitHasReported(t *testing.T) {
	p := New()
	closed, set := openEvent(t, false), openEvent(t, true)
	add(t, p, closed, 1)
	add(t, p, set, 2)
	_ = unix.Close(closed)
	fds := query(t, p)
	ready := make([]backend.Ready, 4)
	if n, err := p.Wait(ready, 0); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if n := p.Collect(ready, fds); n != 1 || ready[0].Tag != 2 {
		t.Errorf("reported %+v, want tag 2", ready[:n])
	}
}

// Answers about fewer or more descriptors than the set has are no answers.
func TestCollectOfAnotherNumberOfDescriptors(t *testing.T) {
	p := New()
	add(t, p, openEvent(t, true), 1)
	add(t, p, openEvent(t, true), 2)
	fds := query(t, p)
	ready := make([]backend.Ready, 4)
	for _, other := range [][]unix.PollFd{nil, fds[:1], append(slices.Clone(fds), fds[0])} {
		if n := p.Collect(ready, other); n != 0 {
			t.Errorf("of %d answers, %d were taken", len(other), n)
		}
	}
	if n := p.Collect(ready, fds); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// A descriptor that was closed is reported once and not asked for again.
func TestCollectClosedDescriptor(t *testing.T) {
	p := New()
	fd, err := sys.NewEventfd()
	if err != nil {
		t.Fatal(err)
	}
	add(t, p, fd, 1)
	_ = unix.Close(fd)
	ready := make([]backend.Ready, 4)
	if n := p.Collect(ready, query(t, p)); n != 1 || ready[0].Events != backend.Nval {
		t.Errorf("%d events, %+v", n, ready[0])
	}
	for range 3 {
		if n := p.Collect(ready, query(t, p)); n != 0 {
			t.Error("reported again")
		}
	}
}

func TestQueryAfterClose(t *testing.T) {
	p := New()
	add(t, p, openEvent(t, true), 1)
	_ = p.Close()
	if fds := p.Query(nil); len(fds) != 0 {
		t.Errorf("got %+v", fds)
	}
}

// What another goroutine removes and then closes, while the foreign loop waits, is no error;
// what is closed without Remove is.
func TestCollectForgivesWhatWasRemovedAndClosed(t *testing.T) {
	p := New()
	ready := make([]backend.Ready, 4)
	for name, c := range map[string]struct {
		change func(fd int)
		want   int16
	}{
		"removed, then closed":             {func(fd int) { _ = p.Remove(fd); unix.Close(fd) }, 0},
		"closed":                           {func(fd int) { unix.Close(fd) }, unix.POLLNVAL},
		"removed, closed, and added again": {func(fd int) { _ = p.Remove(fd); reopen(t, fd); add(t, p, fd, 2) }, 0},
	} {
		fd, err := sys.NewEventfd()
		if err != nil {
			t.Fatal(err)
		}
		add(t, p, fd, 1)
		fds := p.Query(nil)
		c.change(fd)
		fds[0].Revents = unix.POLLNVAL // closed for a moment at least
		n := p.Collect(ready, fds)
		if fds[0].Revents != c.want || n > 0 != (c.want != 0) {
			t.Errorf("%s: %d events, revents %#x; want %#x", name, n, fds[0].Revents, c.want)
		}
		if c.want == 0 && name != "removed, then closed" {
			unix.Close(fd)
		}
		_ = p.Remove(fd)
		p.Query(nil)
	}
}

// reopen makes the number mean another file.
func reopen(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Dup3(openEvent(t, false), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
}
