//go:build linux

package file

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/pool"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// What is written is read, whole blocks and parts of them, and every byte is compared.
func TestReadsWhatWasWritten(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const size = 1 << 20
		f := s.open(s.create(make([]byte, size)), os.O_RDWR)
		oracle := make([]byte, size)
		r := rand.New(rand.NewPCG(1, 2))
		for round := range byte(guest.Few(60)) {
			n, at := 1+r.IntN(3*4096), r.IntN(size-4*4096)
			if s.direct { // writes are of whole blocks
				n, at = 4096*(1+r.IntN(4)), at&^4095
			}
			data := patterned(n, int64(at), round)
			if moved, err := s.do(f.Write, &Request{Buf: data, Offset: int64(at)}); int(moved) != n || err != nil {
				t.Fatalf("write of %d at %d: %d, %v", n, at, moved, err)
			}
			copy(oracle[at:], data)
			n, at = 1+r.IntN(5*4096), r.IntN(size-5*4096)
			buf := make([]byte, n)
			if moved, err := s.do(f.Read, &Request{Buf: buf, Offset: int64(at)}); int(moved) != n || err != nil {
				t.Fatalf("read of %d at %d: %d, %v", n, at, moved, err)
			}
			if !bytes.Equal(buf, oracle[at:at+n]) {
				t.Fatalf("%d bytes at %d are not what was written", n, at)
			}
		}
		for _, sync := range []func(*Request) error{f.Sync, f.SyncData} {
			if _, err := s.do(sync, &Request{}); err != nil {
				t.Error(err)
			}
		}
		got, err := os.ReadFile(f.Name())
		if s.must(err); !bytes.Equal(got, oracle) {
			t.Error("the file is not what was written")
		}
	})
}

// Many requests under way at the same time, of all sizes, vectors among them.
func TestManyRequestsAtOnce(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const block = 4096
		count := maxDepth + guest.Few(500)
		f := s.open(s.create(patterned(count*block, 0, 9)), os.O_RDWR)
		left := count
		for i := range count {
			at := int64(i * block)
			buf := f.Buffer(block)
			r := &Request{Buf: buf, Offset: at}
			if i%3 == 0 {
				r = &Request{Buffers: [][]byte{buf[:512], nil, buf[512:]}, Offset: at}
			}
			r.Done = func(r *Request) {
				left--
				if r.N != block || r.Err != nil || !bytes.Equal(buf, patterned(block, at, 9)) {
					t.Errorf("block %d: %d, %v", i, r.N, r.Err)
				}
			}
			s.must(f.Read(r))
		}
		s.until(func() bool { return left == 0 })
	})
}

func TestTrap49_EndOfFile(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const size = 10000
		name := s.create(patterned(size, 0, 3))
		f := s.open(name, os.O_RDONLY)
		for _, c := range []struct{ offset, n, want int64 }{{8192, 4096, size - 8192}, {size, 10, 0}, {20480, 4096, 0}, {9990, 10, 10}, {0, 20480, size}, {0, size, size}} {
			buf := bytes.Repeat([]byte{0xaa}, int(c.n))
			n, err := s.do(f.Read, &Request{Buf: buf, Offset: c.offset})
			want := error(nil)
			if c.want < c.n {
				want = io.EOF
			}
			if n != c.want || err != want || !bytes.Equal(buf[:n], patterned(int(n), c.offset, 3)) {
				t.Errorf("%d at %d: %d, %v, want %d, %v", c.n, c.offset, n, err, c.want, want)
			}
		}
		s.close(f)
		f = s.open(name, os.O_RDONLY, WithZerosAtEnd())
		buf := bytes.Repeat([]byte{0xaa}, 8192)
		if n, err := s.do(f.Read, &Request{Buf: buf, Offset: 8192}); n != 8192 || err != nil {
			t.Errorf("with zeros at the end: %d, %v", n, err)
		}
		if want := append(patterned(size-8192, 8192, 3), make([]byte, 8192-(size-8192))...); !bytes.Equal(buf, want) {
			t.Error("with zeros at the end something else was read")
		}
	})
}

