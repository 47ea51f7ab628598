//go:build linux

package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// failing has some calls fail with errno, or move at most room bytes, and counts them.
func failing(t *testing.T, errno unix.Errno, room int, calls ...sys.Call) *atomic.Int32 {
	n := new(atomic.Int32)
	restore := sys.Inject(func(c sys.Call) (f sys.Fault) {
		for _, call := range calls {
			if c == call {
				n.Add(1)
				f.Errno, f.Room = errno, room
			}
		}
		return f
	})
	t.Cleanup(restore)
	return n
}

var (
	reads  = []sys.Call{sys.CallPreadv2, sys.CallPreadv}
	writes = []sys.Call{sys.CallPwritev2, sys.CallPwritev}
)

// Short transfers go on where they have ended, also in the middle of a vector.
func TestTrap49_ShortTransfersGoOn(t *testing.T) {
	rooms := []int{1, 7, 512, 4095}
	if guest.Is() { // where each byte would take a millisecond
		rooms[0] = 11
	}
	for _, engine := range []Engine{EngineAuto, EngineThreads} {
		t.Run(engine.String(), func(t *testing.T) {
			for _, room := range rooms {
				s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: engine})
				f := s.open(s.create(make([]byte, 10000)), os.O_RDWR)
				restore := sys.Inject(func(c sys.Call) (f sys.Fault) { f.Room = room; return f })
				data := patterned(6000, 100, 5)
				n, err := s.do(f.Write, &Request{Buffers: [][]byte{data[:10], data[10:5000], data[5000:]}, Offset: 100})
				if n != 6000 || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
				a, b := make([]byte, 1000), make([]byte, 5000)
				n, err = s.do(f.Read, &Request{Buffers: [][]byte{a, b}, Offset: 100})
				if restore(); n != 6000 || err != nil || !bytes.Equal(append(a, b...), data) {
					t.Errorf("read: %d, %v", n, err)
				}
				s.close(f)
			}
		})
	}
}

// Each errno comes back with all that helps; nothing is tried forever.
func TestEachErrnoIsReported(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: EngineThreads})
	f := s.open(s.create(patterned(8192, 0, 1)), os.O_RDWR)
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EROFS, unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ENOMEM, unix.ENXIO, unix.EPERM, unix.EAGAIN, unix.ENODEV, unix.ETIMEDOUT, unix.EREMOTEIO} {
		for what, c := range map[string]struct {
			calls []sys.Call
			call  func(*Request) error
			r     *Request
		}{
			"read":    {reads, f.Read, &Request{Buf: make([]byte, 100), Offset: 50}},
			"write":   {writes, f.Write, &Request{Buf: make([]byte, 100), Offset: 50}},
			"zero":    {[]sys.Call{sys.CallFallocate}, f.Zero, &Request{Offset: 50, Length: 100}},
			"discard": {[]sys.Call{sys.CallFallocate}, f.Discard, &Request{Offset: 50, Length: 100}},
		} {
			failing(t, errno, 0, c.calls...)
			n, err := s.do(c.call, c.r)
			sys.Inject(nil)()
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, errno) || e.Op != what || e.Name != f.Name() || e.Offset != 50 || e.Length != 100 || n != 0 {
				t.Errorf("%s with %v: %d, %v", what, errno, n, err)
			}
		}
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, patterned(8192, 0, 1)) {
		t.Errorf("something was written: %v", err)
	}
}

