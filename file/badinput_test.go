//go:build linux

package file

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func epollSetup(t *testing.T) *setup {
	return newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread})
}

// refused fails unless err is an *Error of the file that matches want, and done was not called.
func (s *setup) refused(what string, f *File, err, want error) {
	s.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, want) || e.Name != f.Name() || !strings.HasPrefix(err.Error(), "file: "+f.Name()+": ") {
		s.Errorf("%s: %v, want an *Error of %s that matches %v", what, err, f.Name(), want)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		name := s.create(patterned(8192, 0, 1))
		f := s.open(name, os.O_RDWR)
		called := func(*Request) { t.Error("Done of a refused request was called") }
		buf := f.Buffer(4096)
		for what, r := range map[string]*Request{
			"a negative offset":          {Buf: buf, Offset: -1},
			"a range beyond all files":   {Buf: buf, Offset: math.MaxInt64 - 10},
			"both kinds of buffers":      {Buf: buf, Buffers: [][]byte{buf}},
			"more buffers than a vector": {Buffers: make([][]byte, 1025)},
		} {
			r.Done = called
			s.refused("read: "+what, f, f.Read(r), unix.EINVAL)
			s.refused("write: "+what, f, f.Write(r), unix.EINVAL)
		}
		for what, r := range map[string]*Request{
			"a negative length":        {Length: -1},
			"a negative offset":        {Offset: -1, Length: 1},
			"a range beyond all files": {Offset: math.MaxInt64, Length: 1},
		} {
			r.Done = called
			s.refused("zero: "+what, f, f.Zero(r), unix.EINVAL)
			s.refused("discard: "+what, f, f.Discard(r), unix.EINVAL)
			s.refused("extent: "+what, f, f.Extent(r), unix.EINVAL)
		}
		s.refused("zero of nothing", f, f.Zero(&Request{Done: called}), unix.EINVAL)
		if s.direct {
			s.refused("part of a block", f, f.Write(&Request{Buf: buf[:100], Done: called}), unix.EINVAL)
			s.refused("between blocks", f, f.Write(&Request{Buf: buf, Offset: 7, Done: called}), unix.EINVAL)
		}
		// Buffers of nothing are no mistake.
		for _, r := range []*Request{{}, {Buffers: [][]byte{}}, {Buffers: [][]byte{nil, {}}}} {
			if n, err := s.do(f.Read, r); n != 0 || err != nil {
				t.Errorf("a read of nothing: %d, %v", n, err)
			}
			if n, err := s.do(f.Write, r); n != 0 || err != nil {
				t.Errorf("a write of nothing: %d, %v", n, err)
			}
		}
		under := &Request{Buf: buf, Done: func(*Request) {}}
		s.must(f.Read(under))
		s.refused("twice", f, f.Read(under), unix.EBUSY)
		s.until(func() bool { return under.file == nil })
		if got, err := os.ReadFile(name); err != nil || string(got) != string(patterned(8192, 0, 1)) {
			t.Errorf("something was written: %v", err)
		}
	})
}

func TestRequestsOnTheWrongGoroutine(t *testing.T) {
	s := epollSetup(t)
	f := s.open(s.create([]byte("x")), os.O_RDWR)
	_, err := s.loop.TryPoll()
	s.must(err)
	errs := make(chan error)
	r := &Request{Buf: make([]byte, 1), Done: func(*Request) {}}
	go func() { errs <- f.Read(r) }()
	s.refused("read", f, <-errs, aio.ErrWrongGoroutine)
	go func() { errs <- f.Close() }()
	s.refused("close", f, <-errs, aio.ErrWrongGoroutine)
	s.must(f.Read(r))
	go func() { errs <- r.Cancel() }()
	if err := <-errs; !errors.Is(err, aio.ErrWrongGoroutine) {
		t.Errorf("cancel: %v", err)
	}
	s.until(func() bool { return r.file == nil })
}