func TestZeroDiscardExtent(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		const block = 4096
		f := s.open(s.create(bytes.Repeat([]byte{1}, 16*block)), os.O_RDWR)
		if _, err := s.do(f.Zero, &Request{Offset: block, Length: 2 * block}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.do(f.Zero, &Request{Offset: 15 * block, Length: 2 * block}); err != nil {
			t.Fatal(err)
		}
		_, err := s.do(f.Discard, &Request{Offset: 8 * block, Length: 4 * block})
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{1}, 16*block)
		clear(want[block : 3*block])
		if err == nil {
			clear(want[8*block : 12*block])
		}
		clear(want[15*block:])
		want = append(want, make([]byte, block)...)
		got, err := os.ReadFile(f.Name())
		if s.must(err); !bytes.Equal(got, want) {
			t.Error("the file is not as it should be")
		}
		size, err := f.Size()
		if size != 17*block || err != nil {
			t.Errorf("the size is %d, %v", size, err)
		}
		at, holes := int64(0), int64(0)
		for at < size {
			r := &Request{Offset: at}
			if _, err := s.do(f.Extent, r); err != nil || r.N <= 0 {
				t.Fatalf("extent at %d: %d, %v", at, r.N, err)
			}
			if r.Hole {
				holes += r.N
				if clear := bytes.Count(got[at:at+r.N], []byte{0}); clear != int(r.N) {
					t.Errorf("a hole of %d at %d has data", r.N, at)
				}
			}
			at += r.N
		}
		if at != size {
			t.Errorf("the extents end at %d", at)
		}
		t.Logf("%d bytes in holes", holes)
		if n, err := s.do(f.Extent, &Request{Offset: size}); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
		if n, err := s.do(f.Extent, &Request{Offset: 0, Length: 7}); n != 7 || err != nil {
			t.Errorf("limited: %d, %v", n, err)
		}
	})
}

func TestCancelledRequestsEndOnce(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(s.create(make([]byte, 1<<20)), os.O_RDWR, WithDepth(4))
		const count = 40
		var all [count]Request
		calls := 0
		for i := range all {
			r := &all[i]
			r.Buf, r.Offset = f.Buffer(4096), int64(i)*4096
			r.Done = func(*Request) { calls++ }
			s.must(f.Read(r))
		}
		for i := range all {
			s.must(all[i].Cancel())
			s.must(all[i].Cancel())
		}
		s.until(func() bool { return calls == count })
		cancelled := 0
		for i := range all {
			switch err := all[i].Err; {
			case errors.Is(err, unix.ECANCELED):
				cancelled++
			case err != nil || all[i].N != 4096:
				t.Errorf("request %d: %d, %v", i, all[i].N, err)
			}
			s.must(all[i].Cancel()) // it is over
		}
		if cancelled < count-8 {
			t.Errorf("%d of %d were cancelled; those that waited must be", cancelled, count)
		}
	})
}

// A file that was opened with O_DSYNC or O_SYNC waits for the device in each write: never in the loop.
func TestSyncedWritesAreNotMadeInTheLoop(t *testing.T) {
	s := epollSetup(t)
	for flag, want := range map[int]way{0: inLoop, unix.O_DSYNC: inLine, unix.O_SYNC: inLine} {
		f := s.open(s.create(make([]byte, 4096)), os.O_RDWR|flag)
		if got := f.routes[opWrite].first(&f.luck[opWrite], 100, 0); got != want {
			t.Errorf("flag %#x: %v, want %v", flag, got, want)
		}
		s.close(f)
	}
}

// The loop's pool may be closed by the program: files then use another one.
func TestFilesOutliveTheLoopsPool(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: EngineThreads})
	f := s.open(s.create(make([]byte, 4096)), os.O_RDWR)
	for range 2 {
		p, err := pool.Of(s.loop)
		s.must(err)
		ended := 0
		write := &Request{Buf: make([]byte, 100), Done: func(*Request) { ended++ }}
		s.must(f.Write(write)) // a job may be in the queue when the pool is closed
		s.must(p.Close(t.Context()))
		s.until(func() bool { return ended == 1 })
		s.must(write.Err)
		for _, call := range []func(*Request) error{f.Sync, f.Write, f.Read} {
			if _, err := s.do(call, &Request{Buf: make([]byte, 100)}); err != nil {
				t.Error(err)
			}
		}
	}
	s.close(f)
}

// From Linux 6.1 to 6.17 the length of each buffer has to be a multiple of the block.
func TestBuffersThatDoNotFitOnEveryKernel(t *testing.T) {
	f := &File{offsets: 512, memory: 4}
	block := aligned(1024, 512)
	for _, c := range []struct {
		buffers [][]byte
		want    bool
	}{
		{[][]byte{block[:512]}, true},
		{[][]byte{block[4:516]}, true},
		{[][]byte{block[:512], block[512:]}, true},
		{[][]byte{block[:16], block[16:512]}, false},
		{[][]byte{block[2:514]}, false},
	} {
		var vectors []unix.Iovec
		for _, b := range c.buffers {
			vectors = append(vectors, vector(b))
		}
		if got := f.fit(vectors); got != c.want {
			t.Errorf("%d buffers, the first of %d bytes: %t", len(c.buffers), len(c.buffers[0]), got)
		}
	}
}
