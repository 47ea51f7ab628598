package iouring

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/uring"
)

// operations are the native operations under way, and those that have completed.
type operations struct {
	slots []operation
	free  []uint32
	live  int
	done  []backend.Completion

	// The kernel cancels what was submitted by a thread that has ended. A home
	// goroutine that moves between threads submits it again.
	moves bool
	lost  []uint32 // slots of those
}

// operation holds on to what the kernel may still read or write.
type operation struct {
	what       backend.Operation
	tag        backend.Tag
	pin        runtime.Pinner
	generation uint32
	live       bool
	cancelled  bool // by the caller
	again      int  // how often it was submitted again
}

// maxAgain bounds how often an operation is submitted again on a ring whose home
// goroutine stays on its thread: a file may mean it.
const maxAgain = 10

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
	op.what, op.tag, op.live, op.cancelled, op.again = what, tag, true, false, 0
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
//
// The kernel cancels what it has queued for its worker threads when a signal for the
// home thread, such as the Go scheduler's, comes while it makes the first of them.
func (o *operations) complete(data uint64, result int32) {
	i := uint32(data)
	if int(i) >= len(o.slots) {
		return
	}
	op := &o.slots[i]
	if !op.live || data != userData(kindOperation, fdtable.Key{Index: i, Generation: op.generation}) {
		return
	}
	if result == -int32(unix.ECANCELED) && !op.cancelled && (o.moves || op.again < maxAgain) {
		op.again++
		o.lost = append(o.lost, i)
		return
	}
	op.pin.Unpin()
	op.what, op.live = backend.Operation{}, false
	o.live--
	o.free = append(o.free, i)
	o.done = append(o.done, backend.Completion{Tag: op.tag, Result: result})
}

// resubmit submits what the kernel has cancelled on its own. The caller holds the
// lock; it reports false like align.
func (p *Poller) resubmit() (complete bool, err error) {
	for o := &p.ops; len(o.lost) > 0; {
		last := len(o.lost) - 1
		i := o.lost[last]
		op := &o.slots[i]
		data := userData(kindOperation, fdtable.Key{Index: i, Generation: op.generation})
		if op.cancelled { // meanwhile
			o.complete(data, -int32(unix.ECANCELED))
		} else {
			e, err := p.next()
			if e == nil {
				return false, err
			}
			prepareOperation(e, op.what)
			e.SetUserData(data)
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

// cancelOperations cancels all and waits for those that end at once: everything
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
	p.ops.done = nil // nobody may ask any more
}

// abandoned keeps the buffers of operations that were under way when their ring
// was closed: nobody is left to hear when the kernel has let go of them.
var abandoned struct {
	sync.Mutex
	ops [][]operation
}

func (p *Poller) abandonOperations() {
	abandoned.Lock()
	defer abandoned.Unlock()
	abandoned.ops = append(abandoned.ops, p.ops.slots)
}
