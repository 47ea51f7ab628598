//go:build linux

package main

import (
	"math/rand/v2"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// The ways in which transfers of files are cut short, in turns from phase to phase.
const (
	shortNever  = iota
	shortBlocks // ends at a block, which O_DIRECT can go on from
	shortBytes  // ends anywhere
)

// shorten has calls that transfer the data of files end early, or be interrupted, until restore.
// io_uring's transfers are the kernel's own.
func shorten(rep *report) (restore func()) {
	mode := rep.phases.Add(1) % 3
	if mode == shortNever {
		return func() {}
	}
	rep.shorts.Store(mode)
	var calls atomic.Uint64
	off := sys.Inject(func(c sys.Call) (f sys.Fault) {
		r := rand.New(rand.NewPCG(calls.Add(1), 1))
		if r.IntN(4) != 0 {
			return f
		}
		switch c {
		case sys.CallPreadv2, sys.CallPwritev2:
			if r.IntN(4) == 0 {
				f.Errno = []unix.Errno{unix.EINTR, unix.EAGAIN}[r.IntN(2)]
				return f
			}
			f.Room = 1 + r.IntN(8192)
		case sys.CallPreadv, sys.CallPwritev:
			if r.IntN(4) == 0 {
				f.Errno = unix.EINTR
				return f
			}
			f.Room = 4096 * (1 + r.IntN(4))
			if mode == shortBytes {
				f.Room = 1 + r.IntN(8192)
			}
		case sys.CallIoSubmit: // the others are taken later
			f.Room = 1 + r.IntN(4)
			if r.IntN(4) == 0 {
				f.Errno = unix.EAGAIN
			}
		case sys.CallFallocate: // zeros are written where there is no shorter way
			if mode == shortBytes {
				f.Errno = unix.EOPNOTSUPP
			}
		}
		return f
	})
	return func() {
		off()
		rep.shorts.Store(shortNever)
	}
}
