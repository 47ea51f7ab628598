//go:build linux

package file

import (
	"bytes"
	"io"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// blocks submits count reads of blocks of f. done is called behind the check of each.
func (s *setup) blocks(f *File, count int, done func(i int)) {
	s.Helper()
	const block = 4096
	for i := range count {
		at := int64(i * block)
		r := &Request{Buf: f.Buffer(block), Offset: at}
		r.Done = func(r *Request) {
			if r.N != block || r.Err != nil || !bytes.Equal(r.Buf, patterned(block, at, 9)) {
				s.Errorf("block %d: %d, %v", i, r.N, r.Err)
			}
			done(i)
		}
		s.must(f.Read(r))
	}
}

// Trap 55: a Done polls until another request is over. Those behind it are called by the inner Poll or
// the outer one, each once.
func TestTrap55_NestedPollInDone(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const count = 20
		f := s.open(s.create(patterned(count*4096, 0, 9)), os.O_RDWR, WithDepth(7))
		var calls [count]int
		over, depth, deepest := 0, 0, 0
		s.blocks(f, count, func(i int) {
			calls[i]++
			depth++
			deepest = max(deepest, depth)
			buf := f.Buffer(4096)
			if n, err := s.do(f.Read, &Request{Buf: buf, Offset: 4096}); n != 4096 || err != nil || !bytes.Equal(buf, patterned(4096, 4096, 9)) {
				t.Errorf("inside of Done: %d, %v", n, err)
			}
			depth--
			over++
		})
		s.until(func() bool { return over == count })
		for i, n := range calls {
			if n != 1 {
				t.Errorf("Done of request %d was called %d times", i, n)
			}
		}
		t.Log("the deepest Done was in", deepest)
	})
}

// A panic of a Done goes to the caller of Poll. The rest is called in the next iterations, and the File
// can be closed.
func TestPanicInDone(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const count = 12
		f := s.open(s.create(patterned(count*4096, 0, 9)), os.O_RDWR, WithDepth(5))
		calls, panics := 0, 0
		s.blocks(f, count, func(i int) {
			if calls++; calls%3 == 0 {
				panic("on purpose")
			}
		})
		poll := func() {
			defer func() {
				if recover() != nil {
					panics++
				}
			}()
			_, err := s.loop.Poll()
			s.must(err)
		}
		for calls < count {
			poll()
		}
		if calls != count || panics != count/3 {
			t.Errorf("%d calls and %d panics, want %d and %d", calls, panics, count, count/3)
		}
		fd := f.FD()
		s.must(f.Close())
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("the descriptor is still open: %v", err)
		}
	})
}

// Trap 49: a file that becomes shorter, and longer, while it is read. A read ends with what there was,
// and never with more than there was. What was cut off reads as zeros for a moment.
func TestTrap49_FileThatShrinks(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const long, short, block = 1 << 18, 100_000, 1 << 15
		data := patterned(long, 0, 5)
		name := s.create(data)
		f := s.open(name, os.O_RDONLY)
		for round := range guest.Few(20) {
			s.must(os.WriteFile(name, data, 0o600))
			left := 0
			for at := int64(0); at < long; at += block {
				left++
				s.must(f.Read(&Request{Buf: f.Buffer(block), Offset: at, Done: func(r *Request) {
					left--
					s.wantCut(r, data, short)
				}}))
			}
			if round%2 == 0 { // between the submission and the completion
				s.must(os.Truncate(name, short))
				s.until(func() bool { return left == 0 })
			} else {
				var cut sync.WaitGroup
				cut.Go(func() {
					if err := os.Truncate(name, short); err != nil {
						t.Error(err)
					}
				})
				s.until(func() bool { return left == 0 })
				cut.Wait()
			}
		}
		buf := f.Buffer(block)
		if n, err := s.do(f.Read, &Request{Buf: buf, Offset: 98304}); n != short-98304 || err != io.EOF || !bytes.Equal(buf[:n], data[98304:short]) {
			t.Errorf("when it is short: %d, %v", n, err)
		}
	})
}

// wantCut fails unless r has read data that was cut to short bytes at any time.
func (s *setup) wantCut(r *Request, data []byte, short int64) {
	want := data[r.Offset : r.Offset+int64(len(r.Buf))]
	switch {
	case r.Err != nil && r.Err != io.EOF || (r.Err == nil) != (r.N == int64(len(r.Buf))):
		s.Errorf("read at %d: %d, %v", r.Offset, r.N, r.Err)
	case r.N < min(max(short-r.Offset, 0), int64(len(r.Buf))):
		s.Errorf("read at %d: only %d bytes", r.Offset, r.N)
	}
	if bytes.Equal(r.Buf[:r.N], want[:r.N]) {
		return
	}
	for i, b := range r.Buf[:r.N] {
		if b != want[i] && (b != 0 || r.Offset+int64(i) < short) {
			s.Errorf("at %d there is %#x, want %#x", r.Offset+int64(i), b, want[i])
			return
		}
	}
}
