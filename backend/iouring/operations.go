package iouring

import (
	"errors"
	"fmt"
	"sync"
	"time"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// operations are the requests under way, and those that have completed. The table keeps what the
// kernel may still read or write in memory: nothing that the heap refers to moves.
//
//	Submit ──▶ waiting ──▶ in the kernel ──▶ done ──▶ Completions
//	              │           │     ▲         ▲
//	              │           └─▶ lost        │
//	              └────── cancelled ──────────┘
type operations struct {
	slots []slot
	free  uint32 // 1 + the index of the first free slot, 0 if there is none
	live  int    // in the kernel, waiting or lost

	waiting backend.Requests // for room in the submission queue, in order
	cancels []fdtable.Key    // the same, of those that Cancel was called for
	done    backend.Requests // for Completions

	lost   []uint32         // slots of those that the kernel has cancelled by itself, see lose
	losses map[uint32]*loss // of slots that were lost
	slow   bool             // the last of them has been lost many times in a row
}

// slot is a place in the table. Its index and generation are what the kernel gives back.
type slot struct {
	request    *backend.Request // nil if it is free
	generation uint32
	nextFree   uint32 // like operations.free, while the slot is free
	cancelled  bool   // by the caller
}

// loss is how often an operation was lost.
type loss struct {
	times     int           // in a row
	since     time.Duration // when the first of them was
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

// Supports implements backend.Submitter: the kernel is asked once, by IORING_REGISTER_PROBE
// (Linux 5.6).
func (p *Poller) Supports(code backend.OpCode) bool {
	return p.runs&(1<<code) != 0 || p.refuse(code) == nil
}

// rawFlags are those of an entry that stands alone and completes. What a broken link has cancelled could not
// be told from what is to be submitted again, see lose.
const rawFlags = abi.IOSQE_FLAGS_FIXED_FILE | abi.IOSQE_FLAGS_IO_DRAIN | abi.IOSQE_FLAGS_ASYNC | abi.IOSQE_FLAGS_BUFFER_SELECT

// Submit implements backend.Submitter.
func (p *Poller) Submit(r *backend.Request) error {
	if p.runs&(1<<r.Code) == 0 {
		if err := p.refuse(r.Code); err != nil {
			return err
		}
	}
	if r.Code == backend.OpRaw && r.Raw[1]&^rawFlags != 0 {
		return fmt.Errorf("%s: submit: a raw entry with the flags %#x: it must stand alone and complete, without IOSQE_IO_LINK, IOSQE_IO_HARDLINK and IOSQE_CQE_SKIP_SUCCESS: %w", Name, r.Raw[1], unix.EINVAL)
	}
	key := p.ops.begin(r)
	if p.ops.waiting.Empty() {
		if e := p.ring.Next(); e != nil {
			prepareRequest(e, r)
			e.SetUserData(userData(kindOperation, key))
			return nil
		}
	}
	p.ops.waiting.Push(r)
	return nil
}

// refuse returns why code cannot be submitted, nil if it can: nothing is known before the first one.
func (p *Poller) refuse(code backend.OpCode) error {
	if err := p.probe(); err != nil {
		return err
	}
	switch {
	case !code.Valid():
		return fmt.Errorf("%s: submit: unknown operation %d: %w", Name, code, unix.EINVAL)
	case p.runs&(1<<code) == 0:
		return fmt.Errorf("%s: submit: this kernel has no %v: %w", Name, code, errors.ErrUnsupported)
	}
	return nil
}

// begin gives a request a place in the table.
func (o *operations) begin(r *backend.Request) fdtable.Key {
	i := o.unused()
	s := &o.slots[i]
	o.free = s.nextFree
	s.request, s.cancelled = r, false
	s.generation++
	r.Place = i
	o.live++
	return fdtable.Key{Index: i, Generation: s.generation}
}

// unused returns the index of the first free slot, and makes one if there is none.
func (o *operations) unused() uint32 {
	if o.free == 0 {
		o.slots = append(o.slots, slot{})
		o.free = uint32(len(o.slots))
	}
	return o.free - 1
}

// key is what the kernel is given for a slot that is taken.
func (o *operations) key(i uint32) fdtable.Key {
	return fdtable.Key{Index: i, Generation: o.slots[i].generation}
}

// prepareOperations is the part of prepare that operations have. It reports false like align.
func (p *Poller) prepareOperations() (complete bool, err error) {
	if complete, err = p.resubmit(); !complete || err != nil {
		return false, err
	}
	if complete, err = p.cancel(); !complete || err != nil {
		return false, err
	}
	return p.start()
}

// start gives the kernel those that wait, in order. It reports false like align.
func (p *Poller) start() (complete bool, err error) {
	for o := &p.ops; !o.waiting.Empty(); {
		r := o.waiting.First()
		if o.slots[r.Place].cancelled { // in the meantime
			o.waiting.Pop()
			o.end(r.Place, -int32(unix.ECANCELED), 0)
			continue
		}
		e, err := p.next()
		if e == nil {
			return false, err
		}
		o.waiting.Pop()
		prepareRequest(e, r)
		e.SetUserData(userData(kindOperation, o.key(r.Place)))
	}
	return true, nil
}

// complete ends an operation. A completion that belongs to none that is under way is dropped.
func (o *operations) complete(data uint64, result int32, flags uint32) {
	i := uint32(data)
	if int(i) >= len(o.slots) {
		return
	}
	s := &o.slots[i]
	if s.request == nil || data != userData(kindOperation, o.key(i)) {
		return
	}
	if result == -int32(unix.ECANCELED) && !s.cancelled {
		if o.lose(i) {
			return
		}
		result = -int32(unix.EAGAIN)
	}
	o.end(i, result, flags)
}

// end frees the slot and queues the request for Completions.
func (o *operations) end(i uint32, result int32, flags uint32) {
	s := &o.slots[i]
	r := s.request
	if r.Code == backend.OpTimeout && result == -int32(unix.ETIME) {
		result = 0
	}
	r.Result, r.More = result, flags
	s.request, s.nextFree, o.free = nil, o.free, i+1
	if o.losses != nil {
		delete(o.losses, i)
	}
	o.live--
	o.done.Push(r)
}

// lose lists an operation that the kernel has cancelled by itself, to be submitted again.
// It returns false if that is in vain. The kernel does so in three cases. The thread that
// submitted it has ended; the home goroutine of an unbound ring moves between threads. A
// signal, such as the Go scheduler's, came while the kernel made the first of its worker
// threads. Or it can make none, because of pids.max for example.
func (o *operations) lose(i uint32) bool {
	now := sys.Monotonic()
	l := o.losses[i]
	if l == nil || now-l.submitted > shortLife || !sys.ThreadExists(l.thread) {
		l = &loss{since: now}
	}
	if o.losses == nil {
		o.losses = make(map[uint32]*loss)
	}
	o.losses[i] = l
	l.times++
	o.slow = l.times > quickLosses
	if o.slow && now-l.since > giveUpAfter {
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

// resubmit submits what the kernel has cancelled on its own. It reports false like align.
func (p *Poller) resubmit() (complete bool, err error) {
	for o := &p.ops; len(o.lost) > 0; {
		last := len(o.lost) - 1
		i := o.lost[last]
		if s := &o.slots[i]; s.cancelled { // in the meantime
			o.end(i, -int32(unix.ECANCELED), 0)
		} else {
			e, err := p.next()
			if e == nil {
				return false, err
			}
			prepareRequest(e, s.request)
			e.SetUserData(userData(kindOperation, o.key(i)))
			o.losses[i].submitted, o.losses[i].thread = sys.Monotonic(), sys.Gettid()
		}
		o.lost = o.lost[:last]
	}
	return true, nil
}

// Cancel implements backend.Submitter.
func (p *Poller) Cancel(r *backend.Request) error {
	if p.table.Closed() {
		return backend.ErrClosed
	}
	if i := r.Place; int(i) < len(p.ops.slots) && p.ops.slots[i].request == r {
		p.ops.cancel(i)
	}
	return nil
}

// cancel lists an operation to be cancelled.
func (o *operations) cancel(i uint32) {
	if s := &o.slots[i]; !s.cancelled {
		s.cancelled = true
		o.cancels = append(o.cancels, o.key(i))
	}
}

// cancel has the kernel cancel what it was given. It reports false like align. What still waits is
// unknown to it, and ended by start.
func (p *Poller) cancel() (complete bool, err error) {
	for o := &p.ops; len(o.cancels) > 0; o.cancels = o.cancels[1:] {
		e, err := p.next()
		if e == nil {
			return false, err
		}
		prepareCancel(e, userData(kindOperation, o.cancels[0]))
	}
	p.ops.cancels = nil
	return true, nil
}

// idle reports whether the next Wait has nothing to give to the kernel.
func (o *operations) idle() bool {
	return len(o.lost) == 0 && o.waiting.Empty() && len(o.cancels) == 0
}

// Completions implements backend.Submitter.
func (p *Poller) Completions(done *backend.Requests) { done.Append(&p.ops.done) }

// Each implements backend.Submitter.
func (p *Poller) Each(f func(r *backend.Request)) {
	for i := range p.ops.slots {
		if r := p.ops.slots[i].request; r != nil {
			f(r)
		}
	}
}

// cancelOperations cancels all and waits for those that end immediately: everything
// but a read or write of a disk that is being done at this moment.
func (p *Poller) cancelOperations() {
	p.Each(func(r *backend.Request) { p.ops.cancel(r.Place) })
	_, _ = p.cancel()
	_, _ = p.start()
	for before := -1; p.ops.live > 0 && p.ops.live != before; {
		before = p.ops.live
		_ = p.submit()
		for c := p.ring.Peek(); c != nil; c = p.ring.Peek() {
			if data := c.UserData(); data&kindMask == kindOperation {
				p.ops.complete(data, c.Result(), c.Flags())
			}
			p.ring.Seen()
		}
	}
	p.ops.done = backend.Requests{} // no caller may ask any more
}

// abandoned keeps the requests that were under way when their ring was closed: no Poller is left
// to hear when the kernel has let go of their buffers.
var abandoned struct {
	sync.Mutex
	requests [][]slot
}

func (p *Poller) abandonOperations() {
	abandoned.Lock()
	defer abandoned.Unlock()
	abandoned.requests = append(abandoned.requests, p.ops.slots)
}

// supported is what the kernel has said that it can do, nil before it was asked.
var supported struct {
	sync.Mutex
	codes *uring.Codes
}

// probe finds out which codes are supported.
func (p *Poller) probe() error {
	if p.table.Closed() {
		return backend.ErrClosed
	}
	supported.Lock()
	defer supported.Unlock()
	if supported.codes == nil {
		codes, err := p.ring.Probe()
		if err != nil {
			return fmt.Errorf("%s: %w", Name, err)
		}
		supported.codes = codes
	}
	for code, opcode := range opcodes {
		if supported.codes.Has(opcode) {
			p.runs |= 1 << code
		}
	}
	p.runs |= 1 << backend.OpRaw // it has a code of its own
	return nil
}
