//go:build linux

package file

import (
	"fmt"
	"io"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// Request is one read, write or other work on a File. Its maker owns the struct, which can be used
// again after Done, by Done too. From the call that submits it until then it, and its buffers,
// must not be changed or copied.
type Request struct {
	Buf     []byte   // what is read into or written
	Buffers [][]byte // instead of Buf: one after the other, at most 1024
	Offset  int64    // where in the file, in bytes
	Length  int64    // Zero, Discard, Extent: how many bytes

	// Done is called when the request is over: on the home goroutine, exactly once, and never
	// inside the call that submitted it.
	Done func(r *Request)
	Data any // the maker's

	// N is how many bytes were read or written, or how long the extent is.
	N int64
	// Hole says that the extent has no data: it reads as zeros.
	Hole bool
	// Err is nil, io.EOF if a read has met the end of the file before its buffers were full, or
	// an *Error.
	Err error

	file      *File // under way there
	op        op
	way       way
	cancelled bool
	waits     bool     // for others of the file, or of the loop: in a queue
	next      *Request // in requests

	position int64        // where it goes on
	moved    int64        // bytes so far
	left     int64        // bytes to go
	vectors  []unix.Iovec // what is left: of one or of room
	one      [1]unix.Iovec
	room     []unix.Iovec
	bounce   []byte // stands for buffers that are not aligned

	sync       uint64 // its number among the Syncs of the file
	overlapped uint64 // the last one that it has overlapped, 0 while it runs

	native  aio.Request
	task    *task
	aioTask *aioTask
}

// Read fills the buffers of r from the file. Short reads go on; at the end of the file Err is
// io.EOF, like that of an io.ReaderAt, or what is left is zeroed, see WithZerosAtEnd.
//
// Read and the other methods that submit a request are called on the home goroutine. They fail,
// with an *Error, before anything has happened: with os.ErrClosed, aio.ErrWrongGoroutine, EBUSY (r
// is under way), EINVAL (it makes no sense; the text says why) or EBADF (the file was not opened
// for that). They panic if Done is nil.
func (f *File) Read(r *Request) error { return f.submit(r, opRead) }

// Write writes the buffers of r. Short writes go on until the kernel says why: an r.N that is less
// than what was to be written comes with an error.
func (f *File) Write(r *Request) error { return f.submit(r, opWrite) }

// Sync makes what was written before durable, fsync(2): the writes whose Done has been called. After
// one that failed, all others fail, too: the kernel reports the loss of data once and forgets, and
// what was lost cannot be written by another Sync. Open the file again and write it again.
func (f *File) Sync(r *Request) error { return f.submit(r, opSync) }

// SyncData is Sync without what is not needed to read the data again, such as times: fdatasync(2).
func (f *File) SyncData(r *Request) error { return f.submit(r, opSyncData) }

// Zero makes Length bytes at Offset read as zeros, like a write of zeros: fallocate(2), or a write
// where the filesystem has none.
func (f *File) Zero(r *Request) error { return f.submit(r, opZero) }

// Discard tells the device that the contents of Length bytes at Offset are not needed: those of a file
// become a hole; those of a block device are given back. The size of a file stays. It fails
// with errors.ErrUnsupported where the device does not want to know: the contents may be lost all the same, for
// Linux forgets what is in the page cache of a block device before it asks the device.
func (f *File) Discard(r *Request) error { return f.submit(r, opDiscard) }

// Extent finds out how much data, or how large a hole, there is from Offset on: N bytes, at most
// Length, of which Hole says what they are. A Length of 0 is no limit. At the end of the file
// Err is io.EOF.
func (f *File) Extent(r *Request) error { return f.submit(r, opExtent) }

// Cancel asks for an early end of r. Done is called all the same: with an error that matches
// ECANCELED, or as if nothing had been said, if the kernel was faster. What is not under way is
// left alone. It is called on the home goroutine.
func (r *Request) Cancel() error {
	f := r.file
	if f == nil {
		return nil
	}
	if err := f.loop.CheckHome(); err != nil {
		return err
	}
	if r.cancelled {
		return nil
	}
	r.cancelled = true
	switch {
	case r.waits: // seen in its turn
	case r.way == byThread:
		r.task.job.Cancel()
	case r.way == inLine: // line.take sees it, now or in its turn
		f.line.job.Cancel()
	case r.way == byAIO:
		f.all.aio.Cancel(&r.aioTask.request)
	default:
		return f.loop.Cancel(&r.native)
	}
	return nil
}

func (f *File) submit(r *Request, o op) error {
	if r.Done == nil {
		panic("file: Done is nil")
	}
	if err := f.check(r, o); err != nil {
		return &Error{Op: opNames[o], Name: f.name, Offset: r.Offset, Length: r.Length, Err: err}
	}
	r.file, r.op, r.cancelled = f, o, false
	r.N, r.Err, r.Hole, r.moved = 0, nil, false, 0
	if f.busy >= f.depth {
		r.waits = true
		f.waiting.push(r)
		return nil
	}
	f.start(r)
	return nil
}

// check finds what is wrong with a request before it has done anything, and sets it up.
func (f *File) check(r *Request, o op) error {
	if !f.loop.OnHome() {
		if err := f.loop.CheckHome(); err != nil {
			return err
		}
	}
	switch {
	case f.allowed&(1<<o) == 0:
		return f.refuse(o)
	case r.file != nil:
		return fmt.Errorf("the Request is under way: wait for its Done, or use another: %w", unix.EBUSY)
	case r.Offset < 0:
		return fmt.Errorf("the offset is negative: %w", unix.EINVAL)
	case o.moves():
		return f.checkBuffers(r, o)
	case r.Length < 0 || r.Length == 0 && (o == opZero || o == opDiscard):
		return fmt.Errorf("the length must be above 0: %w", unix.EINVAL)
	}
	return inRange(r.Offset, r.Length)
}

// refuse says why the file does not do o.
func (f *File) refuse(o op) error {
	switch {
	case f.closed:
		return os.ErrClosed
	case o.changes():
		return fmt.Errorf("it was opened for reading only: %w", unix.EBADF)
	}
	return fmt.Errorf("it was opened for writing only: %w", unix.EBADF)
}

func inRange(offset, length int64) error {
	if length > math.MaxInt64-offset {
		return errRange
	}
	return nil
}

var errRange = fmt.Errorf("offset and length are together more than a file can have: %w", unix.EINVAL)

func (f *File) checkBuffers(r *Request, o op) error {
	if r.Buffers != nil {
		if err := r.gather(); err != nil {
			return err
		}
	} else {
		r.one[0] = vector(r.Buf)
		r.vectors, r.left = r.one[:], int64(len(r.Buf))
	}
	r.position = r.Offset
	if err := inRange(r.Offset, r.left); err != nil || !f.direct {
		return err
	}
	return f.align(r, o)
}

// gather makes vectors of Buffers.
func (r *Request) gather() error {
	switch {
	case len(r.Buffers) > 1024:
		return fmt.Errorf("more than 1024 buffers: %w", unix.EINVAL)
	case r.Buf != nil:
		return fmt.Errorf("both Buf and Buffers are set: %w", unix.EINVAL)
	}
	r.room, r.left = r.room[:0], 0
	for _, b := range r.Buffers {
		if len(b) > 0 {
			r.room = append(r.room, vector(b))
			r.left += int64(len(b))
		}
	}
	r.vectors = r.room
	return nil
}

func vector(b []byte) (v unix.Iovec) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
	return v
}

