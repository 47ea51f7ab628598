package backend

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

// Submitter is a Poller that runs requests, not only reports readiness. All its methods are
// called from the home goroutine, or from any as long as there is none.
type Submitter interface {
	// Supports reports whether the kernel at hand can run requests with this code.
	Supports(code OpCode) bool
	// Submit accepts r, which starts with the next Wait at the latest, in the order of the
	// Submit calls. It takes any number: what the kernel has no room for waits here. Until the
	// completion r and what it points to belong to the Poller, which keeps them in memory. It
	// fails with errors.ErrUnsupported for a code that it does not support, and with EINVAL
	// for one that does not exist.
	Submit(r *Request) error
	// Cancel asks for an early end of r. It completes once all the same, with -ECANCELED or,
	// if that came first, with a result. For what is not under way it does nothing.
	Cancel(r *Request) error
	// Completions adds the requests that have completed, with their Result set, to done. Only
	// what the caller has cancelled completes with -ECANCELED. A Wait also ends, perhaps with 0
	// events, when there is a completion.
	Completions(done *Requests)
	// Each calls f for each request that is under way.
	Each(f func(r *Request))
}

// Registrar is a Submitter that has files looked up once instead of for each request. Its methods
// are called like those.
type Registrar interface {
	// RegisterFile returns what a Request with FixedFile has as its FD. fd stays open until
	// UnregisterFile: a Poller may have to register it again. It fails with ENFILE if there is no
	// place left, and with errors.ErrUnsupported.
	RegisterFile(fd int) (index int, err error)
	// UnregisterFile ends that. No Request that uses it is under way.
	UnregisterFile(index int) error
	// RegisterBuffer returns what an OpRead or OpWrite with FixedBuffer has as its Buffer: its Buf
	// lies within buf then. The pages of buf stay in memory, and the Poller keeps buf, until
	// UnregisterBuffer. It fails with ENOBUFS if there is no place left, ENOMEM if so much memory
	// must not be locked, and with errors.ErrUnsupported.
	RegisterBuffer(buf []byte) (index int, err error)
	// UnregisterBuffer ends that. No Request that uses it is under way.
	UnregisterBuffer(index int) error
}

// Request is a native operation, such as a read. Its maker owns the struct, which can be used
// again after the completion. Between Submit and then, it must not be changed or copied. The zero
// Code does nothing and completes with 0.
//
// The fields that count, with Code and Done, are named at the code. Others are 0.
type Request struct {
	Code        OpCode
	FixedFile   bool // FD is what Registrar.RegisterFile has returned
	FixedBuffer bool // Buf lies within what RegisterBuffer has called Buffer
	FD          int
	Flags       uint32 // see the code
	// Buf is what is filled or sent. It and Vectors may point to any Go memory.
	Buf     []byte
	Vectors []unix.Iovec // like those of preadv(2): up to 1024
	Offset  int64        // where in the file, in bytes; -1: the file's own position
	Length  int64        // see the code

	Source       int   // OpSplice: the descriptor that is read from
	SourceOffset int64 // where in it; -1 for its own position

	Raw *[64]byte // OpRaw: the submission entry

	Buffer int // see FixedBuffer

	// Done is called when the request has completed: on the home goroutine, exactly once, and
	// never inside the call that submitted it. It may submit r again.
	Done func(r *Request)
	Data any    // the maker's
	Name string // what String returns, if it is not empty

	// Result is what the system call would have returned: a count or -errno.
	Result int32
	// More is what else a completion says, the flags of its io_uring entry.
	More uint32

	next   *Request // in a Requests
	listed bool
	owner  *Owner

	// Place and Scratch are the Poller's. The kernel may be given the address of Scratch.
	Place   uint32
	Scratch [2]int64
}

// OpCode says what a Request does.
type OpCode uint8

// The codes, named after the system calls that they stand for. Each says since when Linux has it.
const (
	OpNop       OpCode = iota // 5.1
	OpRead                    // pread(2), read(2) at Offset -1: FD, Buf, Offset; Flags as in preadv2(2); 5.6
	OpWrite                   // pwrite(2), write(2) at Offset -1: the same; 5.6
	OpReadv                   // preadv2(2): FD, Vectors, Offset, Flags; 5.1
	OpWritev                  // pwritev2(2): the same; 5.1
	OpFsync                   // fsync(2): FD; 5.1
	OpFdatasync               // fdatasync(2): FD; 5.1
	OpFallocate               // fallocate(2): FD, Offset, Length; Flags is the mode; 5.6
	OpSplice                  // splice(2): Source, SourceOffset, FD and Offset of the destination, Length, Flags; 5.7
	OpAccept                  // accept4(2): FD; Flags; the result is a descriptor; 5.5
	OpConnect                 // connect(2): FD; Buf is the address, see SocketAddress; 5.5
	OpRecv                    // recv(2): FD, Buf, Flags; 5.6
	OpSend                    // send(2): FD, Buf, Flags; 5.6
	OpPoll                    // poll(2) of FD: Flags are the events, the result those that have come; 5.1
	OpTimeout                 // completes with 0 after Length nanoseconds on the Monotonic clock; 5.4
	OpRaw                     // what Raw says, but for its user data: one operation with one completion, without links

	opCodes // how many there are
)

