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

// complete waits for n completions and returns their results by tag.
func (h *home) complete(s backend.Submitter, n int) map[backend.Tag]int32 {
	h.Helper()
	results := make(map[backend.Tag]int32)
	var done [7]backend.Completion
	for start := time.Now(); len(results) < n; h.deadline(start, "completions") {
		h.wait(time.Second)
		for k := s.Completions(done[:]); k > 0; k = s.Completions(done[:]) {
			for _, c := range done[:k] {
				if _, twice := results[c.Tag]; twice {
					h.Fatalf("tag %d completed twice", c.Tag)
				}
				results[c.Tag] = c.Result
			}
		}
	}
	return results
}

// do runs one operation.
func (h *home) do(s backend.Submitter, op backend.Operation) (int, error) {
	h.Helper()
	h.must("Submit", s.Submit(op, 1))
	c := backend.Completion{Result: h.complete(s, 1)[1]}
	return int(c.Result), c.Err()
}

func (h *home) does(s backend.Submitter, op backend.Operation, want int) {
	h.Helper()
	if n, err := h.do(s, op); n != want || err != nil {
		h.Errorf("operation %d: got %d, %v, want %d", op.Code, n, err, want)
	}
}

func operationsComplete(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	f := h.file("0123456789")
	buf := make([]byte, 4)
	h.does(s, backend.Operation{}, 0)
	h.does(s, backend.Operation{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: 3}, 4)
	if string(buf) != "3456" {
		h.Errorf("read %q at 3", buf)
	}
	h.does(s, backend.Operation{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: -1}, 4)
	h.does(s, backend.Operation{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: -1}, 4)
	if string(buf) != "4567" {
		h.Errorf("read %q at the file's own position", buf)
	}
	h.does(s, backend.Operation{Code: backend.OpRead, FD: f.fd, Buf: buf, Offset: 100}, 0)
	h.does(s, backend.Operation{Code: backend.OpRead, FD: f.fd, Offset: 0}, 0)
	h.does(s, backend.Operation{Code: backend.OpWrite, FD: f.fd, Buf: []byte("abc"), Offset: 5}, 3)
	h.does(s, backend.Operation{Code: backend.OpFsync, FD: f.fd, Offset: 77}, 0)
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
	for _, op := range []backend.Operation{
		{Code: backend.OpRead, FD: closed.fd, Buf: make([]byte, 1)},
		{Code: backend.OpWrite, FD: -1, Buf: make([]byte, 1)},
		{Code: backend.OpFsync, FD: closed.fd},
	} {
		if _, err := h.do(s, op); !errors.Is(err, unix.EBADF) {
			h.Errorf("operation %d on a closed descriptor: %v, want EBADF", op.Code, err)
		}
	}
	if _, err := h.do(s, backend.Operation{Code: backend.OpRead, FD: h.opens("/", unix.O_RDONLY).fd, Buf: make([]byte, 1)}); !errors.Is(err, unix.EISDIR) {
		h.Errorf("reading a directory: %v, want EISDIR", err)
	}
	if err := s.Submit(backend.Operation{Code: 250}, 1); !errors.Is(err, unix.EINVAL) {
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
	h.must("Submit", s.Submit(backend.Operation{}, 2))
	if got := h.wait(backend.Forever); len(got) != 0 {
		h.Errorf("unexpected %v", got)
	}
	var done [2]backend.Completion
	if n := s.Completions(done[:]); n != 1 || done[0] != (backend.Completion{Tag: 2}) {
		h.Errorf("got %v, want the completion of tag 2", done[:n])
	}
	h.quiet()
}

func operationsBeyondTheQueues(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	const count = 3000
	for i := range count {
		err := s.Submit(backend.Operation{}, backend.Tag(i))
		for errors.Is(err, unix.EAGAIN) {
			h.wait(0)
			err = s.Submit(backend.Operation{}, backend.Tag(i))
		}
		h.must("Submit", err)
	}
	h.completeWithoutSleep(s, count)
	h.quiet()
}

// completeWithoutSleep gets completions by Waits that do not sleep.
func (h *home) completeWithoutSleep(s backend.Submitter, n int) {
	h.Helper()
	done := make([]backend.Completion, 64)
	for start := time.Now(); n > 0; h.deadline(start, "completions") {
		h.wait(0)
		for k := s.Completions(done); k > 0; k = s.Completions(done) {
			n -= k
		}
	}
}

// pendingRead reads from a blocking pipe: it completes when the pipe is written to.
func (h *home) pendingRead(s backend.Submitter, n int, tag backend.Tag) (buf []byte, w *descriptor) {
	h.Helper()
	r, w := h.pipeWith(0)
	buf = make([]byte, n)
	h.must("Submit", s.Submit(backend.Operation{Code: backend.OpRead, FD: r.fd, Buf: buf, Offset: -1}, tag))
	return buf, w
}

func operationsAreCancelledOnce(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	h.must("Cancel of nothing", s.Cancel(5))
	for _, early := range []bool{true, false} { // before and after the kernel has seen it
		_, w := h.pendingRead(s, 10, 2)
		h.pendingRead(s, 10, 2)
		_, other := h.pendingRead(s, 10, 3)
		if !early {
			h.wait(0)
		}
		h.must("Cancel", s.Cancel(2))
		h.must("Cancel again", s.Cancel(2))
		if got := h.completeTwice(s, 2); got != [2]unix.Errno{unix.ECANCELED, unix.ECANCELED} {
			h.Errorf("got %v, want ECANCELED twice", got)
		}
		h.must("Cancel of what is done", s.Cancel(2))
		w.write("late")
		h.quiet()
		other.write("x")
		if got := h.complete(s, 1)[3]; got != 1 {
			h.Errorf("the other read: %d, want 1", got)
		}
	}
}

// completeTwice waits for two completions with the same tag.
func (h *home) completeTwice(s backend.Submitter, tag backend.Tag) (errnos [2]unix.Errno) {
	h.Helper()
	var done [1]backend.Completion
	for start, i := time.Now(), 0; i < 2; h.deadline(start, "two completions") {
		h.wait(time.Second)
		for i < 2 && s.Completions(done[:]) == 1 {
			if done[0].Tag != tag {
				h.Fatalf("tag %d completed, want %d", done[0].Tag, tag)
			}
			errnos[i] = unix.Errno(-done[0].Result)
			i++
		}
	}
	return errnos
}

func operationsFirst(h *home) {
	h.p = h.opened()
	defer h.p.Close()
	s := h.submitter()
	if s == nil {
		return
	}
	count := 0
	var err error
	for ; count < 300 && err == nil; count++ {
		err = s.Submit(backend.Operation{}, backend.Tag(count))
	}
	if err != nil { // nothing can be handed to the kernel yet
		count--
		if !errors.Is(err, unix.EAGAIN) || count == 0 {
			h.Fatalf("Submit %d: %v, want EAGAIN at most", count, err)
		}
	}
	h.must("Cancel", s.Cancel(1000))
	h.complete(s, count)
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
		var buffers [reads][]byte
		for i := range writers {
			buffers[i], writers[i] = h.pendingRead(s, 512, backend.Tag(i))
		}
		h.wait(0)
		collectGarbage(10)
		for i, w := range writers {
			w.write(string(pattern(round + byte(i))))
		}
		results := h.complete(s, reads)
		for i, buf := range buffers {
			if n := results[backend.Tag(i)]; n != 512 || !bytes.Equal(buf, pattern(round+byte(i))) {
				h.Errorf("round %d: read %d returned %d, and got something else than was written", round, i, n)
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
		h.must("Submit", s.Submit(backend.Operation{Code: backend.OpWrite, FD: f.fd, Buf: pattern(seed + byte(i)), Offset: int64(i) * 512}, backend.Tag(i)))
	}
	collectGarbage(2)
	h.complete(s, 64)
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
		buf, w := h.pendingRead(s, 512, 1)
		h.wait(0)
		h.pendingRead(s, 512, 2) // queued only
		h.must("Close", h.p.Close())
		_, _ = unix.Write(w.fd, pattern(1)) // the kernel may have let go of it
		collectGarbage(1)
		runtime.KeepAlive(buf)
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
	_, w := h.pendingRead(s, 8, 1<<32)
	return idle{h, s, w}
}

// ends checks that it has not, makes it end, and waits for that.
func (o idle) ends() {
	if o.s == nil {
		return
	}
	o.h.Helper()
	var done [1]backend.Completion
	if o.s.Completions(done[:]) != 0 {
		o.h.Fatalf("an idle read has completed: %v", done[0].Err())
	}
	o.w.write("x")
	if got := o.h.complete(o.s, 1)[1<<32]; got != 1 {
		o.h.Errorf("an idle read ended with %d, want 1", got)
	}
}
