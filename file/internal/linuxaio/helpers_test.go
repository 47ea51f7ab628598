//go:build linux

package linuxaio

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

var (
	must      = testkit.Must
	wantError = testkit.WantError
	folder    string // of the file that all tests read
)

const (
	block  = 4096 // more than what any disk aligns to
	blocks = 300
)

// patternFile returns the path of a file of blocks with a pattern.
var patternFile = sync.OnceValue(func() string {
	var err error
	if folder, err = os.MkdirTemp("", "linuxaio"); err != nil {
		panic(err)
	}
	content := make([]byte, blocks*block)
	fill(content, 0)
	path := filepath.Join(folder, "pattern")
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		panic(err)
	}
	return path
})

func pattern(offset int64) uint64 { return uint64(offset+8) * 0x9E3779B97F4A7C15 }

// fill writes the pattern that belongs at offset.
func fill(b []byte, offset int64) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], pattern(offset+int64(i)))
	}
}

// check fails if b is not the pattern at offset.
func check(t testing.TB, b []byte, offset int64) {
	t.Helper()
	for i := 0; i < len(b); i += 8 {
		if got := binary.LittleEndian.Uint64(b[i:]); got != pattern(offset+int64(i)) {
			t.Fatalf("at %d there is %#x, want %#x", offset+int64(i), got, pattern(offset+int64(i)))
		}
	}
}

// direct opens a file with O_DIRECT, or skips the test.
func direct(t testing.TB, path string, flags int) (fd int) {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EINVAL) {
		t.Skipf("the filesystem of %s does not support O_DIRECT", filepath.Dir(path))
	}
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func patterns(t testing.TB) (fd int) { return direct(t, patternFile(), unix.O_RDONLY) }

// aligned returns memory of mmap(2).
func aligned(t testing.TB, n int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	must(t, err)
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// rig is a loop with an Engine.
type rig struct {
	testing.TB
	loop   *aio.Context
	engine *Engine
	step   func() error // one iteration
	room   [8]unix.PollFd
}

// newRig makes an Engine that reads its ring, unless asks is set: then it asks the kernel.
func newRig(t testing.TB, depth int, asks bool, opts ...aio.Option) *rig {
	t.Helper()
	loop, err := aio.New(opts...)
	if errors.Is(err, backend.ErrUnavailable) {
		t.Skip("skipped:", err)
	}
	must(t, err)
	r := &rig{TB: t, loop: loop, step: func() error { _, err := loop.Poll(); return err }}
	k, err := openKernel(depth)
	if errors.Is(err, errors.ErrUnsupported) {
		must(t, loop.Close())
		t.Skip("skipped:", err)
	}
	must(t, err)
	if asks {
		k.ring = ring{}
	}
	r.engine, err = newEngine(loop, depth, k)
	must(t, err)
	t.Cleanup(func() {
		if left := r.engine.Close(); len(left) > 0 {
			t.Errorf("the Engine leaves %q", left)
		}
		if err := loop.Close(); err != nil && !errors.Is(err, aio.ErrClosed) {
			t.Errorf("Close of the loop: %v", err)
		}
	})
	return r
}

// epoll is newRig where the backend makes no difference.
func epoll(t testing.TB, depth int) *rig {
	t.Helper()
	return newRig(t, depth, false, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread))
}

// eachWay runs a test on each backend, in thread and in park mode, in a foreign loop, with polling
// in user space, and with an Engine that cannot read its ring.
func eachWay(t *testing.T, test func(t *testing.T, newRig func(depth int) *rig)) {
	t.Helper()
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, way := range []string{"thread", "park", "foreign", "polling", "asking"} {
			if way == "park" && b == aio.Ppoll {
				continue
			}
			t.Run(b.String()+"/"+way, func(t *testing.T) {
				test(t, func(depth int) *rig { return rigFor(t, depth, b, way) })
			})
		}
	}
}

func rigFor(t *testing.T, depth int, b aio.Backend, way string) *rig {
	t.Helper()
	opts := []aio.Option{aio.WithBackend(b), aio.WithMode(aio.ModeThread)}
	switch way {
	case "park":
		opts[1] = aio.WithMode(aio.ModePark)
	case "polling":
		opts = append(opts, aio.WithPolling(aio.Polling{Max: time.Millisecond}))
	}
	r := newRig(t, depth, way == "asking", opts...)
	if way == "foreign" {
		r.step = r.stepForeign
	}
	return r
}

func (r *rig) stepForeign() error {
	timeout, err := r.loop.Prepare()
	if err != nil {
		return err
	}
	fds := r.loop.Query(r.room[:0])
	if _, err := sys.PpollFor(fds, timeout); err != nil {
		return err
	}
	if _, err := r.loop.Check(fds); err != nil {
		return err
	}
	_, err = r.loop.Dispatch()
	return err
}

// until goes through iterations until done.
func (r *rig) until(done func() bool) {
	r.Helper()
	alarm := time.AfterFunc(testkit.Patience, func() { panic("it does not happen") })
	defer alarm.Stop()
	for !done() {
		must(r, r.step())
	}
}

// idle checks that nothing is under way, and that the loop comes to rest: no event comes again and
// again.
func (r *rig) idle() {
	r.Helper()
	e := r.engine
	if work := e.Work(); len(work) > 0 || e.slots.used() > 0 || !e.waiting.empty() || !e.completed.empty() {
		r.Fatalf("under way: %q, %d in the kernel", work, e.slots.used())
	}
	rested := false
	_, err := r.loop.AfterFunc(20*time.Millisecond, func() { rested = true })
	must(r, err)
	steps := 0
	for ; !rested; steps++ {
		must(r, r.step())
	}
	if steps > 15 {
		r.Fatalf("%d iterations in 20 ms of rest", steps)
	}
}

// submit submits on the home goroutine, all in one iteration.
func (r *rig) submit(all ...*Request) {
	r.Helper()
	must(r, r.loop.ScheduleOnce(func() {
		for _, request := range all {
			must(r, r.engine.Submit(request))
		}
	}))
}

// finish submits and waits until each Done was called, once.
func (r *rig) finish(all ...*Request) {
	r.Helper()
	left := len(all)
	for _, request := range all {
		calls := 0
		request.Done = func(got *Request) {
			if left--; got != request {
				r.Error("Done got another Request")
			}
			if calls++; calls > 1 {
				r.Error("Done was called twice")
			}
		}
	}
	r.submit(all...)
	r.until(func() bool { return left <= 0 })
	if left < 0 {
		r.Errorf("%d Dones too many", -left)
	}
}

// inject lets f decide about calls until the test ends or restore is called.
func inject(t testing.TB, f func(c sys.Call) sys.Fault) (restore func()) {
	var mu sync.Mutex
	restore = sys.Inject(func(c sys.Call) sys.Fault {
		mu.Lock()
		defer mu.Unlock()
		return f(c)
	})
	t.Cleanup(restore)
	return restore
}

// counts counts calls of one kind.
func counts(t testing.TB, call sys.Call) *int {
	n := new(int)
	inject(t, func(c sys.Call) (f sys.Fault) {
		if c == call {
			*n++
		}
		return f
	})
	return n
}

// failing makes the next n calls of one kind fail.
func failing(t testing.TB, call sys.Call, n int, errno unix.Errno) (restore func()) {
	return inject(t, func(c sys.Call) (f sys.Fault) {
		if c == call && n > 0 {
			n--
			f.Errno = errno
		}
		return f
	})
}
