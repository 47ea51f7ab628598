//go:build linux

package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

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
	b.submit(backend.Operation{Code: backend.OpWrite, FD: b.fd, Buf: buf, Offset: b.offset}, blockSize, func() {
		b.sync(expected)
	})
}

func (b *block) sync(expected pattern) {
	if b.random.IntN(16) != 0 {
		b.read(expected)
		return
	}
	b.submit(backend.Operation{Code: backend.OpFsync, FD: b.fd}, 0, func() { b.read(expected) })
}

func (b *block) read(expected pattern) {
	buf := bytes.Repeat([]byte{0xaa}, blockSize)
	b.submit(backend.Operation{Code: backend.OpRead, FD: b.fd, Buf: buf, Offset: b.offset}, blockSize, func() {
		if !expected.check(buf) {
			b.rep.fail("%s: %s: what is read is not what was written", b.name, b.debt.name)
		}
		if !b.paused.Load() {
			b.write()
		}
	})
}

// submit goes on with then when the operation has completed with want.
func (b *block) submit(op backend.Operation, want int, then func()) {
	b.debt.publish()
	err := b.loop.Submit(op, func(n int, err error) {
		b.called(b.debt.name)
		defer b.debt.pay(1) // after the next one was published: the account is not even in between
		b.rep.counts.natives.Add(1)
		if err != nil || n != want {
			b.rep.fail("%s: %s: %d bytes, %v", b.name, b.debt.name, n, err)
			return
		}
		then()
		b.pollInside()
	})
	if errors.Is(err, unix.EAGAIN) { // a flood
		b.debt.sent.Add(^uint64(0))
		b.later(func() { b.submit(op, want, then) })
		return
	}
	b.rep.must(b.debt.name, err)
}

// later is for a queue that is full: once the loop has seen what is in it.
func (b *block) later(f func()) {
	b.rep.counts.floods.Add(1)
	b.debt.publish()
	b.once(b.debt.name, func() {
		f()
		b.debt.pay(1)
	})
}

// flood submits more operations than the completion queue has entries.
func (s *station) flood() {
	d := s.newDebt("native operations in a flood")
	submit := func() bool {
		d.publish()
		err := s.loop.Submit(backend.Operation{}, func(int, error) {
			s.called(d.name)
			d.pay(1)
			s.rep.counts.natives.Add(1)
		})
		if err != nil {
			d.sent.Add(^uint64(0))
		}
		if !errors.Is(err, unix.EAGAIN) {
			s.rep.must(d.name, err)
		}
		return err == nil
	}
	s.producer(func(r *rand.Rand) {
		s.do(d.name, func() {
			for n := 1 << r.IntN(12); n > 0 && submit(); n-- {
			}
		})
		time.Sleep(10 * time.Millisecond)
	})
}
