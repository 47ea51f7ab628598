//go:build linux

package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/ppoll"
)

// scripted is a Poller that runs operations with system calls, as a script says: it stands for a
// kernel's ring that moves less than asked for, or fails.
type scripted struct {
	backend.Poller
	script func(r *backend.Request) (room int, errno unix.Errno)
	done   backend.Requests
	codes  []backend.OpCode // what was submitted
}

func (p *scripted) Name() string { return "scripted" }

func (p *scripted) Supports(backend.OpCode) bool { return true }

func (p *scripted) Cancel(*backend.Request) error { return nil }

func (p *scripted) Each(func(*backend.Request)) {}

func (p *scripted) Completions(done *backend.Requests) { done.Append(&p.done) }

func (p *scripted) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if !p.done.Empty() {
		timeout = 0
	}
	return p.Poller.Wait(ready, timeout)
}

func (p *scripted) Submit(r *backend.Request) error {
	p.codes = append(p.codes, r.Code)
	room, errno := 1<<30, unix.Errno(0)
	if p.script != nil {
		room, errno = p.script(r)
	}
	r.Result = -int32(errno)
	if errno == 0 {
		r.Result = perform(r, room)
	}
	p.done.Push(r)
	return nil
}

// perform does what r says, with at most room bytes of its first buffer.
func perform(r *backend.Request, room int) int32 {
	buf := r.Buf
	if r.Vectors != nil {
		buf = unsafe.Slice(r.Vectors[0].Base, r.Vectors[0].Len)
	}
	buf = buf[:min(len(buf), room)]
	var n int
	var err error
	switch r.Code {
	case backend.OpRead, backend.OpReadv:
		n, err = unix.Pread(r.FD, buf, r.Offset)
	case backend.OpWrite, backend.OpWritev:
		n, err = unix.Pwrite(r.FD, buf, r.Offset)
	case backend.OpFsync:
		err = unix.Fsync(r.FD)
	case backend.OpFdatasync:
		err = unix.Fdatasync(r.FD)
	case backend.OpFallocate:
		err = unix.Fallocate(r.FD, r.Flags, r.Offset, r.Length)
	default:
		err = unix.EINVAL
	}
	if err != nil {
		return -int32(err.(unix.Errno))
	}
	return int32(n)
}

func scriptedSetup(t *testing.T) (*setup, *scripted) {
	p := &scripted{Poller: ppoll.New()}
	loop, err := aio.New(aio.WithPoller(p), aio.WithMode(aio.ModeThread))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return &setup{T: t, variant: variant{engine: EngineIOUring}, loop: loop, dir: t.TempDir()}, p
}

func TestTrap49_ShortTransfersOfARingGoOn(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(make([]byte, 10000)), os.O_RDWR)
	for _, room := range []int{1, 7, 512, 4095} {
		p.script = func(*backend.Request) (int, unix.Errno) { return room, 0 }
		data := patterned(6000, 100, byte(room))
		if n, err := s.do(f.Write, &Request{Buffers: [][]byte{data[:10], data[10:5000], data[5000:]}, Offset: 100}); n != 6000 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		a, b := make([]byte, 1000), make([]byte, 5000)
		if n, err := s.do(f.Read, &Request{Buffers: [][]byte{a, b}, Offset: 100}); n != 6000 || err != nil || !bytes.Equal(append(a, b...), data) {
			t.Errorf("read: %d, %v", n, err)
		}
		if n, err := s.do(f.Read, &Request{Buf: make([]byte, 100), Offset: 9950}); n != 50 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
	}
}

// A write that moves some bytes and then fails says how many, and why.
func TestTrap49_ShortWriteIsAnError(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(nil), os.O_RDWR)
	for errno, want := range map[unix.Errno]error{unix.ENOSPC: unix.ENOSPC, 0: io.ErrShortWrite} {
		calls := 0
		p.script = func(*backend.Request) (int, unix.Errno) {
			if calls++; calls == 1 {
				return 100, 0
			}
			return 0, errno
		}
		if n, err := s.do(f.Write, &Request{Buf: make([]byte, 300)}); n != 100 || !errors.Is(err, want) {
			t.Errorf("%d, %v, want 100, %v", n, err, want)
		}
	}
}