var opNames = [...]string{
	OpNop: "nop", OpRead: "read", OpWrite: "write", OpReadv: "readv", OpWritev: "writev",
	OpFsync: "fsync", OpFdatasync: "fdatasync", OpFallocate: "fallocate", OpSplice: "splice",
	OpAccept: "accept", OpConnect: "connect", OpRecv: "recv", OpSend: "send", OpPoll: "poll",
	OpTimeout: "timeout", OpRaw: "raw",
}

// String returns the operation's name, "read" for example.
func (c OpCode) String() string {
	if !c.Valid() {
		return "OpCode(" + strconv.Itoa(int(c)) + ")"
	}
	return opNames[c]
}

// Valid reports whether there is such a code.
func (c OpCode) Valid() bool { return c < opCodes }

// Err returns the error that Result stands for, a unix.Errno, or nil.
func (r *Request) Err() error {
	if r.Result < 0 {
		return unix.Errno(-r.Result)
	}
	return nil
}

// String says what the request does, "read of fd 5" for example.
func (r *Request) String() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Code == OpNop || r.Code == OpTimeout || r.Code == OpRaw:
		return r.Code.String()
	case r.FixedFile:
		return r.Code.String() + " of registered file " + strconv.Itoa(r.FD)
	}
	return r.Code.String() + " of fd " + strconv.Itoa(r.FD)
}

// Owner is one of those that requests may belong to, such as a loop. It is told from others by its
// address.
type Owner struct{ _ byte }

// Own makes the request o's until Disown. It returns false if it has an owner already. For
// loops: they find out so whether a request is under way.
func (r *Request) Own(o *Owner) bool {
	if r.owner != nil {
		return false
	}
	r.owner = o
	return true
}

// Owned reports whether the request is o's.
func (r *Request) Owned(o *Owner) bool { return r.owner == o }

// Disown ends Own.
func (r *Request) Disown() { r.owner = nil }

// Requests is a queue of requests, each of which is in one at most. It needs no memory of its own.
// The zero Requests is empty.
type Requests struct{ first, last *Request }

// Empty reports whether there is none.
func (q *Requests) Empty() bool { return q.first == nil }

// First returns the one that Pop would, nil if there is none; Next returns the one behind r.
func (q *Requests) First() *Request { return q.first }

// Next returns the request behind r in its queue, nil if r is the last.
func (r *Request) Next() *Request { return r.next }

// Push adds r at the end. One that is in a queue already stays where it is: Push returns false.
func (q *Requests) Push(r *Request) bool {
	if r.listed {
		return false
	}
	r.listed, r.next = true, nil
	if q.first == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
	return true
}

// Pop takes the first one, nil if there is none.
func (q *Requests) Pop() *Request {
	r := q.first
	if r != nil {
		q.first, r.next, r.listed = r.next, nil, false
	}
	return r
}

// Append moves all of other to the end.
func (q *Requests) Append(other *Requests) {
	switch {
	case other.first == nil:
		return
	case q.first == nil:
		*q = *other
	default:
		q.last.next, q.last = other.first, other.last
	}
	other.first = nil
}

// SocketAddress returns the bytes of an address for OpConnect. It fails with EAFNOSUPPORT for
// others than those of IPv4, IPv6 and UNIX sockets.
func SocketAddress(address unix.Sockaddr) ([]byte, error) {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		b[2], b[3] = byte(a.Port>>8), byte(a.Port)
		copy(b[4:], a.Addr[:])
		return b, nil
	case *unix.SockaddrInet6:
		b := make([]byte, unix.SizeofSockaddrInet6)
		binary.NativeEndian.PutUint16(b, unix.AF_INET6)
		b[2], b[3] = byte(a.Port>>8), byte(a.Port)
		copy(b[8:], a.Addr[:])
		binary.NativeEndian.PutUint32(b[24:], a.ZoneId)
		return b, nil
	case *unix.SockaddrUnix:
		if len(a.Name) >= unix.SizeofSockaddrUnix-2 {
			return nil, unix.ENAMETOOLONG
		}
		b := append(make([]byte, 2, 3+len(a.Name)), a.Name...)
		binary.NativeEndian.PutUint16(b, unix.AF_UNIX)
		if len(a.Name) > 0 && a.Name[0] == '@' { // abstract
			b[2] = 0
			return b, nil
		}
		return append(b, 0), nil
	}
	return nil, unix.EAFNOSUPPORT
}
