//go:build linux

package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// disks are block devices that keep what is written.
var disks = map[string]func(t *testing.T) string{
	"brd":  ramDisk,
	"loop": func(t *testing.T) string { return loopDisk(t, sparseFile(t, 8<<20)) },
	"dm": func(t *testing.T) string {
		disk := ramDisk(t)
		return newMapped(t, linear(disk, 1<<20, 4<<20), linear(disk, 8<<20, 4<<20)).path
	},
}

func TestBlockDevice(t *testing.T) {
	for name, disk := range disks {
		t.Run(name, func(t *testing.T) {
			path := disk(t)
			eachVariant(t, func(t *testing.T, s *setup) { s.exerciseDisk(path) })
		})
	}
}

// exerciseDisk does everything on a device, at its beginning and its end.
func (s *setup) exerciseDisk(path string) {
	f := s.open(path, os.O_RDWR)
	size, err := f.Size()
	if s.must(err); size != sizeOf(s.T, path) {
		s.Fatalf("the size is %d, want %d", size, sizeOf(s.T, path))
	}
	const length = 1 << 16
	for _, at := range []int64{0, 1 << 19, size - length} {
		data := patterned(length, at, 4)
		if n, err := s.do(f.Write, &Request{Buf: data, Offset: at}); n != length || err != nil {
			s.Fatalf("write at %d: %d, %v", at, n, err)
		}
		s.wantContents(f, at, data)
		if _, err := s.do(f.Zero, &Request{Offset: at + 4096, Length: 8192}); err != nil {
			s.Fatalf("zero: %v", err)
		}
		clear(data[4096 : 4096+8192])
		s.wantContents(f, at, data)
		hole := data[32768 : 32768+16384]
		if _, err := s.do(f.Discard, &Request{Offset: at + 32768, Length: int64(len(hole))}); err == nil {
			clear(hole)
		} else if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, unix.EBUSY) { // EBUSY: see writesZeros
			s.Errorf("discard: %v", err)
		} else if n, err := s.do(f.Write, &Request{Buf: hole, Offset: at + 32768}); int(n) != len(hole) || err != nil { // it may be lost
			s.Fatalf("write at %d: %d, %v", at+32768, n, err)
		}
		s.wantContents(f, at, data)
	}
	for _, sync := range []func(*Request) error{f.SyncData, f.Sync} {
		if _, err := s.do(sync, &Request{}); err != nil {
			s.Error(err)
		}
	}
	s.wantEndOfDisk(f, size)
	r := &Request{Offset: 4096, Length: 1 << 16}
	if n, err := s.do(f.Extent, r); n != 1<<16 || err != nil || r.Hole {
		s.Errorf("extent: %d, hole %v, %v", n, r.Hole, err)
	}
	if direct, offsets, memory := f.Direct(); direct != s.direct || direct && (offsets < 512 || offsets > 4096 || memory < 1 || memory > 4096) {
		s.Errorf("alignment: %d, %d", offsets, memory)
	}
}

// wantContents reads what is at an offset: with an aligned buffer, and some of it with another.
func (s *setup) wantContents(f *File, at int64, want []byte) {
	s.Helper()
	buf := f.Buffer(len(want))
	if n, err := s.do(f.Read, &Request{Buf: buf, Offset: at}); int(n) != len(want) || err != nil {
		s.Fatalf("read at %d: %d, %v", at, n, err)
	}
	for i := range want {
		if buf[i] != want[i] {
			s.Fatalf("at %d+%d there is %#x, want %#x", at, i, buf[i], want[i])
		}
	}
	odd := make([]byte, 5001)[1:]
	if n, err := s.do(f.Read, &Request{Buf: odd, Offset: at + 3000}); int(n) != len(odd) || err != nil || !bytes.Equal(odd, want[3000:8000]) {
		s.Fatalf("read at %d: %d, %v", at+3000, n, err)
	}
}

