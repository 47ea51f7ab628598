//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/file"
)

// access is one request of a file, and what is known about it.
type access struct {
	disk     *disk
	file     *file.File
	request  file.Request
	what     kind
	span     *span
	whole    []byte // the buffer and what is around it
	buf      []byte // in whole
	padded   bool
	underWay bool
	early    bool // an early end was asked for
}

// kind is what a request does.
type kind int

const (
	reading kind = iota
	writing
	zeroing
	discarding
	measuring // an extent
	syncing
	syncingData
)

var methods = [...]func(*file.File, *file.Request) error{
	reading: (*file.File).Read, writing: (*file.File).Write, zeroing: (*file.File).Zero,
	discarding: (*file.File).Discard, measuring: (*file.File).Extent,
	syncing: (*file.File).Sync, syncingData: (*file.File).SyncData,
}

var kindNames = [...]string{"read", "write", "zero", "discard", "extent", "sync", "sync of data"}

func (k kind) moves() bool   { return k == reading || k == writing }
func (k kind) changes() bool { return k == writing || k == zeroing || k == discarding }
func (k kind) syncs() bool   { return k >= syncing }

func someKind(r *rand.Rand) kind {
	switch n := r.IntN(200); {
	case n < 90:
		return reading
	case n < 160:
		return writing
	case n < 173:
		return zeroing
	case n < 186:
		return discarding
	case n < 198:
		return measuring
	case n < 199:
		return syncing
	}
	return syncingData
}

// begin begins a request, unless another one is in its way.
func (d *disk) begin() {
	if a := d.prepare(d.random, someKind(d.random)); a != nil {
		d.debt.sent.Add(1) // how long it takes is up to the disk
		d.submit(a)
		d.provoke(a)
	}
}

// single reads something. The debt was published.
func (d *disk) single() {
	d.submit(d.prepare(d.random, reading))
}

// prepare makes a request that has its bytes, nil if they are taken.
func (d *disk) prepare(r *rand.Rand, what kind) *access {
	offset, length := d.place(r, what)
	s := d.hold(offset, length, what.changes())
	if s == nil {
		return nil
	}
	a := d.take()
	a.disk, a.file, a.what, a.span, a.padded = d, d.file, what, s, d.padded
	a.early = false
	d.reused(a)
	a.request.Offset = offset
	if what.moves() {
		a.buffer(r, int(length))
	} else {
		a.request.Length = length
	}
	return a
}

func (g *disks) take() *access {
	if len(g.free) == 0 {
		a := new(access)
		a.request.Done = func(q *file.Request) { a.done(q) }
		return a
	}
	i := g.random.IntN(len(g.free))
	a := g.free[i]
	g.free = slices.Delete(g.free, i, i+1)
	return a
}

// reused returns the request of a without what its maker has set; of nil one that fails the run.
func (d *disk) reused(a *access) *file.Request {
	if a == nil {
		return &file.Request{Buf: make([]byte, 16), Done: func(*file.Request) {
			d.rep.fail("%s: %s: Done of a request that was refused", d.name, d.debt.name)
		}}
	}
	a.request.Buf, a.request.Buffers, a.request.Offset, a.request.Length = nil, nil, 0, 0
	a.whole, a.buf = nil, nil
	return &a.request
}

// place chooses bytes: of all sizes, often close to those of others, now and then past the end.
func (d *disk) place(r *rand.Rand, what kind) (offset, length int64) {
	if what.syncs() {
		return 0, 0
	}
	switch r.IntN(8) {
	case 0:
		length = 1 + r.Int64N(16)
	case 1:
		length = 512 * (1 + r.Int64N(8))
	case 2:
		length = 4096 * (1 + r.Int64N(8))
	case 3:
		length = 1 + r.Int64N(128<<10)
	default:
		length = 1 + r.Int64N(8192)
	}
	switch r.IntN(5) {
	case 0:
		offset = d.size() - r.Int64N(2*length)
	case 1:
		offset = r.Int64N(64 << 10)
	case 2:
		if n := len(d.held); n > 0 {
			offset = d.held[r.IntN(n)].to
			break
		}
		fallthrough
	default:
		offset = r.Int64N(d.size() + 4096)
	}
	if most := d.cfg.fileSize() * 3 / 2; offset < 0 || offset > most-length {
		offset = r.Int64N(min(d.size(), most)) // what is rounded up to a block has grown the file past most
		length = min(length, most-offset)
	}
	if align := int64(d.align()); what == writing || align > 1 && r.IntN(2) == 0 {
		offset -= offset % align
		length = max(length-length%align, align)
	}
	return offset, length
}

func (d *disk) align() int {
	_, offsets, _ := d.file.Direct()
	return offsets
}

// margin is around a buffer, and aligned as any O_DIRECT asks for.
const margin = 4096

// guard is what the margin is filled with next to the buffer: a request leaves it alone.
var guard = bytes.Repeat([]byte{0xc5}, 16)

// buffer gives a memory, in one piece or many.
func (a *access) buffer(r *rand.Rand, n int) {
	a.whole = a.file.Buffer(n + 2*margin)
	at := margin
	if r.IntN(2) == 0 {
		at -= 1 + r.IntN(margin/2)
	}
	a.buf = a.whole[at : at+n]
	copy(a.whole[at-len(guard):], guard)
	copy(a.whole[at+n:], guard)
	if a.what == writing {
		p := pattern(r.Uint64())
		p.fill(a.buf)
	} else {
		for i := range a.buf {
			a.buf[i] = 0xaa
		}
	}
	if r.IntN(3) > 0 {
		a.request.Buf = a.buf
		return
	}
	a.request.Buffers = [][]byte{}
	blocks := r.IntN(2) == 0 // what O_DIRECT takes as it is
	for rest := a.buf; len(rest) > 0; {
		piece := r.IntN(min(len(rest), 16<<10) + 1) // 0 now and then
		if blocks && piece < len(rest) {
			piece -= piece % 512
		}
		if len(a.request.Buffers) > 100 {
			piece = len(rest)
		}
		a.request.Buffers = append(a.request.Buffers, rest[:piece])
		rest = rest[piece:]
	}
}

