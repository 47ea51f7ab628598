package iouring

import (
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// opcodes are io_uring's names of the codes. OpRaw has its own.
var opcodes = [...]uint8{
	backend.OpNop:       abi.IORING_OP_NOP,
	backend.OpRead:      abi.IORING_OP_READ,
	backend.OpWrite:     abi.IORING_OP_WRITE,
	backend.OpReadv:     abi.IORING_OP_READV,
	backend.OpWritev:    abi.IORING_OP_WRITEV,
	backend.OpFsync:     abi.IORING_OP_FSYNC,
	backend.OpFdatasync: abi.IORING_OP_FSYNC,
	backend.OpFallocate: abi.IORING_OP_FALLOCATE,
	backend.OpSplice:    abi.IORING_OP_SPLICE,
	backend.OpAccept:    abi.IORING_OP_ACCEPT,
	backend.OpConnect:   abi.IORING_OP_CONNECT,
	backend.OpRecv:      abi.IORING_OP_RECV,
	backend.OpSend:      abi.IORING_OP_SEND,
	backend.OpPoll:      abi.IORING_OP_POLL_ADD,
	backend.OpTimeout:   abi.IORING_OP_TIMEOUT,
}

// prepareRequest fills in the entry, but for the user data.
func prepareRequest(e *uring.SQE, r *backend.Request) {
	fd := int32(r.FD)
	switch r.Code {
	case backend.OpRead, backend.OpWrite:
		e.PrepOperation(opcodes[r.Code], fd, address(unsafe.SliceData(r.Buf)), length(int64(len(r.Buf))), uint64(r.Offset))
		e.SetOpFlags(r.Flags)
		if r.FixedBuffer {
			prepareFixed(e, r)
		}
	case backend.OpReadv, backend.OpWritev:
		e.PrepOperation(opcodes[r.Code], fd, address(unsafe.SliceData(r.Vectors)), uint32(len(r.Vectors)), uint64(r.Offset))
		e.SetOpFlags(r.Flags)
	case backend.OpFsync:
		e.PrepOperation(opcodes[r.Code], fd, 0, 0, 0)
	case backend.OpFdatasync:
		e.PrepOperation(opcodes[r.Code], fd, 0, 0, 0)
		e.SetOpFlags(abi.IORING_FSYNC_DATASYNC)
	case backend.OpFallocate: // its length and mode are where others have an address and a length
		e.PrepOperation(opcodes[r.Code], fd, uint64(r.Length), r.Flags, uint64(r.Offset))
	case backend.OpSplice:
		e.PrepOperation(opcodes[r.Code], fd, uint64(r.SourceOffset), length(r.Length), uint64(r.Offset))
		e.SetOpFlags(r.Flags)
		e.SetSpliceFdIn(int32(r.Source))
	case backend.OpAccept:
		e.PrepOperation(opcodes[r.Code], fd, 0, 0, 0)
		e.SetOpFlags(r.Flags)
	case backend.OpConnect: // the length of the address is where others have an offset
		e.PrepOperation(opcodes[r.Code], fd, address(unsafe.SliceData(r.Buf)), 0, uint64(len(r.Buf)))
	case backend.OpRecv, backend.OpSend:
		e.PrepOperation(opcodes[r.Code], fd, address(unsafe.SliceData(r.Buf)), length(int64(len(r.Buf))), 0)
		e.SetOpFlags(r.Flags)
	case backend.OpPoll:
		e.PrepOperation(opcodes[r.Code], fd, 0, 0, 0)
		e.SetOpFlags(uring.PollEvents(r.Flags))
	case backend.OpTimeout:
		prepareTimeout(e, r)
	case backend.OpRaw:
		*(*[64]byte)(unsafe.Pointer(e)) = *r.Raw
	default: // OpNop
		e.PrepOperation(opcodes[r.Code], -1, 0, 0, 0)
	}
	if r.FixedFile {
		e.SetFlags(abi.IOSQE_FLAGS_FIXED_FILE)
	}
}

func prepareTimeout(e *uring.SQE, r *backend.Request) {
	timespec := (*sys.Timespec64)(unsafe.Pointer(&r.Scratch))
	*timespec = sys.Timespec64{Sec: r.Length / 1e9, Nsec: r.Length % 1e9}
	e.PrepOperation(opcodes[r.Code], -1, address(timespec), 1, 0)
}

// prepareFixed makes it a request with a registered buffer.
func prepareFixed(e *uring.SQE, r *backend.Request) {
	opcode := abi.IORING_OP_READ_FIXED
	if r.Code == backend.OpWrite {
		opcode = abi.IORING_OP_WRITE_FIXED
	}
	e.PrepOperation(opcode, int32(r.FD), address(unsafe.SliceData(r.Buf)), length(int64(len(r.Buf))), uint64(r.Offset))
	e.SetBufIndex(uint16(r.Buffer))
}

func prepareCancel(e *uring.SQE, userData uint64) {
	e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, userData, 0, 0)
	e.SetUserData(userDataIgnored)
}

func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

// length is what fits: like read(2), an operation moves less than asked for then.
func length(n int64) uint32 { return uint32(min(n, 1<<31-1)) }
