// Package uring is an io_uring instance: two queues in memory shared with the
// kernel, and the call that enters it. What the entries mean is the business of
// its users, package backend/iouring and the probes of package feature.
//
// A Ring is used by one goroutine at a time, and after Enable by one thread only
// if it was set up with SetupSingleIssuer.
package uring

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// Ring is one io_uring instance.
type Ring struct {
	fd       int
	handle   int    // what an enter is given: fd, or its index while it is registered
	flags    uint32 // the setup flags in use
	features uint32 // what the kernel says it can do
	always   uint32 // flags of every enter
	enter    uint32 // flags of every waiting enter
	batch    uint32 // see Batch, 0 for none

	sq      submissionQueue
	cq      completionQueue
	regions [][]byte // what Close unmaps

	// timespec and arg are handed to the kernel by address for the length of one
	// enter. They live here, on the heap, so that nothing is allocated then.
	timespec sys.Timespec64
	arg      getEventsArg
	updated  int32      // the same, of UpdateFile
	vector   unix.Iovec // the same, of UpdateBuffer
}

type submissionQueue struct {
	head, tail, flags *uint32 // shared with the kernel
	entries           []SQE   // a power of two
	next              uint32  // entries below are filled in, those from *tail on not yet published
}

type completionQueue struct {
	head, tail *uint32 // shared with the kernel
	entries    []CQE   // a power of two
}

// at returns the entry that is published when tail or head is n. No number is out of range.
func (q *submissionQueue) at(n uint32) *SQE { return &q.entries[n&uint32(len(q.entries)-1)] }
func (q *completionQueue) at(n uint32) *CQE { return &q.entries[n&uint32(len(q.entries)-1)] }

// New makes a ring of sqEntries submission and cqEntries completion entries (both
// rounded up to powers of two; cqEntries 0 means twice the first) with the given
// IORING_SETUP_* flags. The error wraps the errno of the call that failed.
func New(sqEntries, cqEntries, flags uint32) (*Ring, error) {
	params := abi.IOURingParams{Flags: flags, CQEntries: cqEntries}
	if cqEntries != 0 {
		params.Flags |= abi.IORING_SETUP_CQSIZE
	}
	fd, err := setup(sqEntries, &params)
	if err != nil {
		return nil, err
	}
	sys.Opened(fd, sys.KindIOUring)
	r := &Ring{fd: fd, handle: fd, flags: params.Flags, features: params.Features, enter: EnterGetevents}
	if r.Has(FeatNoIowait) {
		r.enter |= EnterNoIowait
	}
	if err := r.mapQueues(&params); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func setup(entries uint32, params *abi.IOURingParams) (int, error) {
	if err := sys.FaultOf(sys.CallIoUringSetup); err != nil {
		return -1, os.NewSyscallError(string(sys.CallIoUringSetup), err)
	}
	return abi.IOURingSetup(uint(entries), params)
}

// mapQueues maps the shared memory and finds the fields in it.
func (r *Ring) mapQueues(p *abi.IOURingParams) error {
	sqBytes := p.SQOffset.Array + p.SQEntries*4
	cqBytes := p.CQOffset.Cqes + p.CQEntries*uint32(unsafe.Sizeof(CQE{}))
	sq, err := r.mmap(max(sqBytes, cqBytes), abi.IORING_OFF_SQ_RING)
	if err != nil {
		return err
	}
	cq := sq
	if !r.Has(abi.IORING_FEAT_SINGLE_MMAP) { // before 5.4
		if cq, err = r.mmap(cqBytes, abi.IORING_OFF_CQ_RING); err != nil {
			return err
		}
	}
	sqes, err := r.mmap(p.SQEntries*uint32(unsafe.Sizeof(SQE{})), abi.IORING_OFF_SQES)
	if err != nil {
		return err
	}
	r.sq = submissionQueue{
		head: word(sq, p.SQOffset.Head), tail: word(sq, p.SQOffset.Tail), flags: word(sq, p.SQOffset.Flags),
		entries: view[SQE](sqes, 0, p.SQEntries),
	}
	r.cq = completionQueue{
		head: word(cq, p.CQOffset.Head), tail: word(cq, p.CQOffset.Tail),
		entries: view[CQE](cq, p.CQOffset.Cqes, p.CQEntries),
	}
	// The queue is an array of indices into the entries; each place keeps its own.
	for i, places := 0, view[uint32](sq, p.SQOffset.Array, p.SQEntries); i < len(places); i++ {
		places[i] = uint32(i)
	}
	return nil
}

func (r *Ring) mmap(length uint32, offset uint64) ([]byte, error) {
	if err := sys.FaultOf(sys.CallMmap); err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	// unix.Mmap would keep a book of what it has mapped, which is larger than a Ring.
	at, err := unix.MmapPtr(r.fd, int64(offset), nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	b := unsafe.Slice((*byte)(at), length)
	r.regions = append(r.regions, b)
	return b, nil
}

// word returns the 32-bit field at offset.
func word(region []byte, offset uint32) *uint32 {
	return (*uint32)(unsafe.Pointer(&region[offset]))
}

// view returns n values of type T at offset.
func view[T any](region []byte, offset, n uint32) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&region[offset])), n)
}

