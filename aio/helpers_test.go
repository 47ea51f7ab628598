package aio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

var (
	patience   = testkit.Patience
	must       = testkit.Must
	wantError  = testkit.WantError
	eventually = testkit.Eventually
	elsewhere  = testkit.Elsewhere
)

// prompt is the bound for what has to happen soon; what takes longer than a tenth
// of it is logged.
var prompt = guest.Patient(2 * time.Second)

// realBackends are all that a Context can choose from.
var realBackends = []Backend{Ppoll, Epoll, IOUring}

// maker makes a Context that the test's end closes, if the test has not, and
// fails if something was left in it.
type maker func(opts ...Option) *Context

// eachBackend runs one test once per backend and driver. The guests share out the drivers other
// than Poll.
func eachBackend(t *testing.T, test func(t *testing.T, newLoop maker)) {
	t.Helper()
	for i, d := range []driver{byPoll, byPark, bySource} {
		for j, b := range realBackends {
			if runsWith(t, d) && (d != byPark || b != Ppoll) && (d == byPoll || guest.Runs(i+j, 3)) {
				eachLoop(t, b, d, test)
			}
		}
	}
}

func eachLoop(t *testing.T, b Backend, d driver, test func(t *testing.T, newLoop maker)) {
	t.Helper()
	name := "backend=" + b.String()
	if d != byPoll {
		name += ",driver=" + string(d)
	}
	t.Run(name, func(t *testing.T) {
		if err := missing(b); err != nil { // a subtest must not skip the test around it
			t.Skip("skipped:", err)
		}
		checkDescriptors(t)
		test(t, func(opts ...Option) *Context {
			t.Helper()
			c := newLoopOn(t, b, append(d.options(), opts...)...)
			d.drives(t, c)
			return c
		})
	})
}

// missing returns why the backend cannot be had here, if so.
func missing(b Backend) error {
	if b == IOUring {
		return ringMissing()
	}
	return nil
}

var ringMissing = sync.OnceValue(func() error {
	c, err := New(WithBackend(IOUring))
	if err == nil {
		err = c.Close()
	}
	if errors.Is(err, backend.ErrUnavailable) {
		return err
	}
	return nil // a test that needs one says what is wrong
})

func newLoopOn(t testing.TB, b Backend, opts ...Option) *Context {
	t.Helper()
	c := openLoop(t, b, opts...)
	if c.port.parker != nil {
		eventually(t, "the watcher waits", watchersWait)
	}
	return c
}

// openLoop is newLoopOn for one of many: it does not look at all goroutines.
func openLoop(t testing.TB, b Backend, opts ...Option) *Context {
	t.Helper()
	c, err := New(append([]Option{WithBackend(b)}, opts...)...)
	if b == IOUring && errors.Is(err, backend.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLoop(t, c) })
	return c
}

func closeLoop(t testing.TB, c *Context) {
	if err := c.Close(); err != nil && !errors.Is(err, ErrClosed) {
		t.Errorf("Close at the end of the test: %v", err)
	}
}

// checkDescriptors fails a test that leaves descriptors open.
func checkDescriptors(t testing.TB) {
	before := openDescriptors()
	t.Cleanup(func() {
		for fd, name := range openDescriptors() {
			if before[fd] == "" {
				t.Errorf("fd %d (%s) was left open", fd, name)
			}
		}
	})
}

// openDescriptors returns the process's descriptors and what they lead to.
func openDescriptors() map[int]string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	open := make(map[int]string)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			fd, _ := strconv.Atoi(e.Name())
			open[fd] = to
		}
	}
	return open
}

// turn runs one iteration that does not sleep.
func turn(t testing.TB, c *Context) (progress bool) {
	t.Helper()
	progress, err := iterate(c, false)
	if err != nil {
		t.Fatal(err)
	}
	return progress
}

// settle runs iterations until one makes no progress.
func settle(t testing.TB, c *Context) {
	t.Helper()
	for range 1000 {
		if !turn(t, c) {
			return
		}
	}
	t.Fatal("the loop does not come to rest")
}

