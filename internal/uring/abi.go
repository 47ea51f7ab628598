package uring

import (
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
)

// The constants that package github.com/iceber/iouring-go/syscall, whose tables
// end at Linux 5.19, lacks or names otherwise. Values are those of the kernel's
// include/uapi/linux/io_uring.h; the comment gives the first kernel.
const (
	SetupSingleIssuer uint32 = 1 << 12 // 6.0: only one thread submits
	SetupDeferTaskrun uint32 = 1 << 13 // 6.1: completions are made when that thread waits, not when it runs

	FeatExtArg   uint32 = 1 << 8  // 5.11: a wait takes a timeout
	FeatMinWait  uint32 = 1 << 15 // 6.12: a wait can stay for more completions, for a while
	FeatNoIowait uint32 = 1 << 17 // 6.15: a wait can say that it is not waiting for a disk

	EnterGetevents  uint32 = abi.IORING_ENTER_FLAGS_GETEVENTS
	EnterExtArg     uint32 = 1 << 3 // 5.11
	EnterRegistered uint32 = 1 << 4 // 5.18: the descriptor is an index of the thread's registered rings
	EnterNoIowait   uint32 = 1 << 7 // 6.15

	registerBuffers2      uint8  = 15 // 5.13; with registerSparse 5.19
	registerBuffersUpdate uint8  = 16 // 5.13
	registerSparse        uint32 = 1 << 0

	registerRingFDs   uint8 = 20 // 5.18
	unregisterRingFDs uint8 = 21 // 5.18

	SQTaskrun    uint32 = 1 << 2 // 5.19: deferred work waits for an enter with EnterGetevents
	SQCQOverflow uint32 = abi.IORING_SQ_CQ_OVERFLOW

	CQEMore uint32 = 1 << 1 // 5.13: the request that made this completion goes on

	PollAddMulti uint32 = 1 << 0 // 5.13: in sqe.len: a poll that is not over with its first event
	CancelAll    uint32 = 1 << 0 // 5.19: all requests with this user data, not the first one
)

// SQE and CQE are the entries of the two queues.
type (
	SQE = abi.SubmissionQueueEntry64
	CQE = abi.CompletionQueueEvent16
)

// getEventsArg is struct io_uring_getevents_arg. The pointer is one for the
// garbage collector too, and padded to the kernel's 64 bits.
type getEventsArg struct {
	sigmask   uint64
	sigmaskSz uint32
	minWait   uint32 // 6.12, microseconds; 0: not used
	timeout   unsafe.Pointer
	_         [8 - unsafe.Sizeof(uintptr(0))]byte // if empty, Go adds bytes after it
}

// ringUpdate is struct io_uring_rsrc_update.
type ringUpdate struct {
	offset uint32 // the index, or anyIndex for the kernel to choose and return
	_      uint32
	data   uint64 // the ring's descriptor
}

const anyIndex = ^uint32(0)

// getEventsArgSize is the kernel's size of that struct.
const getEventsArgSize = 24

// bufferTable is struct io_uring_rsrc_register, and bufferUpdate struct io_uring_rsrc_update2.
type bufferTable struct {
	count, flags uint32
	_            uint64
	data, tags   uint64
}

type bufferUpdate struct {
	offset, _  uint32
	data, tags uint64
	count, _   uint32
}