// A signal, data that is not in memory and a filesystem that cannot tell are no errors.
func TestWhatCannotBeDoneInTheLoopIsDoneElsewhere(t *testing.T) {
	for _, b := range []aio.Backend{aio.Epoll, aio.IOUring} {
		for _, errno := range []unix.Errno{unix.EAGAIN, unix.EOPNOTSUPP, unix.EINTR, unix.EINVAL, unix.ENOSYS, unix.EPERM} {
			never := errno != unix.EAGAIN && errno != unix.EINTR
			s := newSetup(t, variant{backend: b, mode: aio.ModeThread, engine: EngineAuto})
			f := s.open(s.create(make([]byte, 8192)), os.O_RDWR)
			calls := failing(t, errno, 0, sys.CallPreadv2, sys.CallPwritev2)
			for i := range int64(guest.Few(200)) {
				data, got := patterned(100, i, byte(i)), make([]byte, 100)
				if n, err := s.do(f.Write, &Request{Buf: data, Offset: i}); n != 100 || err != nil {
					t.Fatalf("%v: write %d: %d, %v", errno, i, n, err)
				}
				if n, err := s.do(f.Read, &Request{Buf: got, Offset: i}); n != 100 || err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%v: read %d: %d, %v", errno, i, n, err)
				}
			}
			if n := calls.Load(); n == 0 || never && n != 2 || n > 40 {
				t.Errorf("%v on %v: tried %d times in 400 requests", errno, b, n)
			}
			s.close(f)
		}
	}
}

// Trap 50: what a Sync has lost is lost for all that follow.
func TestTrap50_FailedSyncIsRemembered(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT} {
		s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
		f := s.open(s.create(nil), os.O_RDWR)
		restore := sys.Inject(func(c sys.Call) (f sys.Fault) {
			if c == sys.CallFsync {
				f.Errno = errno
			}
			return f
		})
		_, err := s.do(f.Sync, &Request{})
		if restore(); !errors.Is(err, errno) {
			t.Fatalf("sync: %v", err)
		}
		for _, sync := range []func(*Request) error{f.Sync, f.SyncData} {
			if _, err := s.do(sync, &Request{}); !errors.Is(err, errno) || !strings.Contains(err.Error(), "another sync") {
				t.Errorf("the next sync: %v", err)
			}
		}
		if n, err := s.do(f.Write, &Request{Buf: []byte("x")}); n != 1 || err != nil { // writing goes on
			t.Errorf("write: %d, %v", n, err)
		}
		s.close(f)
	}
}

// Of Syncs at the same time the kernel tells one what was lost, and the others that all is well.
func TestTrap50_SyncsAtTheSameTimeFailTogether(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: EngineThreads})
	f := s.open(s.create(make([]byte, 4096)), os.O_RDWR)
	for _, errno := range []unix.Errno{0, unix.EIO} {
		var calls atomic.Int32
		gate := make(chan struct{})
		restore := sys.Inject(func(c sys.Call) (fault sys.Fault) {
			if c == sys.CallFsync && calls.Add(1) == 1 {
				<-gate
				fault.Errno = errno
			}
			return fault
		})
		ended := 0
		first, second := new(Request), new(Request)
		for _, r := range []*Request{first, second} {
			r.Done = func(r *Request) {
				if ended++; !errors.Is(r.Err, errno) && (errno != 0 || r.Err != nil) {
					t.Errorf("%v, want %v", r.Err, errno)
				}
			}
			s.must(f.Sync(r))
			testkit.Eventually(t, "the first one runs", func() bool { return calls.Load() > 0 })
		}
		s.until(func() bool { return len(f.syncs.held) == 1 })
		s.must(second.Cancel()) // too late
		if _, err := s.do(f.Read, &Request{Buf: make([]byte, 10)}); err != nil || ended > 0 {
			t.Errorf("%v; %d have ended", err, ended)
		}
		close(gate)
		s.until(func() bool { return ended == 2 })
		restore()
	}
	s.close(f)
}

// A Sync that the kernel has not begun has lost nothing: the next one may succeed.
func TestSyncThatWasNotBegunIsNotRemembered(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(nil), os.O_RDWR)
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOSYS, unix.EPERM, unix.ECANCELED, unix.EINVAL} {
		p.script = func(*backend.Request) (int, unix.Errno) { return 0, errno }
		if _, err := s.do(f.Sync, &Request{}); !errors.Is(err, errno) {
			t.Errorf("sync: %v, want %v", err, errno)
		}
		p.script = nil
		if _, err := s.do(f.Sync, &Request{}); err != nil {
			t.Errorf("the next sync: %v", err)
		}
	}
}

