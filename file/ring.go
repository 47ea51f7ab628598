//go:build linux

package file

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// ringDepth is how many requests of all Files of a loop its io_uring has at a time. Their
// completions fill at most half of its queue: a full one would end the polls of the loop's
// descriptors, which would then be late by as much as the disk is.
const ringDepth = 128

// ring is the share of the loop's io_uring that files have. It belongs to the home goroutine.
type ring struct {
	busy    int
	waiting requests // for room, in order
}

// enter reports whether there is room for r, which waits otherwise.
func (g *ring) enter(r *Request) bool {
	if g.busy >= ringDepth {
		r.waits = true
		g.waiting.push(r)
		return false
	}
	g.busy++
	return true
}

// leave makes room, for the one that waits longest.
func (g *ring) leave() {
	g.busy--
	for g.busy < ringDepth && !g.waiting.empty() {
		r := g.waiting.pop()
		r.waits = false
		if r.cancelled {
			r.file.answer(r, -int32(unix.ECANCELED))
			continue
		}
		g.busy++
		r.file.submitToRing(r)
	}
}

// names returns those that wait.
func (g *ring) names() (names []string) {
	for r := g.waiting.first; r != nil; r = r.next {
		names = append(names, r.file.titles[r.op])
	}
	return names
}

// ring starts an operation of the loop's io_uring, now or when there is room.
func (f *File) ring(r *Request) {
	if f.all.ring.enter(r) {
		f.submitToRing(r)
	}
}

func (f *File) submitToRing(r *Request) {
	q := &r.native
	q.Done, q.Data = answered, r
	q.FD, q.FixedFile, q.Name = f.fd, false, f.titles[r.op]
	if f.registered >= 0 {
		q.FD, q.FixedFile = f.registered, true
	}
	q.Flags, q.FixedBuffer = 0, false
	switch r.op {
	case opRead, opWrite:
		f.prepareMove(r, q)
	case opSync:
		q.Code = backend.OpFsync
	case opSyncData:
		q.Code = backend.OpFdatasync
	case opZero, opDiscard:
		q.Code, q.Flags, q.Offset, q.Length = backend.OpFallocate, modes[r.op], r.Offset, r.Length
	}
	if err := f.loop.Submit(q); err != nil && errors.Is(err, errors.ErrUnsupported) {
		r.way = byThread
		f.all.ring.leave()
		f.thread(r)
	}
}

// prepareMove makes q the read or write of what is left.
func (f *File) prepareMove(r *Request, q *aio.Request) {
	q.Code, q.Offset = backend.OpRead+backend.OpCode(r.op), r.position
	if len(r.vectors) != 1 {
		q.Code += backend.OpReadv - backend.OpRead
		q.Buf, q.Vectors = nil, r.vectors
		return
	}
	v := &r.vectors[0]
	q.Buf, q.Vectors = unsafe.Slice(v.Base, v.Len), nil
	if len(f.all.memory) > 0 {
		q.Buffer, q.FixedBuffer = f.all.registered(v)
	}
}

// modes are those of fallocate(2). A hole without KEEP_SIZE would be refused, and keeps the end of
// the file where it is; zeros move it, as written ones would.
var modes = [...]uint32{
	opZero:    unix.FALLOC_FL_ZERO_RANGE,
	opDiscard: unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
}
