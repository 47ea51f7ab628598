//go:build linux

package main

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// natives are operations that the backend runs, of the three only io_uring.
func natives(s *station) error {
	if s.cfg.backend != aio.IOUring {
		return nil
	}
	fd, err := temporary()
	if err != nil {
		return err
	}
	for i := range 8 {
		b := &block{station: s, debt: s.newDebt("native operations on block %d", i), fd: fd}
		b.offset, b.pattern = int64(i)*blockSize, pattern(s.seeds.Uint64())
		s.resumers = append(s.resumers, b.write)
	}
	s.flood()
	s.closers = append(s.closers, func() { s.closeFDs(fd) })
	return nil
}

const blockSize = 4096

// block is a place in a file that is written, read and compared, again and again.
type block struct {
	*station
	debt    *debt
	fd      int
	offset  int64
	pattern pattern
}

func (b *block) write() {
	buf := make([]byte, blockSize)
	expected := b.pattern
	b.pattern.fill(buf)
	b.submit(aio.Request{Code: backend.OpWrite, FD: b.fd, Buf: buf, Offset: b.offset}, blockSize, func() {
		b.sync(expected)
	})
}

func (b *block) sync(expected pattern) {
	if b.random.IntN(16) != 0 {
		b.read(expected)
		return
	}
	b.submit(aio.Request{Code: backend.OpFsync, FD: b.fd}, 0, func() { b.read(expected) })
}

func (b *block) read(expected pattern) {
	buf := bytes.Repeat([]byte{0xaa}, blockSize)
	b.submit(aio.Request{Code: backend.OpRead, FD: b.fd, Buf: buf, Offset: b.offset}, blockSize, func() {
		if !expected.check(buf) {
			b.rep.fail("%s: %s: what is read is not what was written", b.name, b.debt.name)
		}
		if !b.paused.Load() {
			b.write()
		}
	})
}

// submit goes on with then when the operation has completed with want.
func (b *block) submit(r aio.Request, want int, then func()) {
	b.debt.publish()
	r.Done = func(r *aio.Request) {
		b.called(b.debt.name)
		defer b.debt.pay(1) // after the next one was published: the account is not even in between
		b.rep.counts.natives.Add(1)
		if r.Result != int32(want) {
			b.rep.fail("%s: %s: %d bytes, %v", b.name, b.debt.name, r.Result, r.Err())
			return
		}
		then()
		b.pollInside()
	}
	b.rep.must(b.debt.name, b.loop.Submit(&r))
}

// flood submits more operations than the completion queue has entries.
func (s *station) flood() {
	d := s.newDebt("native operations in a flood")
	submit := func() {
		d.publish()
		s.rep.must(d.name, s.loop.Submit(&aio.Request{Done: func(*aio.Request) {
			s.called(d.name)
			d.pay(1)
			s.rep.counts.natives.Add(1)
		}}))
	}
	s.producer(func(r *rand.Rand) {
		s.do(d.name, func() {
			for range 1 << r.IntN(12) {
				submit()
			}
			s.rep.counts.floods.Add(1)
		})
		time.Sleep(10 * time.Millisecond)
	})
}