func TestEachErrnoOfARingIsReported(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(make([]byte, 8192)), os.O_RDWR)
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EFAULT, unix.EINVAL, unix.EAGAIN, unix.ENOMEM, unix.EOPNOTSUPP, unix.ECANCELED} {
		p.script = func(*backend.Request) (int, unix.Errno) { return 0, errno }
		for what, call := range map[string]func(*Request) error{"read": f.Read, "write": f.Write, "discard": f.Discard} {
			r := &Request{Offset: 50, Length: 100}
			if what != "discard" {
				r.Buf = make([]byte, 100)
			}
			n, err := s.do(call, r)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, errno) || e.Op != what || e.Offset != 50 || e.Length != 100 || n != 0 {
				t.Errorf("%s with %v: %d, %v", what, errno, n, err)
			}
		}
	}
	calls := 0
	p.script = func(*backend.Request) (int, unix.Errno) {
		if calls++; calls < 5 {
			return 0, unix.EINTR
		}
		return 1 << 30, 0
	}
	if n, err := s.do(f.Read, &Request{Buf: make([]byte, 100)}); n != 100 || err != nil || calls != 5 {
		t.Errorf("after signals: %d, %v", n, err)
	}
	p.script = func(*backend.Request) (int, unix.Errno) { return 0, unix.EIO }
	if _, err := s.do(f.SyncData, &Request{}); !errors.Is(err, unix.EIO) {
		t.Errorf("sync: %v", err)
	}
	p.script = nil
	if _, err := s.do(f.Sync, &Request{}); !errors.Is(err, unix.EIO) { // trap 50
		t.Errorf("the next sync: %v", err)
	}
}

// Each kind of request becomes the operation of its name.
func TestOperationsOfARing(t *testing.T) {
	s, p := scriptedSetup(t)
	f := s.open(s.create(make([]byte, 8192)), os.O_RDWR)
	buf := make([]byte, 10)
	for _, c := range []struct {
		call func(*Request) error
		r    *Request
		code backend.OpCode
	}{
		{f.Read, &Request{Buf: buf}, backend.OpRead},
		{f.Write, &Request{Buf: buf}, backend.OpWrite},
		{f.Read, &Request{Buffers: [][]byte{buf, buf}}, backend.OpReadv},
		{f.Write, &Request{Buffers: [][]byte{buf, buf}}, backend.OpWritev},
		{f.Read, &Request{Buffers: [][]byte{buf, nil}}, backend.OpRead},
		{f.Sync, &Request{}, backend.OpFsync},
		{f.SyncData, &Request{}, backend.OpFdatasync},
		{f.Zero, &Request{Length: 10}, backend.OpFallocate},
		{f.Discard, &Request{Length: 4096}, backend.OpFallocate},
	} {
		p.codes = nil
		if _, err := s.do(c.call, c.r); err != nil && !errors.Is(err, errors.ErrUnsupported) || len(p.codes) == 0 || p.codes[0] != c.code {
			t.Errorf("%v: %v became %v", c.code, err, p.codes)
		}
	}
}

// The Files of a loop leave half of the ring's completion queue to descriptors. Those that wait for
// room are begun in order, and can be cancelled.
func TestRequestsWaitForRoomInTheRing(t *testing.T) {
	s, p := scriptedSetup(t)
	most, under := 0, 0
	p.script = func(*backend.Request) (int, unix.Errno) {
		under++
		most = max(most, under)
		return 1 << 30, 0
	}
	var order []int
	cancelled := 0
	n := 0
	for range 3 {
		f := s.open(s.create(make([]byte, 100)), os.O_RDONLY)
		for range 100 {
			i := n
			r := &Request{Buf: make([]byte, 10)}
			r.Done = func(r *Request) {
				if errors.Is(r.Err, unix.ECANCELED) {
					cancelled++
					return
				}
				under--
				order = append(order, i)
			}
			n++
			s.must(f.Read(r))
			if i >= 250 && i < 260 {
				s.must(r.Cancel())
			}
		}
	}
	if waiting := count(s.ringOf().waiting); waiting != n-ringDepth {
		t.Errorf("%d wait", waiting)
	}
	s.until(func() bool { return len(order)+cancelled == n })
	if most > ringDepth+1 { // the next one is begun before Done
		t.Errorf("%d at a time", most)
	}
	if cancelled != 10 || !slices.IsSorted(order) {
		t.Errorf("%d cancelled; in order: %v", cancelled, slices.IsSorted(order))
	}
}

func (s *setup) ringOf() *ring {
	e, err := enginesOf(s.loop)
	s.must(err)
	return &e.ring
}