// length is how much r was to do.
func (r *Request) length() int64 {
	switch {
	case !r.op.moves():
		return r.Length
	case r.Buffers == nil:
		return int64(len(r.Buf))
	}
	n := int64(0)
	for _, b := range r.Buffers {
		n += int64(len(b))
	}
	return n
}

// start begins a request that need not wait for others.
func (f *File) start(r *Request) {
	f.busy++
	if r.op.syncs() {
		f.syncs.begin(r)
	}
	switch {
	case r.cancelled:
		f.answer(r, -int32(unix.ECANCELED))
	case r.op.syncs() && f.lost != nil:
		f.answer(r, 0) // end finds out
	case r.op.moves() && r.left == 0:
		f.answer(r, 0)
	default:
		f.take(r, f.routes[r.op].first(&f.luck[r.op], r.left, f.busy-1))
	}
}

// take goes on with a request in one way.
func (f *File) take(r *Request, w way) {
	r.way = w
	switch w {
	case inLoop:
		f.tryInLoop(r)
	case byRing:
		f.ring(r)
	case byAIO:
		f.linuxAIO(r)
	case byThread:
		f.thread(r)
	case inLine:
		f.line.add(r)
	}
}

// goOn is take for what is left of a request.
func (f *File) goOn(r *Request) { f.take(r, f.routes[r.op].next) }

// tryInLoop makes a call that need not wait, or may.
func (f *File) tryInLoop(r *Request) {
	n, errno := f.callInLoop(r)
	luck := &f.luck[r.op]
	switch {
	case errno == 0 && (int64(n) == r.left || n == 0):
		luck.hit()
		f.answer(r, int32(n))
	case errno == 0:
		luck.miss()
		r.advance(int64(n))
		f.goOn(r)
	case errno == unix.EOPNOTSUPP || errno == unix.EINVAL || errno == unix.ENOSYS || errno == unix.EPERM:
		luck.never() // EINVAL is f2fs's word for EOPNOTSUPP, the last two are of a filter of system calls
		f.goOn(r)
	case errno == unix.EAGAIN || errno == unix.EINTR:
		luck.miss()
		f.goOn(r)
	default:
		f.answer(r, -int32(errno))
	}
}