// block runs one iteration that may sleep, and fails if it sleeps for too long.
func block(t testing.TB, c *Context) (progress bool) {
	t.Helper()
	var hung atomic.Bool
	alarm := time.AfterFunc(patience, func() {
		hung.Store(true)
		c.Notify()
	})
	defer alarm.Stop()
	progress, err := iterate(c, true)
	if err != nil {
		t.Fatal(err)
	}
	if hung.Load() {
		t.Fatal("Poll slept though there was something to do")
	}
	return progress
}

// pollUntil polls, sleeping, until done.
func pollUntil(t testing.TB, c *Context, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		block(t, c)
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// asleep waits until c sleeps, or is so near to it that only a notify can stop it.
func asleep(t testing.TB, c *Context) {
	t.Helper()
	eventually(t, "the loop sleeps", func() bool { return !c.gate.Kicked() })
}

// start runs c on a goroutine of its own and returns a function that ends it,
// closes c and returns what Run returned. The end of the test calls it as well. What is left in
// c then is no error.
func start(t testing.TB, c *Context) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, c)
		var leaks *LeakError
		if e := c.Close(); e != nil && !errors.Is(e, ErrClosed) && !errors.As(e, &leaks) {
			err = errors.Join(err, e)
		}
		ended <- err
	}()
	stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

// within fails if f takes longer than prompt.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	switch took := time.Since(begin); {
	case took > prompt:
		t.Errorf("%s took %v", what, took)
	case took > 10*time.Millisecond:
		t.Logf("%s took %v", what, took)
	}
}

// watch is Watch for a handler that the end of the test closes.
func watch(t testing.TB, c *Context, fd int, cb Callbacks) *Handler {
	t.Helper()
	h, err := c.Watch(fd, cb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// notifier returns an EventNotifier that the end of the test closes.
func notifier(t testing.TB) *EventNotifier {
	t.Helper()
	n, err := NewEventNotifier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// watchNotifier is WatchNotifier for a handler that the end of the test closes.
func watchNotifier(t testing.TB, c *Context, n *EventNotifier, f func()) *Handler {
	t.Helper()
	h, err := c.WatchNotifier(n, Callbacks{Read: ignoring(f)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// owned closes fd at the end of the test.
func owned(t testing.TB, fd int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// pipe returns the two ends of a non-blocking pipe.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var p [2]int
	err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
	return owned(t, p[0], err), owned(t, p[1], err)
}

// sockets returns two connected non-blocking stream sockets.
func sockets(t testing.TB) (a, b int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return owned(t, p[0], err), owned(t, p[1], err)
}

func write(t testing.TB, fd int, b string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(b)); err != nil {
		t.Fatal(err)
	}
}

// read reads at most n bytes, "" if there are none.
func read(fd, n int) string {
	b := make([]byte, n)
	got, _ := unix.Read(fd, b)
	return string(b[:max(got, 0)])
}

// journal records what ran, in order.
type journal []string

func (j *journal) add(what string) { *j = append(*j, what) }

// note returns a function that records what.
func (j *journal) note(what string) func() { return func() { j.add(what) } }

// expect compares the journal and empties it.
func (j *journal) expect(t testing.TB, want ...string) {
	t.Helper()
	if !slices.Equal(*j, want) {
		t.Fatalf("ran %q, want %q", []string(*j), want)
	}
	*j = nil
}

// panicOf returns what f panics with, nil if it does not.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// wantPanic fails unless f panics with a sentence of this package.
func wantPanic(t testing.TB, f func()) {
	t.Helper()
	if v := fmt.Sprint(panicOf(f)); len(v) < 10 || v[:5] != "aio: " {
		t.Errorf("panicked with %q, want a sentence that begins with \"aio: \"", v)
	}
}

// ignoring makes a callback of f, which needs no handler.
func ignoring(f func()) func(*Handler) {
	if f == nil {
		return nil
	}
	return func(*Handler) { f() }
}

// submit starts a copy of r that calls done with what it has done.
func submit(c *Context, r Request, done func(n int, err error)) error {
	r.Done = func(r *Request) {
		if err := r.Err(); err != nil {
			done(0, err)
			return
		}
		done(int(r.Result), nil)
	}
	return c.Submit(&r)
}