// FD returns the ring's descriptor, which is readable when there are completions.
func (r *Ring) FD() int { return r.fd }

// Has reports whether the kernel offers all features of the set.
func (r *Ring) Has(features uint32) bool { return r.features&features == features }

// SetUp reports whether the ring was made with all flags of the set.
func (r *Ring) SetUp(flags uint32) bool { return r.flags&flags == flags }

// Permitted tries the calls that the ring will need: a filter may allow to make a
// ring and then forbid to use it, with an errno of its author's choice. The kernel's own
// refusals are expected: EBADFD, because nothing can be submitted to a disabled ring, and
// ENXIO, because no buffers are registered.
func (r *Ring) Permitted() error {
	_, err := sys.IoUringEnter(r.fd, 0, 0, 0, nil, 0)
	if err != nil && err != unix.EBADFD && err != unix.EINTR {
		return os.NewSyscallError("io_uring_enter", err)
	}
	err = abi.IOURingRegister(r.fd, abi.IORING_UNREGISTER_BUFFERS, nil, 0)
	if err != nil && !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("io_uring_register", errors.Unwrap(err))
	}
	return nil
}

// Enable starts a ring that was made with IORING_SETUP_R_DISABLED. The calling
// thread becomes the only one that may submit to a SetupSingleIssuer ring.
func (r *Ring) Enable() error {
	return abi.IOURingRegister(r.fd, abi.IORING_REGISTER_ENABLE_RINGS, nil, 0)
}

// Register spares the calling thread the search for the descriptor in each enter (Linux 5.18).
// Until Unregister no other thread may enter, and the kernel keeps the ring even if it is closed.
// A thread has room for 16; an error changes nothing. A second Register does nothing.
func (r *Ring) Register() error {
	if r.always != 0 {
		return nil
	}
	update := ringUpdate{offset: anyIndex, data: uint64(r.fd)}
	if err := abi.IOURingRegister(r.fd, registerRingFDs, unsafe.Pointer(&update), 1); err != nil {
		return err
	}
	if update.offset == anyIndex { // the result of the call would say so
		return os.NewSyscallError("io_uring_register", unix.EBUSY)
	}
	r.handle, r.always = int(update.offset), EnterRegistered
	return nil
}

// RegisterFiles gives the ring a table of files, in which -1 is a free place.
func (r *Ring) RegisterFiles(fds []int32) error {
	return abi.IOURingRegister(r.fd, abi.IORING_REGISTER_FILES, unsafe.Pointer(unsafe.SliceData(fds)), uint32(len(fds)))
}

// UpdateFile changes a place in that table.
func (r *Ring) UpdateFile(index int, fd int32) error {
	r.updated = fd
	update := ringUpdate{offset: uint32(index), data: uint64(uintptr(unsafe.Pointer(&r.updated)))}
	return abi.IOURingRegister(r.fd, abi.IORING_REGISTER_FILES_UPDATE, unsafe.Pointer(&update), 1)
}

// RegisterBuffers gives the ring a table of n buffers without any (Linux 5.19).
func (r *Ring) RegisterBuffers(n uint32) error {
	table := bufferTable{count: n, flags: registerSparse}
	return abi.IOURingRegister(r.fd, registerBuffers2, unsafe.Pointer(&table), uint32(unsafe.Sizeof(table)))
}

// UpdateBuffer changes a place in that table; nil frees it. The kernel keeps the pages of buf, and the
// caller keeps buf for as long.
func (r *Ring) UpdateBuffer(index int, buf []byte) error {
	r.vector.Base = unsafe.SliceData(buf)
	r.vector.SetLen(len(buf))
	update := bufferUpdate{offset: uint32(index), data: uint64(uintptr(unsafe.Pointer(&r.vector))), count: 1}
	err := abi.IOURingRegister(r.fd, registerBuffersUpdate, unsafe.Pointer(&update), uint32(unsafe.Sizeof(update)))
	r.vector = unix.Iovec{}
	return err
}

// Unregister undoes Register, on the same thread. It does nothing if the ring is not registered.
func (r *Ring) Unregister() error {
	if r.always == 0 {
		return nil
	}
	update := ringUpdate{offset: uint32(r.handle)}
	r.handle, r.always = r.fd, 0
	return abi.IOURingRegister(r.fd, unregisterRingFDs, unsafe.Pointer(&update), 1)
}

// Next returns a cleared submission entry to fill in, or nil if the queue is full
// until the next Submit.
func (r *Ring) Next() *SQE {
	if r.Queued() == uint32(len(r.sq.entries)) {
		return nil
	}
	e := r.sq.at(r.sq.next)
	r.sq.next++
	e.Reset()
	return e
}

// Queued returns the number of entries that the kernel has not taken yet.
func (r *Ring) Queued() uint32 { return r.sq.next - atomic.LoadUint32(r.sq.head) }

