package mainloop

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

var (
	patience   = testkit.Patience
	must       = testkit.Must
	wantError  = testkit.WantError
	eventually = testkit.Eventually
	elsewhere  = testkit.Elsewhere
)

// eachBackend runs one test three times, once per backend.
func eachBackend(t *testing.T, test func(t *testing.T, b aio.Backend)) {
	t.Helper()
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run("backend="+b.String(), func(t *testing.T) { test(t, b) })
	}
}

// openLoop is Init for a loop that the end of the test closes.
func openLoop(t testing.TB, b aio.Backend) *Loop {
	t.Helper()
	l, err := Init(WithAIO(aio.WithBackend(b)))
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close at the end of the test: %v", err)
		}
	})
	return l
}

// openAIO returns an aio.Context that the end of the test closes.
func openAIO(t testing.TB, b aio.Backend) *aio.Context {
	t.Helper()
	c, err := aio.New(aio.WithBackend(b))
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, aio.ErrClosed) {
			t.Errorf("Close at the end of the test: %v", err)
		}
	})
	return c
}

// openMain returns a MainContext that the end of the test closes.
func openMain(t testing.TB) *MainContext {
	t.Helper()
	m, err := NewMainContext()
	must(t, err)
	t.Cleanup(func() {
		if err := m.Close(); err != nil && err != ErrClosed {
			t.Errorf("Close at the end of the test: %v", err)
		}
	})
	return m
}

// openSource returns a source that is attached to m, if there is one.
func openSource(t testing.TB, m *MainContext, name string, funcs Funcs) *Source {
	t.Helper()
	if funcs.Dispatch == nil {
		funcs.Dispatch = func() bool { return true }
	}
	s, err := NewSource(name, funcs)
	must(t, err)
	if m != nil {
		must(t, s.Attach(m))
	}
	return s
}

// openEvent returns an eventfd that the end of the test closes.
func openEvent(t testing.TB) int {
	t.Helper()
	fd, err := sys.NewEventfd()
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func setEvent(t testing.TB, fd int) {
	t.Helper()
	must(t, sys.WriteEventfd(fd))
}

// clearEvent returns how often fd was set.
func clearEvent(fd int) uint64 {
	n, _ := sys.ReadEventfd(fd)
	return n
}

// try does one turn that does not wait.
func try(t testing.TB, m *MainContext) (progress bool) {
	t.Helper()
	progress, err := m.TryIterate()
	must(t, err)
	return progress
}

// block does one turn that may wait, and fails if it waits for too long.
func block(t testing.TB, m *MainContext) (progress bool) {
	t.Helper()
	defer bounded(t, m)()
	progress, err := m.Iterate()
	must(t, err)
	return progress
}

// bounded wakes m up after a while, and fails in the end if that was necessary.
func bounded(t testing.TB, m *MainContext) (end func()) {
	t.Helper()
	var hung atomic.Bool
	alarm := time.AfterFunc(patience, func() {
		hung.Store(true)
		m.Wakeup()
	})
	return func() {
		t.Helper()
		if alarm.Stop(); hung.Load() {
			t.Fatal("the loop waited though there was something to do")
		}
	}
}

// whileWaiting runs f elsewhere during a wait of m: turn waits, once or more. The write of an
// earlier wake-up that was slow may end a wait before f has begun.
func whileWaiting(t testing.TB, m *MainContext, f, turn func()) {
	t.Helper()
	var begun atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		eventually(t, "the loop waits", func() bool { return !m.gate.Kicked() })
		begun.Store(true)
		f()
	}()
	for !begun.Load() {
		turn()
	}
	<-ended
}

// wait is Wait, bounded.
func wait(t testing.TB, l *Loop) (progress bool) {
	t.Helper()
	defer bounded(t, l.main)()
	progress, err := l.Wait()
	must(t, err)
	return progress
}

func waitUntil(t testing.TB, l *Loop, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		if wait(t, l); time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// journal records what ran, in order.
type journal []string

func (j *journal) add(what string) { *j = append(*j, what) }

// note returns a Dispatch that records what.
func (j *journal) note(what string) func() bool {
	return func() bool { j.add(what); return true }
}

func (j *journal) expect(t testing.TB, want ...string) {
	t.Helper()
	if !slices.Equal(*j, want) {
		t.Fatalf("ran %q, want %q", []string(*j), want)
	}
	*j = nil
}

// always is the Prepare of a source that is ready in each turn.
func always() (time.Duration, bool, error) { return 0, true, nil }