func (f *File) callInLoop(r *Request) (n int, errno unix.Errno) {
	switch {
	case r.op == opRead:
		return sys.ReadNow(f.fd, r.vectors, r.position)
	case f.waitingWrites:
		return sys.WriteAt(f.fd, r.vectors, r.position)
	}
	return sys.WriteNow(f.fd, r.vectors, r.position)
}

// answer ends a step in a later iteration.
func (f *File) answer(r *Request, result int32) {
	r.way = inLoop
	r.native.Done, r.native.Data, r.native.Result, r.native.Name = answered, r, result, f.titles[r.op]
	_ = f.loop.Complete(&r.native) // it fails if the loop is closed, which names the request
}

func answered(q *aio.Request) {
	r := q.Data.(*Request)
	if r.way == byRing {
		r.file.all.ring.leave()
	}
	r.step(int64(q.Result))
}

// advance takes notice of n bytes that were moved.
func (r *Request) advance(n int64) {
	r.moved += n
	r.position += n
	r.left -= n
	for len(r.vectors) > 0 && n >= int64(r.vectors[0].Len) {
		n -= int64(r.vectors[0].Len)
		r.vectors = r.vectors[1:]
	}
	if n > 0 {
		v := &r.vectors[0]
		v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
		v.SetLen(int(int64(v.Len) - n))
	}
}

// step takes what one call has returned: a count or -errno. It is on the home goroutine, outside of
// the call that submitted r.
func (r *Request) step(result int64) {
	switch f := r.file; {
	case result < 0:
		f.failed(r, unix.Errno(-result))
	case r.op.moves():
		f.transferred(r, result)
	case r.op == opExtent:
		f.extended(r)
	default:
		f.end(r, nil)
	}
}

// failed takes what a call has returned that has failed.
func (f *File) failed(r *Request, errno unix.Errno) {
	switch {
	case errno == unix.EINTR:
		f.goOn(r)
	case r.op == opZero && r.way != byThread && f.writesZeros(errno):
		f.take(r, byThread) // which writes zeros
	case f.auto && r.way == byAIO && (errno == unix.ENOSYS || errno == unix.EPERM):
		f.engine = EngineInfo{EngineThreads, "the best here: a filter of system calls forbids io_submit"}
		f.plan()
		f.take(r, byThread)
	default:
		f.end(r, r.failure(errno))
	}
}

// extended takes notice of an extent.
func (f *File) extended(r *Request) {
	if r.N = r.moved; r.N == 0 {
		f.end(r, io.EOF)
		return
	}
	f.end(r, nil)
}

// transferred takes notice of a read or a write.
func (f *File) transferred(r *Request, n int64) {
	if n == r.left { // most often
		r.moved += n
		f.end(r, nil)
		return
	}
	r.advance(n)
	switch {
	case r.op == opWrite && n == 0:
		f.end(r, r.fail(io.ErrShortWrite))
	case r.op == opRead && (n == 0 || f.direct && n%f.offsets != 0):
		f.endOfFile(r)
	default:
		f.goOn(r)
	}
}

// failure makes the error of an errno. What a Sync has lost is remembered.
func (r *Request) failure(errno unix.Errno) error {
	err := r.fail(errno)
	if f := r.file; r.op.syncs() && f.lost == nil && !neverBegun(errno) {
		f.lost = err
	}
	return err
}

// neverBegun reports whether a Sync that failed so has not reached the filesystem, and so has lost
// nothing.
//
// ECANCELED: by Cancel. EINVAL: the file cannot be synced. EAGAIN: the ring has found no worker
// thread. ENOSYS, EPERM: of a filter of system calls.
func neverBegun(errno unix.Errno) bool {
	switch errno {
	case unix.ECANCELED, unix.EINVAL, unix.EAGAIN, unix.ENOSYS, unix.EPERM:
		return true
	}
	return false
}

func (f *File) endOfFile(r *Request) {
	if !f.zerosAtEnd {
		f.end(r, io.EOF)
		return
	}
	for _, v := range r.vectors {
		clear(unsafe.Slice(v.Base, v.Len))
	}
	r.moved += r.left
	f.end(r, nil)
}

// end calls Done.
func (f *File) end(r *Request, err error) {
	if r.op.syncs() {
		if !f.syncs.ends(r, err == nil && f.lost == nil) {
			return
		}
		f.release()
		if f.lost != nil && err == nil {
			err = fmt.Errorf("%w (this was another sync: what was lost then is still lost: open the file and write it again)", f.lost)
		}
	}
	if r.op.moves() {
		r.N = r.moved
		if r.bounce != nil {
			err = f.unbounce(r, err)
		}
	}
	r.Err = err
	r.file, r.vectors = nil, nil
	f.busy--
	if !f.waiting.empty() {
		f.startWaiting()
	}
	if f.closed {
		f.lastOut()
	}
	r.Done(r)
}

// startWaiting starts those for which there is room now.
func (f *File) startWaiting() {
	for f.busy < f.depth && !f.waiting.empty() {
		r := f.waiting.pop()
		r.waits = false
		f.start(r)
	}
}
