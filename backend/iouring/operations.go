package iouring

import (
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// operations are the native operations under way, and those that have completed.
type operations struct {
	slots []operation
	free  []uint32
	live  int
	done  []backend.Completion

	lost []uint32 // slots of those that the kernel has cancelled by itself, see lose
	slow bool     // the last of them has been lost many times in a row
}

// operation holds on to what the kernel may still read or write.
type operation struct {
	what       backend.Operation
	tag        backend.Tag
	pin        runtime.Pinner
	generation uint32
	live       bool
	cancelled  bool // by the caller

	losses    int           // in a row
	lostSince time.Duration // when the first of them was
	submitted time.Duration // when it was submitted again
	thread    int           // by which thread
}

// An operation that is lost within shortLife, again and again, is submitted immediately at
// first, then once in a pause. After more than quickLosses and giveUpAfter it fails. The
// kernel itself takes 50 ms to find out that it can make no worker thread.
const (
	shortLife   = time.Second
	quickLosses = 10
	pause       = time.Millisecond
	giveUpAfter = time.Second
)

var opcodes = [...]uint8{
	backend.OpNop:   abi.IORING_OP_NOP,
	backend.OpRead:  abi.IORING_OP_READ,  // 5.6
	backend.OpWrite: abi.IORING_OP_WRITE, // 5.6
	backend.OpFsync: abi.IORING_OP_FSYNC,
}

// Submit implements backend.Submitter.
func (p *Poller) Submit(op backend.Operation, tag backend.Tag) error {
	if int(op.Code) >= len(opcodes) {
		return fmt.Errorf("%s: submit: unknown operation %d: %w", Name, op.Code, unix.EINVAL)
	}
	p.table.Lock()
	defer p.table.Unlock()
	if p.table.Closed() {
		return backend.ErrClosed
	}
	e, err := p.next()
	if err != nil {
		return err
	}
	if e == nil { // the caller sees completions, with Wait, and tries again
		return fmt.Errorf("%s: submit: the completion queue is full: %w", Name, unix.EAGAIN)
	}
	prepareOperation(e, op)
	e.SetUserData(userData(kindOperation, p.ops.begin(op, tag)))
	return nil
}

func prepareOperation(e *uring.SQE, op backend.Operation) {
	code, addr, length := opcodes[op.Code], uint64(0), uint32(0)
	if op.Code == backend.OpRead || op.Code == backend.OpWrite {
		addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(op.Buf))))
		length = uint32(min(len(op.Buf), 1<<31-1)) // like read(2), less than asked for
	}
	offset := uint64(op.Offset)
	if op.Code == backend.OpFsync || op.Code == backend.OpNop {
		offset = 0
	}
	e.PrepOperation(code, int32(op.FD), addr, length, offset)
}

// begin remembers an operation and pins its buffer.
func (o *operations) begin(what backend.Operation, tag backend.Tag) fdtable.Key {
	i := o.unused()
	op := &o.slots[i]
	op.what, op.tag, op.live, op.cancelled, op.losses = what, tag, true, false, 0
	op.generation++
	if len(what.Buf) > 0 {
		op.pin.Pin(unsafe.SliceData(what.Buf))
	}
	o.live++
	return fdtable.Key{Index: i, Generation: op.generation}
}

func (o *operations) unused() uint32 {
	if n := len(o.free); n > 0 {
		i := o.free[n-1]
		o.free = o.free[:n-1]
		return i
	}
	o.slots = append(o.slots, operation{})
	return uint32(len(o.slots) - 1)
}

// complete releases the buffer and queues the result for Completions. A completion
// that belongs to no operation under way is dropped.
func (o *operations) complete(data uint64, result int32) {
	i := uint32(data)
	if int(i) >= len(o.slots) {
		return
	}
	op := &o.slots[i]
	if !op.live || data != userData(kindOperation, fdtable.Key{Index: i, Generation: op.generation}) {
		return
	}
	if result == -int32(unix.ECANCELED) && !op.cancelled {
		if o.lose(i, op) {
			return
		}
		result = -int32(unix.EAGAIN)
	}
	op.pin.Unpin()
	op.what, op.live = backend.Operation{}, false
	o.live--
	o.free = append(o.free, i)
	o.done = append(o.done, backend.Completion{Tag: op.tag, Result: result})
}

