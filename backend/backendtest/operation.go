package backendtest

import (
	"bytes"
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var operationChecks = []check{
	{name: "operations_complete", run: operationsComplete},
	{name: "operations_fail_with_the_errno", run: operationsFail},
	{name: "operations_end_a_wait", run: operationsEndAWait},
	{name: "operations_beyond_the_queues", run: operationsBeyondTheQueues},
	{name: "operations_start_in_order", run: operationsStartInOrder},
	{name: "operations_of_each_kind", run: operationsOfEachKind},
	{name: "operations_that_wait_are_cancelled", run: waitingOperationsAreCancelled},
	{name: "trap27_operations_are_cancelled_once", run: operationsAreCancelledOnce},
	{name: "operations_before_the_first_wait", run: operationsFirst, bare: true},
	{name: "trap30_buffers_stay_in_place", run: buffersStayInPlace},
	{name: "trap30_close_with_operations_under_way", run: closeWithOperations, bare: true},
}

// submitter returns nil, and says so, if the Poller runs no operations.
func (h *home) submitter() backend.Submitter {
	s, ok := h.p.(backend.Submitter)
	if !ok {
		h.Logf("%s is no Submitter", h.p.Name())
		return nil
	}
	return s
}

// finished waits for n completions and returns the requests in the order in which they came.
func (h *home) finished(s backend.Submitter, n int) (all []*backend.Request) {
	h.Helper()
	seen := make(map[*backend.Request]bool)
	var done backend.Requests
	for start := time.Now(); len(all) < n; h.deadline(start, "completions") {
		h.wait(time.Second)
		s.Completions(&done)
		for r := done.Pop(); r != nil; r = done.Pop() {
			if seen[r] {
				h.Fatalf("the %v completed twice", r)
			}
			seen[r] = true
			all = append(all, r)
		}
	}
	return all
}

// do runs one operation.
func (h *home) do(s backend.Submitter, r backend.Request) (int, error) {
	h.Helper()
	h.must("Submit", s.Submit(&r))
	if done := h.finished(s, 1)[0]; done != &r {
		h.Fatalf("the %v completed instead of the %v", done, &r)
	}
	return int(r.Result), r.Err()
}

func (h *home) does(s backend.Submitter, r backend.Request, want int) {
	h.Helper()
	if n, err := h.do(s, r); n != want || err != nil {
		h.Errorf("the %v: got %d, %v, want %d", &r, n, err, want)
	}
}

func operationsComplete(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	f := h.file("0123456789")
	buf := make([]byte, 4)
	h.does(s, backend.Request{}, 0)
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: 3}, 4)
	if string(buf) != "3456" {
		h.Errorf("read %q at 3", buf)
	}
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: -1}, 4)
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: -1}, 4)
	if string(buf) != "4567" {
		h.Errorf("read %q at the file's own position", buf)
	}
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: 100}, 0)
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Offset: 0}, 0)
	h.does(s, backend.Request{Code: backend.OpWrite, FD: f.fd, Buf: []byte("abc"), Offset: 5}, 3)
	h.does(s, backend.Request{Code: backend.OpFsync, FD: f.fd, Offset: 77}, 0)
	all := make([]byte, 20)
	n, err := unix.Pread(f.fd, all, 0)
	h.must("pread", err)
	if string(all[:n]) != "01234abc89" {
		h.Errorf("the file is %q", all[:n])
	}
}

func operationsFail(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	closed := h.eventfd(0)
	closed.close()
	for _, op := range []backend.Request{
		{Code: backend.OpRead, FD: closed.fd, Buf: make([]byte, 1)},
		{Code: backend.OpWrite, FD: -1, Buf: make([]byte, 1)},
		{Code: backend.OpFsync, FD: closed.fd},
	} {
		if _, err := h.do(s, op); !errors.Is(err, unix.EBADF) {
			h.Errorf("operation %d on a closed descriptor: %v, want EBADF", op.Code, err)
		}
	}
	if _, err := h.do(s, backend.Request{Code: backend.OpRead, FD: h.opens("/", unix.O_RDONLY).fd, Buf: make([]byte, 1)}); !errors.Is(err, unix.EISDIR) {
		h.Errorf("reading a directory: %v, want EISDIR", err)
	}
	if err := s.Submit(&backend.Request{Code: 250}); !errors.Is(err, unix.EINVAL) {
		h.Errorf("an unknown operation: %v, want EINVAL", err)
	}
	h.quiet()
}