// Unused reports whether the kernel has not taken any entry yet.
func (r *Ring) Unused() bool { return r.Queued() == r.sq.next }

// Submit hands the queued entries to the kernel without waiting for anything, and
// lets it do the work that it has put off.
func (r *Ring) Submit() error {
	return r.call(0, EnterGetevents, nil, 0)
}

// Collect lets the kernel do the work that it has put off, and hands it no entries.
func (r *Ring) Collect() error {
	_, err := sys.IoUringEnter(r.handle, 0, 0, EnterGetevents|r.always, nil, 0)
	return err
}

// Wait hands the queued entries to the kernel and sleeps until there is a
// completion or, if the timeout is not negative, until it is over (ETIME). A
// timeout needs FeatExtArg.
func (r *Ring) Wait(timeout time.Duration) error {
	if timeout < 0 && r.batch == 0 {
		return r.call(1, r.enter, nil, 0)
	}
	if timeout < 0 { // without one the kernel ends the wait for a batch when its time is over, for nothing too
		timeout = math.MaxInt64 / 2 // the kernel adds the time that it is
	}
	r.timespec = sys.NewTimespec64(timeout)
	r.arg.timeout = unsafe.Pointer(&r.timespec)
	return r.call(max(r.batch, 1), r.enter|EnterExtArg, unsafe.Pointer(&r.arg), getEventsArgSize)
}

// Batch makes each Wait go on until there are n completions, but for at most d if there is one. It
// needs FeatMinWait. d is 1 µs or more, n no more than the completion queue has entries.
func (r *Ring) Batch(n uint32, d time.Duration) {
	r.batch, r.arg.minWait = n, uint32(min(d/time.Microsecond, 1<<32-1))
}

func (r *Ring) call(minComplete, flags uint32, arg unsafe.Pointer, argSize uintptr) error {
	// The kernel reads entries up to the tail: the store publishes what was filled in.
	if atomic.LoadUint32(r.sq.tail) != r.sq.next {
		atomic.StoreUint32(r.sq.tail, r.sq.next)
	}
	_, err := sys.IoUringEnter(r.handle, r.Queued(), minComplete, flags|r.always, arg, argSize)
	return err
}

// Peek returns the oldest completion, nil if there is none. It stays valid until Seen.
func (r *Ring) Peek() *CQE {
	head := atomic.LoadUint32(r.cq.head)
	if head == atomic.LoadUint32(r.cq.tail) {
		return nil
	}
	return r.cq.at(head)
}

// Seen gives the entry of the last Peek back to the kernel.
func (r *Ring) Seen() { r.Advance(1) }

// Completed returns how many completions there are. Completion returns number i of them, which
// stays valid until Advance.
func (r *Ring) Completed() uint32 {
	return atomic.LoadUint32(r.cq.tail) - atomic.LoadUint32(r.cq.head)
}

// Completion is described at Completed.
func (r *Ring) Completion(i uint32) *CQE { return r.cq.at(atomic.LoadUint32(r.cq.head) + i) }

// Advance gives the first n completions back to the kernel.
func (r *Ring) Advance(n uint32) { atomic.StoreUint32(r.cq.head, atomic.LoadUint32(r.cq.head)+n) }

// Room returns the number of completions that the queue has room for, none while
// the kernel holds back earlier ones.
func (r *Ring) Room() uint32 {
	if r.Overflown() {
		return 0
	}
	return uint32(len(r.cq.entries)) - r.Completed()
}

// Overflown reports whether the kernel holds back completions that the full queue had
// no room for.
func (r *Ring) Overflown() bool { return atomic.LoadUint32(r.sq.flags)&SQCQOverflow != 0 }

// WorkPending reports whether the kernel has deferred work for the next enter.
func (r *Ring) WorkPending() bool { return atomic.LoadUint32(r.sq.flags)&SQTaskrun != 0 }

// Pending reports whether the kernel holds back completions until the next enter:
// deferred work, or completions that the full queue had no room for.
func (r *Ring) Pending() bool { return r.PendingBut(0) }

// PendingBut is Pending that ignores a flag: SQTaskrun, or 0 for none.
func (r *Ring) PendingBut(ignored uint32) bool {
	return atomic.LoadUint32(r.sq.flags)&^ignored&(SQTaskrun|SQCQOverflow) != 0
}

// Close releases the ring. The kernel cancels what is still under way, and may
// finish that after Close has returned.
func (r *Ring) Close() error {
	err := unix.Close(r.fd)
	r.fd, r.handle, r.always = -1, -1, 0
	r.forgetQueues()
	for _, b := range r.regions {
		if e := unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(len(b))); e != nil && err == nil {
			err = fmt.Errorf("munmap: %w", e)
		}
	}
	r.regions = nil
	return err
}

// forgetQueues leaves two empty queues for a caller that still looks.
func (r *Ring) forgetQueues() {
	var zero [5]uint32
	r.sq = submissionQueue{head: &zero[0], tail: &zero[1], flags: &zero[2]}
	r.cq = completionQueue{head: &zero[3], tail: &zero[4]}
}