func TestRequestsAgainstTheAccessMode(t *testing.T) {
	s := epollSetup(t)
	name := s.create([]byte("abc"))
	done := func(*Request) { t.Error("called") }
	f := s.open(name, os.O_RDONLY)
	s.refused("write", f, f.Write(&Request{Buf: []byte("x"), Done: done}), unix.EBADF)
	s.refused("zero", f, f.Zero(&Request{Length: 1, Done: done}), unix.EBADF)
	s.refused("discard", f, f.Discard(&Request{Length: 1, Done: done}), unix.EBADF)
	if _, err := s.do(f.Sync, &Request{}); err != nil { // fsync(2) needs no writing
		t.Error(err)
	}
	s.close(f)
	f = s.open(name, os.O_WRONLY)
	s.refused("read", f, f.Read(&Request{Buf: make([]byte, 1), Done: done}), unix.EBADF)
}

func TestWhatIsNoFile(t *testing.T) {
	s := epollSetup(t)
	var pipe [2]int
	s.must(unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	dir, err := unix.Open(s.dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(dir)
	for what, fd := range map[string]int{"a pipe": pipe[0], "a directory": dir} {
		if _, err := New(s.loop, fd); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "block device") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := New(s.loop, -1); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
	if _, err := Open(s.loop, filepath.Join(s.dir, "nothing"), os.O_RDONLY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(s.loop, s.create(nil), os.O_RDWR|os.O_APPEND); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "O_APPEND") {
		t.Errorf("O_APPEND: %v", err)
	}
	path, err := unix.Open(s.create(nil), unix.O_PATH|unix.O_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(path)
	if _, err := New(s.loop, path); !errors.Is(err, unix.EBADF) {
		t.Errorf("O_PATH: %v", err)
	}
	f := s.open(s.create(nil), os.O_RDWR)
	if _, err := New(s.loop, f.FD()); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a descriptor that is a File already: %v", err)
	}
}

func TestOptionsOfAFile(t *testing.T) {
	s := epollSetup(t)
	name := s.create(nil)
	for what, opts := range map[string][]Option{
		"nil":       {nil},
		"depth 0":   {WithDepth(0)},
		"an engine": {WithEngine(7)},
		"twice":     {WithDepth(1), WithDepth(2)},
		"no ring":   {WithEngine(EngineIOUring)},
		"no direct": {WithEngine(EngineLinuxAIO)},
	} {
		if f, err := Open(s.loop, name, os.O_RDWR, opts...); err == nil || !strings.HasPrefix(err.Error(), "file: ") {
			t.Errorf("%s: %v, %v", what, f, err)
		}
	}
	f := s.open(name, os.O_RDWR, WithName("disk 0"))
	if f.Name() != "disk 0" {
		t.Errorf("the name is %q", f.Name())
	}
	wantPanic(t, func() { _ = f.Read(&Request{Buf: make([]byte, 1)}) })
}

func wantPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "file: ") {
			t.Errorf("panicked with %v", s)
		}
	}()
	f()
	t.Error("no panic")
}

func TestClosedFile(t *testing.T) {
	eachVariant(t, func(t *testing.T, s *setup) {
		f := s.open(s.create(make([]byte, 1<<20)), os.O_RDWR, WithDepth(3))
		var all [20]Request
		calls := 0
		for i := range all {
			all[i] = Request{Buf: f.Buffer(4096), Offset: int64(i) * 4096, Done: func(*Request) { calls++ }}
			s.must(f.Read(&all[i]))
		}
		fd := f.FD()
		s.must(f.Close())
		if calls != 0 {
			t.Error("Done was called inside Close")
		}
		s.refused("a second Close", f, f.Close(), os.ErrClosed)
		s.refused("read", f, f.Read(&Request{Done: func(*Request) {}}), os.ErrClosed)
		if _, err := f.Size(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("size: %v", err)
		}
		s.until(func() bool { return calls == len(all) })
		for i := range all {
			if err := all[i].Err; i < 3 && (err != nil || all[i].N != 4096) || i >= 3 && !errors.Is(err, unix.ECANCELED) {
				t.Errorf("request %d: %d, %v", i, all[i].N, err)
			}
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("the descriptor is still open: %v", err)
		}
	})
}

func TestFileThatIsLeftOpen(t *testing.T) {
	s := epollSetup(t)
	f := s.open(s.create(nil), os.O_RDWR)
	err := s.loop.Close()
	var leaks *aio.LeakError
	if !errors.As(err, &leaks) || len(leaks.Operations) != 1 || !strings.Contains(leaks.Operations[0], f.Name()) {
		t.Errorf("Close: %v", err)
	}
	if err := f.Read(&Request{Done: func(*Request) {}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}
