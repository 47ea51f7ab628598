//go:build linux

package linuxaio

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
)

func TestCancelWhatWaits(t *testing.T) {
	eachWay(t, func(t *testing.T, newRig func(int) *rig) {
		r := newRig(2)
		all := reads(t, patterns(t), 12)
		done := map[*Request]int{}
		for _, request := range all {
			request.Done = func(q *Request) { done[q]++ }
		}
		submits := counts(t, sys.CallIoSubmit)
		must(t, r.loop.ScheduleOnce(func() {
			for _, request := range all {
				must(t, r.engine.Submit(request))
			}
			for _, i := range []int{0, 5, 11, 5} { // one of them twice
				r.engine.Cancel(all[i])
			}
			if len(done) > 0 || *submits > 0 {
				t.Error("Done inside Cancel")
			}
		}))
		r.until(func() bool { return len(done) == len(all) })
		for i, request := range all {
			cancelled := i == 0 || i == 5 || i == 11
			if done[request] != 1 || cancelled != (request.Result == -int64(unix.ECANCELED)) {
				t.Errorf("number %d: %d calls, %d", i, done[request], request.Result)
			}
			if !cancelled {
				checkReads(t, all[i:i+1])
			}
			r.engine.Cancel(request) // nothing is left to cancel
		}
		r.idle()
	})
}

// The kernel does not give up a read. It is asked, and the read completes once.
func TestCancelWhatTheKernelHas(t *testing.T) {
	r := epoll(t, 8)
	all := reads(t, patterns(t), 8)
	asked := counts(t, sys.CallIoCancel)
	done := 0
	for _, request := range all {
		request.Done = func(*Request) { done++ }
		must(t, r.engine.Submit(request))
		r.engine.Cancel(request)
	}
	r.until(func() bool { return done == len(all) })
	if checkReads(t, all); *asked != len(all) {
		t.Errorf("the kernel was asked %d times", *asked)
	}
	r.idle()
}

// poll makes the kernel wait for a pipe, on behalf of a Request: of all that it takes, this alone
// stays until it is cancelled. It needs Linux 4.18.
func (r *rig) poll(request *Request, fd int) {
	r.Helper()
	const cmdPoll = 5
	e := r.engine
	e.accept(request)
	e.waiting.remove(request)
	request.prepare(e.slots.next(0), e.notifier.FD())
	c := &request.control
	c.opcode, c.fd, c.buf, c.length, c.offset, c.keyAndFlags = cmdPoll, uint32(fd), unix.POLLIN, 0, 0, 0
	e.slots.take(request)
	request.state = inKernel
	if _, err := sys.IoSubmit(e.kernel.context, []unsafe.Pointer{unsafe.Pointer(c)}); err != nil {
		e.slots.free(request)
		e.release(request)
		r.Skip("the kernel does not poll:", err)
	}
}