// Where a filter allows io_setup and forbids io_submit, EngineAuto changes to threads.
func TestAutoWithoutIoSubmit(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, direct: true})
		f := s.open(s.create(patterned(8192, 0, 1)), os.O_RDWR)
		if f.Engine().Engine != EngineLinuxAIO {
			t.Skip("skipped: no Linux AIO here:", f.Engine())
		}
		calls := failing(t, errno, 0, sys.CallIoSubmit)
		for range 3 {
			buf := f.Buffer(8192)
			if n, err := s.do(f.Read, &Request{Buf: buf}); n != 8192 || err != nil || !bytes.Equal(buf, patterned(8192, 0, 1)) {
				t.Errorf("read: %d, %v", n, err)
			}
		}
		sys.Inject(nil)()
		if f.Engine().Engine != EngineThreads || calls.Load() != 1 {
			t.Errorf("%d calls, the engine is %v", calls.Load(), f.Engine())
		}
		s.close(f)
	}
}

// A ring whose filesystem cannot zero has a worker write zeros.
func TestZeroWhereARingCannot(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(bytes.Repeat([]byte{1}, 100)), os.O_RDWR)
	p.script = func(*backend.Request) (int, unix.Errno) { return 0, unix.EOPNOTSUPP }
	failing(t, unix.EOPNOTSUPP, 0, sys.CallFallocate)
	if _, err := s.do(f.Zero, &Request{Offset: 10, Length: 80}); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{1}, 100)
	clear(want[10:90])
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %x, %v", got, err)
	}
}

// Where nothing can zero, zeros are written, however long that is.
func TestZeroWithoutFallocate(t *testing.T) {
	for direct, errno := range map[bool]unix.Errno{false: unix.EOPNOTSUPP, true: unix.ENOSYS} {
		s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, direct: direct})
		f := s.open(s.create(bytes.Repeat([]byte{1}, 3<<20)), os.O_RDWR)
		failing(t, errno, 0, sys.CallFallocate)
		if _, err := s.do(f.Zero, &Request{Offset: 4096, Length: 5 << 19}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.do(f.Discard, &Request{Offset: 0, Length: 4096}); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("discard: %v", err)
		}
		sys.Inject(nil)()
		want := bytes.Repeat([]byte{1}, 3<<20)
		clear(want[4096 : 4096+5<<19])
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("direct %v: the file is not as it should be: %v", direct, err)
		}
		s.close(f)
	}
}

// What the kernel says of a place can change between its two answers, without a write to that place: an
// allocated page that was not written is data while it is in memory. That is no end of the file.
func TestExtentThatChangesIsNoEnd(t *testing.T) {
	for _, always := range []bool{false, true} {
		s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
		f := s.open(s.create(bytes.Repeat([]byte{1}, 16384)), os.O_RDWR)
		calls := 0
		restore := sys.Inject(func(c sys.Call) (_ sys.Fault) {
			if c != sys.CallLseek {
				return
			}
			switch calls++; {
			case calls%2 == 0: // it was data, and is asked for its end
				if err := unix.Fallocate(f.FD(), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 8192); err != nil {
					t.Error(err)
				}
			case always:
				if _, err := unix.Pwrite(f.FD(), make([]byte, 8192), 4096); err != nil {
					t.Error(err)
				}
			}
			return
		})
		r := &Request{Offset: 4100}
		n, err := s.do(f.Extent, r)
		restore()
		if err != nil || always && (n < 1 || n > 8188 || r.Hole) || !always && (n != 8188 || !r.Hole) {
			t.Errorf("always %v: %d bytes, a hole: %v, %v", always, n, r.Hole, err)
		}
		s.close(f)
	}
}

// A file that shrinks between the two answers has ended.
func TestExtentOfAShrinkingFile(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
	f := s.open(s.create(bytes.Repeat([]byte{1}, 16384)), os.O_RDWR)
	calls := 0
	restore := sys.Inject(func(c sys.Call) (_ sys.Fault) {
		if c != sys.CallLseek {
			return
		}
		if calls++; calls == 2 {
			if err := unix.Ftruncate(f.FD(), 4096); err != nil {
				t.Error(err)
			}
		}
		return
	})
	n, err := s.do(f.Extent, &Request{Offset: 8192})
	if restore(); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	s.close(f)
}