// wantEndOfDisk: a read ends there, a write has no room.
func (s *setup) wantEndOfDisk(f *File, size int64) {
	s.Helper()
	buf := f.Buffer(8192)
	if n, err := s.do(f.Read, &Request{Buf: buf, Offset: size - 4096}); n != 4096 || err != io.EOF {
		s.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := s.do(f.Read, &Request{Buf: buf, Offset: size}); n != 0 || err != io.EOF {
		s.Errorf("read behind the end: %d, %v", n, err)
	}
	for _, at := range []int64{size - 4096, size} {
		n, err := s.do(f.Write, &Request{Buf: buf, Offset: at})
		if n != size-at && n != 0 || !errors.Is(err, unix.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			s.Errorf("write over the end: %d, %v", n, err)
		}
	}
}

// A disk that completes requests in an interrupt has many under way.
func TestNullDisk(t *testing.T) {
	path := nullDisk(t)
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(path, os.O_RDWR)
		const count = 300
		left := count
		var all [count]Request
		for i := range all {
			r := &all[i]
			*r = Request{Buf: f.Buffer(4096), Offset: int64(i) << 20, Done: func(r *Request) {
				if left--; r.N != 4096 || r.Err != nil {
					t.Errorf("request %d: %d, %v", i, r.N, r.Err)
				}
			}}
			call := f.Read
			if i%3 == 0 && s.direct { // what is written to the page cache takes long to write back
				call = f.Write
			}
			s.must(call(r))
		}
		s.until(func() bool { return left == 0 })
		if _, err := s.do(f.Sync, &Request{}); err != nil {
			t.Error(err)
		}
	})
}

// wantEIO fails unless a request has failed as the device did.
func (s *setup) wantEIO(what string, r *Request, err error) {
	s.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, unix.EIO) || e.Op != what || e.Offset != r.Offset || e.Length != r.length() {
		s.Errorf("%s at %d: %d, %v, want EIO", what, r.Offset, r.N, err)
	}
}

// A disk has a place that cannot be read or written: requests that touch it fail, with what was
// before it, and all others succeed.
func TestDiskWithABadPlace(t *testing.T) {
	disk := ramDisk(t)
	const start, length, size = 1 << 20, 1 << 16, 4 << 20
	m := newMapped(t, linear(disk, 0, start), bad(length), linear(disk, start+length, size-start-length))
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(m.path, os.O_RDWR)
		for _, at := range []int64{0, start - 8192, start + length, size - 8192} {
			data := patterned(8192, at, 6)
			if n, err := s.do(f.Write, &Request{Buf: data, Offset: at}); n != 8192 || err != nil {
				t.Fatalf("write at %d: %d, %v", at, n, err)
			}
		}
		if _, err := s.do(f.Sync, &Request{}); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int64{start, start + 4096, start + length - 4096} {
			r := &Request{Buf: f.Buffer(4096), Offset: at}
			n, err := s.do(f.Read, r)
			if s.wantEIO("read", r, err); n != 0 {
				t.Errorf("%d bytes were read at %d", n, at)
			}
			if s.direct {
				_, err := s.do(f.Write, r)
				s.wantEIO("write", r, err)
			}
		}
		over := &Request{Buf: f.Buffer(16384), Offset: start - 8192}
		n, err := s.do(f.Read, over)
		if s.wantEIO("read", over, err); n > 8192 || !bytes.Equal(over.Buf[:n], patterned(int(n), over.Offset, 6)) {
			t.Errorf("%d bytes, or other ones, were read over the bad place", n)
		}
		for _, at := range []int64{start - 8192, start + length} {
			buf := f.Buffer(8192)
			if n, err := s.do(f.Read, &Request{Buf: buf, Offset: at}); n != 8192 || err != nil || !bytes.Equal(buf, patterned(8192, at, 6)) {
				t.Errorf("read beside the bad place: %d, %v", n, err)
			}
		}
	})
}