func pipe(t testing.TB) (read, write int) {
	t.Helper()
	var p [2]int
	must(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	t.Cleanup(func() { _, _ = unix.Close(p[0]), unix.Close(p[1]) })
	return leak.Track(p[0]), leak.Track(p[1])
}

// What the kernel can give up ends with ECANCELED.
func TestCancelWhatTheKernelCanGiveUp(t *testing.T) {
	r := epoll(t, 4)
	done := 0
	request := &Request{Done: func(*Request) { done++ }}
	fd, _ := pipe(t)
	r.poll(request, fd)
	r.engine.Cancel(request)
	if done > 0 {
		t.Error("Done inside Cancel")
	}
	r.until(func() bool { return done > 0 })
	// The result of a poll that is cancelled is its events, none; ECANCELED in older kernels.
	if request.Result != 0 && request.Result != -int64(unix.ECANCELED) {
		t.Errorf("it ends with %d", request.Result)
	}
	r.idle()
}

// Close names everything, and returns although the kernel has not finished. No Done is called.
func TestCloseWithRequestsUnderWay(t *testing.T) {
	r := epoll(t, 3)
	fd := patterns(t)
	never := func(*Request) { t.Error("Done after Close") }
	readEnd, writeEnd := pipe(t)
	r.poll(&Request{FD: readEnd, Done: never}, readEnd)
	r.poll(&Request{FD: readEnd, Done: never}, readEnd)
	all := reads(t, fd, 4)
	for _, request := range all {
		request.Done = never
		must(t, r.engine.Submit(request)) // the first starts
	}
	r.engine.Cancel(all[3])
	for r.engine.kernel.ring.take(make([]event, 1)) == 0 { // a completion that is never seen
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	left := r.engine.Close()
	if took := time.Since(begin); took > testkit.Patience/2 {
		t.Errorf("Close took %v", took)
	}
	if n := len(left); n != 6 || !slices.Contains(left, all[0].String()) || !slices.Contains(left, (&Request{FD: readEnd}).String()) {
		t.Errorf("%d are left: %q", n, left)
	}
	must(t, r.loop.RunUntilDone(t.Context())) // nothing holds the loop
	must(t, r.loop.Close())
	_ = writeEnd
}

// Neither the bottom half nor the timer of a closed Engine is left in the loop.
func TestCloseLeavesNothingInTheLoop(t *testing.T) {
	r := epoll(t, 3)
	all := reads(t, patterns(t), 3)
	failing(t, sys.CallIoSubmit, 1<<30, unix.EAGAIN)
	for _, request := range all {
		request.Done = func(*Request) { t.Error("Done after Close") }
		must(t, r.engine.Submit(request))
	}
	r.engine.Cancel(all[1])
	if left := r.engine.Close(); len(left) != 3 || !r.engine.completed.empty() || !r.engine.waiting.empty() {
		t.Errorf("%q", left)
	}
	must(t, r.loop.Close())
}

// Close inside a Done leaves nothing behind that would be called.
func TestCloseInDone(t *testing.T) {
	r := epoll(t, 64)
	all := reads(t, patterns(t), 10)
	calls := 0
	var left []string
	for _, request := range all {
		request.Done = func(*Request) {
			if calls++; calls == 4 {
				left = r.engine.Close()
			}
		}
	}
	gathered(r, all)
	r.until(func() bool { return calls == 4 })
	_, err := r.loop.TryPoll()
	if must(t, err); calls != 4 || len(left) != 6 {
		t.Errorf("%d calls, and Close names %d", calls, len(left))
	}
}

// The Engine is closed by the loop's Close, on any goroutine.
func TestEngineAsAnAttachment(t *testing.T) {
	r := epoll(t, 4)
	_, err := r.loop.Attach(key{}, func() (aio.Attachment, error) { return attached{r.engine}, nil })
	must(t, err)
	all := reads(t, patterns(t), 8)
	r.finish(all...)
	testkit.Elsewhere(func() { must(t, r.loop.Close()) })
	wantError(t, r.engine.Submit(all[0]), aio.ErrClosed)
}

type key struct{}

type attached struct{ *Engine }

func (a attached) End() []string { return a.Close() }

// A context that cannot be destroyed is kept, and what the kernel uses with it.
func TestDestroyFails(t *testing.T) {
	r := epoll(t, 4)
	fd, _ := pipe(t)
	r.poll(&Request{FD: fd, Done: func(*Request) {}}, fd)
	failing(t, sys.CallIoDestroy, 1, unix.EPERM)
	if left := r.engine.Close(); len(left) != 1 {
		t.Errorf("%q", left)
	}
	kept := func() (n int) {
		stuck.Lock()
		defer stuck.Unlock()
		return len(stuck.engines)
	}
	testkit.Eventually(t, "it is kept", func() bool { return kept() == 1 })
	must(t, stuck.engines[0].kernel.destroy())
	stuck.engines = nil
}
