//go:build linux

package linuxaio

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Op is what a Request does.
type Op uint8

// The operations.
const (
	Read Op = iota
	Write
	Sync     // fsync(2); ends with EINVAL before Linux 4.18
	DataSync // fdatasync(2); ends with EINVAL before Linux 4.18
	ops      // how many there are
)

var opNames = [...]string{Read: "read", Write: "write", Sync: "fsync", DataSync: "fdatasync"}

func (op Op) String() string { return opNames[op] }

// Request is one operation. The caller owns it, and leaves it and its buffers alone from Submit
// until Done. It can be used again from then on, by Done too.
type Request struct {
	Op      Op
	FD      int
	Buffer  []byte       // of a Read or a Write, unless there are Iovecs
	Iovecs  []unix.Iovec // several buffers
	Flags   int32        // unix.RWF_*, of a Read or a Write
	Offset  int64
	Done    func(r *Request) // called once, on the home goroutine, never inside Submit
	Result  int64            // bytes, or -errno; may be short
	control iocb             // the kernel has its address

	state      state
	slot       uint32   // while inKernel
	prev, next *Request // in the Engine's lists
}

// state is where a Request is.
//
//	                 room in the kernel            ring
//	idle ──▶ waiting ──────────────────▶ inKernel ──────▶ completed ──▶ idle, and Done
//	           │        Cancel, refused                       ▲
//	           └──────────────────────────────────────────────┘
type state uint8

const (
	idle state = iota
	waiting
	inKernel
	completed
)

func (r *Request) String() string { return fmt.Sprintf("%v of fd %d (Linux AIO)", r.Op, r.FD) }

// prepare writes what the kernel reads.
func (r *Request) prepare(data uint64, eventfd int) {
	c := &r.control
	*c = iocb{data: data, fd: uint32(r.descriptor()), flags: flagResfd, resfd: uint32(eventfd)}
	switch r.Op {
	case Sync:
		c.opcode = cmdFsync
	case DataSync:
		c.opcode = cmdFdsync
	case Read:
		r.transfer(cmdPread, cmdPreadv)
	case Write:
		r.transfer(cmdPwrite, cmdPwritev)
	}
}

// transfer is prepare for what has buffers.
func (r *Request) transfer(single, vector uint16) {
	c := &r.control
	c.keyAndFlags, c.offset = uint64(uint32(r.Flags))<<32, r.Offset
	switch len(r.Iovecs) {
	case 0:
		c.opcode, c.buf, c.length = single, address(unsafe.Pointer(unsafe.SliceData(r.Buffer))), uint64(len(r.Buffer))
	case 1:
		c.opcode, c.buf, c.length = single, address(unsafe.Pointer(r.Iovecs[0].Base)), uint64(r.Iovecs[0].Len)
	default:
		c.opcode, c.buf, c.length = vector, address(unsafe.Pointer(unsafe.SliceData(r.Iovecs))), uint64(len(r.Iovecs))
	}
}

// address hides a pointer from the garbage collector: the Request keeps what it leads to.
func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// descriptor returns FD, or -1 if that is no descriptor and its lower half might be.
func (r *Request) descriptor() int32 {
	if int(int32(r.FD)) != r.FD {
		return -1
	}
	return int32(r.FD)
}

// list is a queue of Requests in which each has its place once.
type list struct {
	first, last *Request
}

func (l *list) empty() bool { return l.first == nil }

func (l *list) append(r *Request) {
	r.prev, r.next = l.last, nil
	if l.last == nil {
		l.first = r
	} else {
		l.last.next = r
	}
	l.last = r
}

func (l *list) remove(r *Request) {
	if r.prev == nil {
		l.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		l.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

func (l *list) pop() *Request {
	r := l.first
	if r != nil {
		l.remove(r)
	}
	return r
}