// operationsEndAWait: also one with room for events of other descriptors.
func operationsEndAWait(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	h.add(h.eventfd(0).fd, backend.In, 1)
	r := new(backend.Request)
	h.must("Submit", s.Submit(r))
	if got := h.wait(backend.Forever); len(got) != 0 {
		h.Errorf("unexpected %v", got)
	}
	var done backend.Requests
	if s.Completions(&done); done.Pop() != r || !done.Empty() {
		h.Errorf("the completion did not come")
	}
	h.quiet()
}

// operationsBeyondTheQueues: all are accepted, and none is lost.
func operationsBeyondTheQueues(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	const count = 3000
	for range count {
		h.must("Submit", s.Submit(new(backend.Request)))
	}
	h.finished(s, count)
	h.quiet()
}

// operationsStartInOrder: also those that have waited for room.
func operationsStartInOrder(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	const count = 1000
	var all []*backend.Request
	for i := range count {
		r := &backend.Request{Data: i}
		all = append(all, r)
		h.must("Submit", s.Submit(r))
	}
	for i, r := range h.finished(s, count) {
		if r != all[i] {
			h.Fatalf("completion %d is of request %d", i, r.Data)
		}
	}
}

// under returns how many requests are under way.
func under(s backend.Submitter) (n int) {
	s.Each(func(*backend.Request) { n++ })
	return n
}

// pendingRead reads from a blocking pipe: it completes when the pipe is written to.
func (h *home) pendingRead(s backend.Submitter, n int) (r *backend.Request, w *descriptor) {
	h.Helper()
	from, w := h.pipeWith(0)
	r = &backend.Request{Code: backend.OpRead, FD: from.fd, Buf: make([]byte, n), Offset: -1}
	h.must("Submit", s.Submit(r))
	return r, w
}

func operationsAreCancelledOnce(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	h.must("Cancel of nothing", s.Cancel(new(backend.Request)))
	for _, early := range []bool{true, false} { // before and after the kernel has seen it
		r, w := h.pendingRead(s, 10)
		stays, other := h.pendingRead(s, 10)
		if n := under(s); n != 2 {
			h.Errorf("%d requests are said to be under way, 2 are", n)
		}
		if !early {
			h.wait(0)
		}
		h.must("Cancel", s.Cancel(r))
		h.must("Cancel again", s.Cancel(r))
		if got := h.finished(s, 1)[0]; got != r || r.Err() != unix.ECANCELED {
			h.Errorf("got the %v with %v, want ECANCELED of the first", got, got.Err())
		}
		h.must("Cancel of what is done", s.Cancel(r))
		w.write("late")
		h.quiet()
		other.write("x")
		if got := h.finished(s, 1)[0]; got != stays || got.Result != 1 {
			h.Errorf("the other read: %d, want 1", got.Result)
		}
	}
}

// waitingOperationsAreCancelled: those behind a full queue, too, whatever their place.
func waitingOperationsAreCancelled(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	const count = 500
	var all []*backend.Request
	for range count {
		r := new(backend.Request)
		h.must("Submit", s.Submit(r))
		all = append(all, r)
	}
	for i := 1; i < count; i += 2 {
		h.must("Cancel", s.Cancel(all[i]))
	}
	h.finished(s, count)
	if last := all[count-1]; last.Err() != unix.ECANCELED {
		h.Errorf("the last one, which waited, ended with %v, want ECANCELED", last.Err())
	}
	for i := 0; i < count; i += 2 {
		if all[i].Result != 0 {
			h.Errorf("number %d, which was not cancelled, ended with %v", i, all[i].Err())
		}
	}
}