// lose lists an operation that the kernel has cancelled by itself, to be submitted again.
// It returns false if that is in vain. The kernel does so in three cases. The thread that
// submitted it has ended; the home goroutine of an unbound ring moves between threads. A
// signal, such as the Go scheduler's, came while the kernel made the first of its worker
// threads. Or it can make none, because of pids.max for example.
func (o *operations) lose(i uint32, op *operation) bool {
	now := sys.Monotonic()
	if op.losses == 0 || now-op.submitted > shortLife || !sys.ThreadExists(op.thread) {
		op.losses, op.lostSince = 0, now
	}
	op.losses++
	o.slow = op.losses > quickLosses
	if o.slow && now-op.lostSince > giveUpAfter {
		return false
	}
	o.lost = append(o.lost, i)
	return true
}

// pause keeps the home goroutine from spinning while the kernel can start nothing.
func (o *operations) pause() {
	if o.slow && len(o.lost) > 0 {
		_, _ = sys.PpollFor(nil, pause)
	}
}

// resubmit submits what the kernel has cancelled on its own. The caller holds the
// lock; it reports false like align.
func (p *Poller) resubmit() (complete bool, err error) {
	for o := &p.ops; len(o.lost) > 0; {
		last := len(o.lost) - 1
		i := o.lost[last]
		op := &o.slots[i]
		data := userData(kindOperation, fdtable.Key{Index: i, Generation: op.generation})
		if op.cancelled { // in the meantime
			o.complete(data, -int32(unix.ECANCELED))
		} else {
			e, err := p.next()
			if e == nil {
				return false, err
			}
			prepareOperation(e, op.what)
			e.SetUserData(data)
			op.submitted, op.thread = sys.Monotonic(), sys.Gettid()
		}
		o.lost = o.lost[:last]
	}
	return true, nil
}

// Cancel implements backend.Submitter.
func (p *Poller) Cancel(tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	if p.table.Closed() {
		return backend.ErrClosed
	}
	for i := range p.ops.slots {
		if op := &p.ops.slots[i]; op.live && op.tag == tag {
			op.cancelled = true
			if err := p.cancel(fdtable.Key{Index: uint32(i), Generation: op.generation}); err != nil {
				return err
			}
		}
	}
	if p.home.Load() == 0 {
		return nil // it is queued behind what it cancels
	}
	return p.submit()
}

func (p *Poller) cancel(k fdtable.Key) error {
	e, err := p.next()
	if err != nil {
		return err
	}
	if e == nil {
		return fmt.Errorf("%s: cancel: the completion queue is full: %w", Name, unix.EAGAIN)
	}
	e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, userData(kindOperation, k), 0, 0)
	e.SetUserData(userDataIgnored)
	return nil
}

// Completions implements backend.Submitter.
func (p *Poller) Completions(done []backend.Completion) int {
	n := copy(done, p.ops.done)
	p.ops.done = append(p.ops.done[:0], p.ops.done[n:]...)
	return n
}

// cancelOperations cancels all and waits for those that end immediately: everything
// but a read or write of a disk that is being done at this moment.
func (p *Poller) cancelOperations() {
	for i := range p.ops.slots {
		if op := &p.ops.slots[i]; op.live {
			op.cancelled = true
			_ = p.cancel(fdtable.Key{Index: uint32(i), Generation: op.generation})
		}
	}
	for before := -1; p.ops.live > 0 && p.ops.live != before; {
		before = p.ops.live
		_ = p.submit()
		for c := p.ring.Peek(); c != nil; c = p.ring.Peek() {
			if data := c.UserData(); data&kindMask == kindOperation {
				p.ops.complete(data, c.Result())
			}
			p.ring.Seen()
		}
	}
	p.ops.done = nil // no caller may ask any more
}

// abandoned keeps the buffers of operations that were under way when their ring
// was closed: no Poller is left to hear when the kernel has let go of them.
var abandoned struct {
	sync.Mutex
	ops [][]operation
}

func (p *Poller) abandonOperations() {
	abandoned.Lock()
	defer abandoned.Unlock()
	abandoned.ops = append(abandoned.ops, p.ops.slots)
}