// A disk that takes no writes: those with O_DIRECT fail, others are lost, and the sync says so. When
// the disk has come back, all syncs of this File still say so (trap 50), and those of another do not.
func TestTrap50_DiskThatLosesWrites(t *testing.T) {
	disk := ramDisk(t)
	const size = 4 << 20
	well := linear(disk, 0, size)
	m := newMapped(t, well)
	for name, ill := range map[string]part{"error_writes": flakey(disk, size, "1 error_writes"), "everything": flakey(disk, size, "0"), "error": bad(size)} {
		t.Run(name, func(t *testing.T) {
			eachVariant(t, func(t *testing.T, s *setup) {
				m.load(well)
				f := s.open(m.path, os.O_RDWR)
				m.load(ill)
				r := &Request{Buf: f.Buffer(4096), Offset: 8192}
				_, err := s.do(f.Write, r)
				if s.direct {
					s.wantEIO("write", r, err)
				} else if err != nil {
					t.Errorf("a write to the page cache: %v", err)
				}
				_, err = s.do(f.Sync, &Request{})
				failed := errors.Is(err, unix.EIO)
				if !failed && (!s.direct || err != nil) { // without O_DIRECT data was lost
					t.Errorf("sync: %v", err)
				}
				m.load(well)
				if _, err := s.do(f.SyncData, &Request{}); errors.Is(err, unix.EIO) != failed {
					t.Errorf("the next sync: %v, after one that failed: %v", err, failed)
				}
				s.close(f)
				again := s.open(m.path, os.O_RDWR)
				if n, err := s.do(again.Write, r); n != 4096 || err != nil {
					t.Errorf("when the disk has come back: %d, %v", n, err)
				}
				if _, err := s.do(again.Sync, &Request{}); err != nil {
					t.Errorf("when the disk has come back: %v", err)
				}
			})
		})
	}
}

// The file under a loop device is cut: what was behind the cut cannot be read any more.
func TestLoopDeviceOfAFileThatWasCut(t *testing.T) {
	const size, cut = 4 << 20, 1 << 20
	backing := sparseFile(t, size)
	disk := loopDisk(t, backing)
	eachVariant(t, func(t *testing.T, s *setup) {
		s.must(os.Truncate(backing, size))
		f := s.open(disk, os.O_RDWR)
		data := patterned(8192, cut-8192, 8)
		if n, err := s.do(f.Write, &Request{Buf: data, Offset: cut - 8192}); n != 8192 || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		if _, err := s.do(f.Sync, &Request{}); err != nil {
			t.Fatal(err)
		}
		s.must(unix.IoctlSetInt(f.FD(), unix.BLKFLSBUF, 0)) // forget what was read ahead
		s.must(os.Truncate(backing, cut))
		for _, at := range []int64{cut, size - 4096} {
			r := &Request{Buf: f.Buffer(4096), Offset: at}
			_, err := s.do(f.Read, r)
			s.wantEIO("read", r, err)
		}
		buf := f.Buffer(8192)
		if n, err := s.do(f.Read, &Request{Buf: buf, Offset: cut - 8192}); n != 8192 || err != nil || !bytes.Equal(buf, data) {
			t.Errorf("before the cut: %d, %v", n, err)
		}
	})
}

// Two Files of one device, of which one is for reading, are independent.
func TestDeviceThatIsOpenedTwice(t *testing.T) {
	disk := loopDisk(t, sparseFile(t, 1<<20))
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
	f, g := s.open(disk, os.O_RDWR), s.open(disk, os.O_RDONLY)
	if n, err := s.do(f.Write, &Request{Buf: []byte("abc"), Offset: 77}); n != 3 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	s.close(f)
	buf := make([]byte, 3)
	if n, err := s.do(g.Read, &Request{Buf: buf, Offset: 77}); n != 3 || err != nil || string(buf) != "abc" {
		t.Errorf("read: %d, %v, %q", n, err, buf)
	}
}
