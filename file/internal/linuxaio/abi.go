//go:build linux

package linuxaio

import (
	"sync/atomic"
	"unsafe"
)

// iocb is struct iocb of include/uapi/linux/aio_abi.h, 64 bytes on all CPUs.
type iocb struct {
	data uint64 // comes back in the completion
	// keyAndFlags is two 32-bit fields, whose order depends on the CPU's byte order so that as one
	// they are the same: the RWF_* flags above the key, which the kernel sets.
	keyAndFlags uint64
	opcode      uint16
	_           int16 // a priority, which needs a flag
	fd          uint32
	buf         uint64 // of a buffer, or of an array of struct iovec
	length      uint64 // in bytes, or of the array
	offset      int64
	_           uint64
	flags       uint32
	resfd       uint32
}

// The values of iocb.opcode.
const (
	cmdPread   = 0
	cmdPwrite  = 1
	cmdFsync   = 2 // 4.18
	cmdFdsync  = 3 // 4.18
	cmdPreadv  = 7
	cmdPwritev = 8
)

// flagResfd in iocb.flags makes each completion set the eventfd resfd.
const flagResfd = 1 << 0

// event is struct io_event.
type event struct {
	data uint64
	obj  uint64 // the address of the iocb, which nothing here trusts
	res  int64  // bytes, or -errno
	res2 int64
}

// The kernel's sizes.
var (
	_ [64]byte = [unsafe.Sizeof(iocb{})]byte{}
	_ [32]byte = [unsafe.Sizeof(event{})]byte{}
	_ [32]byte = [unsafe.Sizeof(ringHeader{})]byte{}
)

// ringHeader is struct aio_ring, which the events follow.
type ringHeader struct {
	id       uint32
	nr       uint32 // of events
	head     uint32 // the next event to read, which the reader sets
	tail     uint32 // the next event to write, which the kernel sets
	magic    uint32
	compat   uint32
	incompat uint32
	length   uint32 // of this header
}

const ringMagic = 0xa10a10a1

// ring is the kernel's ring of completions, in memory that it shares with the process. Both
// indices are below the number of events. The zero ring has none.
type ring struct {
	head, tail *uint32
	events     []event
}

// viewRing returns the ring at an address that io_setup has returned, or false if it is of another
// kind: then io_getevents reads it.
func viewRing(at unsafe.Pointer) (r ring, ok bool) {
	h := (*ringHeader)(at)
	if h.magic != ringMagic || h.incompat != 0 || h.length != uint32(unsafe.Sizeof(*h)) || h.nr == 0 {
		return ring{}, false
	}
	events := unsafe.Slice((*event)(unsafe.Add(at, unsafe.Sizeof(*h))), h.nr)
	return ring{&h.head, &h.tail, events}, true
}

// readable reports whether there is a ring.
func (r *ring) readable() bool { return len(r.events) > 0 }

// pending reports whether there is a completion.
func (r *ring) pending() bool {
	return r.readable() && atomic.LoadUint32(r.head) != atomic.LoadUint32(r.tail)
}

// take copies completions into events and gives their places back to the kernel.
func (r *ring) take(events []event) (n int) {
	size := uint32(len(r.events))
	head := atomic.LoadUint32(r.head) % size
	tail := atomic.LoadUint32(r.tail) // first: what the kernel wrote before it is complete
	for ; n < len(events) && head != tail; n++ {
		events[n] = r.events[head]
		head = (head + 1) % size
	}
	if n > 0 {
		atomic.StoreUint32(r.head, head)
	}
	return n
}