func (a *access) intact() bool {
	at := cap(a.whole) - cap(a.buf)
	return bytes.Equal(a.whole[at-len(guard):at], guard) && bytes.Equal(a.whole[at+len(a.buf):][:len(guard)], guard)
}

// submit hands over a request that was prepared.
func (d *disk) submit(a *access) {
	a.underWay = true
	d.under = append(d.under, a)
	d.busy++
	if err := methods[a.what](a.file, &a.request); err != nil {
		d.must(err)
		return
	}
	if !a.underWay {
		d.rep.fail("%s: %s: Done was called in the call that submits", d.name, d.debt.name)
	}
}

// provoke does to requests under way what may come too early, too late or not at all.
func (d *disk) provoke(a *access) {
	switch d.random.IntN(32) {
	case 0:
		d.cancel(a)
	case 1:
		d.cancel(d.under[d.random.IntN(len(d.under))])
	case 2:
		if err := d.file.Read(&a.request); !errors.Is(err, unix.EBUSY) {
			d.rep.fail("%s: %s: a request that is under way is taken again: %v", d.name, d.debt.name, err)
		}
	}
}

func (d *disk) cancel(a *access) {
	a.early = true
	d.rep.counts.cancels.Add(1)
	d.must(a.request.Cancel())
}

func (a *access) done(r *file.Request) {
	d := a.disk
	d.called(d.debt.name)
	if !a.underWay {
		d.rep.fail("%s: %s: Done, but nothing is under way", d.name, d.debt.name)
		return
	}
	defer d.debt.seen.Add(1) // after the next one was published: the account is not even in between
	a.underWay = false
	d.under = slices.DeleteFunc(d.under, func(b *access) bool { return a == b })
	if d.cfg.fault == faultWrongByte && a.what == reading && r.N > 0 && d.debt.seen.Load() > 20 {
		a.buf[r.N-1]++
	}
	a.judge(r.N, r.Hole, r.Err)
	d.finish(a)
	d.free = append(d.free, a)
	d.goOn()
	d.pollInside()
}

// finish lets go of the bytes that a has had.
func (d *disk) finish(a *access) {
	d.release(a.span)
	d.busy--
	d.rep.counts.files.Add(1)
}

// judge compares what a request has returned, and notes what it has written.
func (a *access) judge(n int64, hole bool, err error) {
	d, offset, length := a.disk, a.request.Offset, a.request.Length
	wrong := func(what string) {
		d.rep.fail("%s: %s: %s of %d bytes at %d of %d: %s: %d, %v", d.name, d.debt.name, kindNames[a.what], max(length, int64(len(a.buf))), offset, d.size(), what, n, err)
	}
	cancelled := errors.Is(err, unix.ECANCELED)
	if cancelled && !a.early && a.file == d.file && !d.closing {
		wrong("no one has asked for an early end")
	}
	if a.what.moves() && !a.intact() {
		wrong("it has changed memory that was not its own")
	}
	switch a.what {
	case reading:
		a.judgeRead(n, err, wrong)
	case writing:
		d.written(offset, a.buf[:n])
		d.rep.counts.fileBytes.Add(uint64(n))
		if (err != nil || n != int64(len(a.buf))) && !cancelled {
			wrong("not all was written")
		}
	case zeroing, discarding:
		switch {
		case err == nil && a.what == zeroing:
			d.zeroed(offset, length)
		case err == nil:
			clear(d.at(offset, length))
		case !cancelled && !(a.what == discarding && errors.Is(err, errors.ErrUnsupported)):
			wrong("it has failed")
		}
	case measuring:
		a.judgeExtent(n, hole, err, wrong)
	default:
		if err != nil && !cancelled {
			wrong("it has failed")
		}
	}
}

func (a *access) judgeRead(n int64, err error, wrong func(string)) {
	want := a.disk.at(a.request.Offset, int64(len(a.buf)))
	if a.padded {
		want = append(slices.Clone(want), make([]byte, len(a.buf)-len(want))...)
	}
	a.disk.rep.counts.fileBytes.Add(uint64(n))
	switch {
	case n < 0 || n > int64(len(want)):
		wrong("more than there is")
	case !bytes.Equal(a.buf[:n], want[:n]):
		wrong("what is read is not what was written")
	case err == nil && n == int64(len(a.buf)):
	case err == io.EOF && n == int64(len(want)) && len(want) < len(a.buf):
	case !errors.Is(err, unix.ECANCELED):
		wrong("not all was read")
	}
}

func (a *access) judgeExtent(n int64, hole bool, err error, wrong func(string)) {
	there := a.disk.at(a.request.Offset, a.request.Length)
	switch {
	case errors.Is(err, unix.ECANCELED):
	case err == io.EOF && n == 0 && len(there) == 0:
	case err != nil:
		wrong("it has failed")
	case n <= 0 || n > int64(len(there)):
		wrong("it is no extent")
	case hole && len(bytes.Trim(there[:n], "\x00")) > 0:
		wrong("there is data in a hole")
	}
}

// isClosed is for a File that was closed before the request came.
func isClosed(err error) bool { return errors.Is(err, os.ErrClosed) }
