//go:build linux

package pool

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/testkit"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	must       = testkit.Must
	wantError  = testkit.WantError
	eventually = testkit.Eventually
	elsewhere  = testkit.Elsewhere
)

// newLoop returns a loop that the test's end closes, if the test has not, and fails if something
// was left in it.
func newLoop(t testing.TB, opts ...aio.Option) *aio.Context {
	t.Helper()
	loop, err := aio.New(opts...)
	must(t, err)
	t.Cleanup(func() {
		if err := loop.Close(); err != nil && err != aio.ErrClosed {
			t.Error(err)
		}
	})
	return loop
}

// driven is a loop with the way in which it is polled.
type driven struct {
	*aio.Context
	foreign bool
}

// eachLoop runs one test on each backend and in each way to poll.
func eachLoop(t *testing.T, test func(t *testing.T, loop driven)) {
	t.Helper()
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, way := range []string{"thread", "park", "foreign"} {
			if b == aio.Ppoll && way == "park" {
				continue
			}
			t.Run(b.String()+"/"+way, func(t *testing.T) {
				mode := aio.ModeThread
				if way == "park" {
					mode = aio.ModePark
				}
				loop, err := aio.New(aio.WithBackend(b), aio.WithMode(mode))
				if b == aio.IOUring && errors.Is(err, backend.ErrUnavailable) {
					t.Skip("skipped: ", err)
				}
				must(t, err)
				test(t, driven{loop, way == "foreign"})
				must(t, loop.Close()) // here: it unlocks this goroutine from its thread
			})
		}
	}
}

// until polls until done.
func (d driven) until(t testing.TB, done func() bool) {
	t.Helper()
	for !done() {
		if !d.foreign {
			must2(t)(d.Poll())
			continue
		}
		timeout, err := d.Prepare()
		must(t, err)
		fds := d.Query(nil)
		ms := -1
		if timeout >= 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		if _, err := unix.Poll(fds, ms); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		must2(t)(d.Check(fds))
		must2(t)(d.Dispatch())
	}
}

func must2(t testing.TB) func(bool, error) {
	return func(_ bool, err error) {
		t.Helper()
		must(t, err)
	}
}

// until polls loop until done.
func until(t testing.TB, loop *aio.Context, done func() bool) {
	t.Helper()
	driven{loop, false}.until(t, done)
}

func newPoolOf(t testing.TB, loop *aio.Context, opts ...Option) *Pool {
	t.Helper()
	p, err := New(loop, opts...)
	must(t, err)
	return p
}

// counts returns how many workers the pool has, and how many are idle.
func (p *Pool) counts() (workers, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workers.n, len(p.workers.idle)
}

// blocked is a job whose Work goes on until it is let go.
type blocked struct {
	Job
	begun, letGo chan struct{}
	result       []error // of each Done
}

func block(name string) *blocked {
	b := &blocked{begun: make(chan struct{}), letGo: make(chan struct{})}
	b.Name = name
	b.Work = func() error { close(b.begun); <-b.letGo; return nil }
	b.Done = func(err error) { b.result = append(b.result, err) }
	return b
}

// occupy makes a pool with one worker that runs a blocked job.
func occupy(t testing.TB, loop *aio.Context) (*Pool, *blocked) {
	t.Helper()
	p, b := newPoolOf(t, loop, WithWorkers(0, 1)), block("first")
	must(t, p.Submit(&b.Job))
	<-b.begun
	return p, b
}

func nothing() error { return nil }

func ignore(error) {}