func operationsFirst(h *home) {
	h.p = h.opened()
	defer h.p.Close()
	s := h.submitter()
	if s == nil {
		return
	}
	const count = 300
	var last *backend.Request
	for range count {
		last = new(backend.Request)
		h.must("Submit", s.Submit(last))
	}
	h.must("Cancel", s.Cancel(last))
	h.finished(s, count)
}

// buffersStayInPlace: the only reference to a buffer is the Poller's, from a stack
// that grows and shrinks, while the collector runs.
func buffersStayInPlace(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	const reads = 32
	for round := range byte(4) {
		var writers [reads]*descriptor
		for i := range writers {
			var r *backend.Request
			r, writers[i] = h.pendingRead(s, 512)
			r.Data = i
		}
		h.wait(0)
		collectGarbage(10)
		for i, w := range writers {
			w.write(string(pattern(round + byte(i))))
		}
		for _, r := range h.finished(s, reads) {
			if i := r.Data.(int); r.Result != 512 || !bytes.Equal(r.Buf, pattern(round+byte(i))) {
				h.Errorf("round %d: read %d returned %d, and got something else than was written", round, i, r.Result)
			}
		}
		h.writesPattern(s, round)
	}
}

func pattern(seed byte) []byte {
	p := make([]byte, 512)
	for i := range p {
		p[i] = seed + byte(i*i)
	}
	return p
}

// writesPattern leaves the only reference to what is written to the Poller.
func (h *home) writesPattern(s backend.Submitter, seed byte) {
	h.Helper()
	f := h.file("")
	for i := range 64 {
		h.must("Submit", s.Submit(&backend.Request{Code: backend.OpWrite, FD: f.fd, Buf: pattern(seed + byte(i)), Offset: int64(i) * 512}))
	}
	collectGarbage(2)
	h.finished(s, 64)
	got := make([]byte, 512)
	for i := range 64 {
		_, err := unix.Pread(f.fd, got, int64(i)*512)
		h.must("pread", err)
		if !bytes.Equal(got, pattern(seed+byte(i))) {
			h.Errorf("block %d of the file is not what was written", i)
		}
	}
}

// collectGarbage also writes all over what has become free.
func collectGarbage(times int) {
	for range times {
		runtime.GC()
		grow(64)
		for range 200 {
			b := make([]byte, 512)
			for i := range b {
				b[i] = 0xaa
			}
			runtime.KeepAlive(b)
		}
	}
}

// grow makes the stack move.
func grow(depth int) byte {
	var frame [1024]byte
	if depth > 0 {
		frame[depth] = grow(depth - 1)
	}
	return frame[depth/2]
}

// closeWithOperations: nothing is written to the memory of a buffer that may have another
// use by now.
func closeWithOperations(h *home) {
	for range 10 {
		h.p = h.opened()
		s := h.submitter()
		if s == nil {
			h.must("Close", h.p.Close())
			return
		}
		h.bind(h.p)
		r, w := h.pendingRead(s, 512)
		h.wait(0)
		h.pendingRead(s, 512) // queued only
		h.must("Close", h.p.Close())
		_, _ = unix.Write(w.fd, pattern(1)) // the kernel may have let go of it
		collectGarbage(1)
		runtime.KeepAlive(r.Buf)
	}
}

// idle is an operation that must not end by itself.
type idle struct {
	h *home
	s backend.Submitter
	w *descriptor
}

func (h *home) idleRead() idle {
	s := h.submitter()
	if s == nil {
		return idle{h: h}
	}
	_, w := h.pendingRead(s, 8)
	return idle{h, s, w}
}

// ends checks that it has not, makes it end, and waits for that.
func (o idle) ends() {
	if o.s == nil {
		return
	}
	o.h.Helper()
	var done backend.Requests
	if o.s.Completions(&done); !done.Empty() {
		o.h.Fatalf("an idle read has completed: %v", done.First().Err())
	}
	o.w.write("x")
	if got := o.h.finished(o.s, 1)[0]; got.Result != 1 {
		o.h.Errorf("an idle read ended with %d, want 1", got.Result)
	}
}
