package backendtest

import (
	"bytes"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// operationsOfEachKind: each code does what its system call does, where the kernel has it, and is
// refused elsewhere.
func operationsOfEachKind(h *home) {
	s := h.submitter()
	if s == nil {
		return
	}
	for code, run := range map[backend.OpCode]func(*home, backend.Submitter){
		backend.OpNop:       func(h *home, s backend.Submitter) { h.does(s, backend.Request{}, 0) },
		backend.OpRead:      readWithFlags,
		backend.OpWrite:     writeWithFlags,
		backend.OpReadv:     vectors,
		backend.OpWritev:    vectors,
		backend.OpFsync:     syncs,
		backend.OpFdatasync: syncs,
		backend.OpFallocate: allocates,
		backend.OpSplice:    splices,
		backend.OpAccept:    connects,
		backend.OpConnect:   connects,
		backend.OpRecv:      talks,
		backend.OpSend:      talks,
		backend.OpPoll:      polls,
		backend.OpTimeout:   timesOut,
		backend.OpRaw:       raw,
	} {
		if !s.Supports(code) {
			h.Logf("%v: this kernel has none", code)
			if err := s.Submit(&backend.Request{Code: code}); !errors.Is(err, errors.ErrUnsupported) {
				h.Errorf("%v, which is not supported: %v, want ErrUnsupported", code, err)
			}
			continue
		}
		run(h, s)
	}
	if s.Supports(250) {
		h.Error("a code that does not exist is supported")
	}
}

func readWithFlags(h *home, s backend.Submitter) {
	f := h.file("0123456789")
	b := make([]byte, 3)
	h.does(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: b, Offset: 5}, 3)
	if string(b) != "567" {
		h.Errorf("read %q", b)
	}
	if _, err := h.do(s, backend.Request{Code: backend.OpRead, FD: f.fd, Buf: b, Flags: 1 << 30}); !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		h.Errorf("a flag that does not exist: %v", err)
	}
}

func writeWithFlags(h *home, s backend.Submitter) {
	f := h.file("abc")
	h.does(s, backend.Request{Code: backend.OpWrite, FD: f.fd, Buf: []byte("de"), Flags: unix.RWF_APPEND}, 2)
	h.does(s, backend.Request{Code: backend.OpWrite, FD: f.fd, Buf: []byte("x"), Flags: unix.RWF_DSYNC, Offset: 1}, 1)
	if got := h.content(f); got != "axcde" {
		h.Errorf("the file is %q", got)
	}
}

// content returns what is in a small file.
func (h *home) content(f *descriptor) string {
	h.Helper()
	b := make([]byte, 1<<16)
	n, err := unix.Pread(f.fd, b, 0)
	h.must("pread", err)
	return string(b[:n])
}

// vector makes the vectors of buffers that are not empty.
func vector(buffers ...[]byte) []unix.Iovec {
	v := make([]unix.Iovec, len(buffers))
	for i, b := range buffers {
		v[i].Base = &b[0]
		v[i].SetLen(len(b))
	}
	return v
}

func vectors(h *home, s backend.Submitter) {
	f := h.file("..........")
	h.does(s, backend.Request{Code: backend.OpWritev, FD: f.fd, Vectors: vector([]byte("ab"), []byte("cde")), Offset: 2}, 5)
	if got := h.content(f); got != "..abcde..." {
		h.Errorf("the file is %q", got)
	}
	a, b := make([]byte, 1), make([]byte, 3)
	h.does(s, backend.Request{Code: backend.OpReadv, FD: f.fd, Vectors: vector(a, b), Offset: 3}, 4)
	if string(a)+string(b) != "bcde" {
		h.Errorf("read %q and %q", a, b)
	}
	h.does(s, backend.Request{Code: backend.OpReadv, FD: f.fd}, 0)
}

func syncs(h *home, s backend.Submitter) {
	f := h.file("x")
	h.does(s, backend.Request{Code: backend.OpFsync, FD: f.fd, Offset: 77}, 0)
	h.does(s, backend.Request{Code: backend.OpFdatasync, FD: f.fd}, 0)
	r, _ := h.pipeWith(0)
	for _, code := range []backend.OpCode{backend.OpFsync, backend.OpFdatasync} {
		if _, err := h.do(s, backend.Request{Code: code, FD: r.fd}); !errors.Is(err, unix.EINVAL) {
			h.Errorf("%v of a pipe: %v, want EINVAL", code, err)
		}
	}
}

func allocates(h *home, s backend.Submitter) {
	f := h.file("0123456789")
	n, err := h.do(s, backend.Request{Code: backend.OpFallocate, FD: f.fd, Offset: 8, Length: 100})
	if errors.Is(err, unix.EOPNOTSUPP) {
		h.Logf("fallocate: this filesystem has none")
		return
	}
	var stat unix.Stat_t
	if h.must("fstat", unix.Fstat(f.fd, &stat)); n != 0 || err != nil || stat.Size != 108 {
		h.Errorf("fallocate: %d, %v; the file has %d bytes, want 108", n, err, stat.Size)
	}
	const hole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	h.does(s, backend.Request{Code: backend.OpFallocate, FD: f.fd, Offset: 2, Length: 3, Flags: hole}, 0)
	if got := h.content(f)[:10]; got != "01\x00\x00\x0056789" {
		h.Errorf("with a hole the file is %q", got)
	}
}

func splices(h *home, s backend.Submitter) {
	from, to := h.file("0123456789"), h.file("")
	r, w := h.pipeWith(0)
	h.does(s, backend.Request{Code: backend.OpSplice, Source: from.fd, SourceOffset: 3, FD: w.fd, Offset: -1, Length: 4}, 4)
	h.does(s, backend.Request{Code: backend.OpSplice, Source: r.fd, SourceOffset: -1, FD: to.fd, Length: 100}, 4)
	if got := h.content(to); got != "3456" {
		h.Errorf("the file is %q", got)
	}
}

// connects: an address of each kind, a connection that is accepted and one that is refused.
func connects(h *home, s backend.Submitter) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	h.must("socket", err)
	h.descriptor(listener)
	h.must("bind", unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	h.must("listen", unix.Listen(listener, 1))
	name, err := unix.Getsockname(listener)
	h.must("getsockname", err)
	accept := &backend.Request{Code: backend.OpAccept, FD: listener, Flags: unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}
	connect := &backend.Request{Code: backend.OpConnect, FD: h.socket(unix.AF_INET), Buf: h.address(name)}
	h.must("Submit", s.Submit(accept))
	h.must("Submit", s.Submit(connect))
	h.finished(s, 2)
	if accept.Err() != nil || connect.Err() != nil {
		h.Fatalf("accept: %v, connect: %v", accept.Err(), connect.Err())
	}
	h.descriptor(int(accept.Result))
	flags, err := unix.FcntlInt(uintptr(accept.Result), unix.F_GETFL, 0)
	if h.must("fcntl", err); flags&unix.O_NONBLOCK == 0 {
		h.Error("the flags of the accept are lost")
	}
	for family, free := range map[int]unix.Sockaddr{
		unix.AF_INET:  &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}},
		unix.AF_INET6: &unix.SockaddrInet6{Port: 1, Addr: [16]byte{15: 1}},
		unix.AF_UNIX:  &unix.SockaddrUnix{Name: "@aioloop test, without a listener"},
	} {
		_, err := h.do(s, backend.Request{Code: backend.OpConnect, FD: h.socket(family), Buf: h.address(free)})
		if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			h.Errorf("family %d: %v, want ECONNREFUSED", family, err)
		}
	}
}

func (h *home) address(a unix.Sockaddr) []byte {
	h.Helper()
	b, err := backend.SocketAddress(a)
	h.must("SocketAddress", err)
	return b
}

func (h *home) socket(family int) int {
	h.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	h.must("socket", err)
	h.descriptor(fd)
	return fd
}

func talks(h *home, s backend.Submitter) {
	a, b := h.socketpair()
	h.does(s, backend.Request{Code: backend.OpSend, FD: a.fd, Buf: []byte("hello")}, 5)
	buf := make([]byte, 9)
	h.does(s, backend.Request{Code: backend.OpRecv, FD: b.fd, Buf: buf, Flags: unix.MSG_PEEK}, 5)
	h.does(s, backend.Request{Code: backend.OpRecv, FD: b.fd, Buf: buf[5:], Flags: unix.MSG_DONTWAIT}, 4)
	if !bytes.Equal(buf, []byte("hellohell")) {
		h.Errorf("received %q", buf)
	}
	b.close()
	if _, err := h.do(s, backend.Request{Code: backend.OpSend, FD: a.fd, Buf: []byte("x"), Flags: unix.MSG_NOSIGNAL}); !errors.Is(err, unix.EPIPE) {
		h.Errorf("sending to a closed socket: %v, want EPIPE", err)
	}
}

func polls(h *home, s backend.Submitter) {
	e := h.eventfd(0)
	r := &backend.Request{Code: backend.OpPoll, FD: e.fd, Flags: unix.POLLIN}
	h.must("Submit", s.Submit(r))
	h.quiet()
	e.signal()
	if h.finished(s, 1); r.Result != unix.POLLIN {
		h.Errorf("the poll ended with %#x, want POLLIN", r.Result)
	}
}

func timesOut(h *home, s backend.Submitter) {
	const d = 3 * time.Millisecond
	start := time.Now()
	h.does(s, backend.Request{Code: backend.OpTimeout, Length: int64(d)}, 0)
	if after := time.Since(start); after < d {
		h.Errorf("a timeout of %v was over after %v", d, after)
	}
	never := &backend.Request{Code: backend.OpTimeout, Length: int64(time.Hour)}
	h.must("Submit", s.Submit(never))
	h.wait(0)
	h.must("Cancel", s.Cancel(never))
	if h.finished(s, 1); never.Err() != unix.ECANCELED {
		h.Errorf("a timeout that was cancelled: %v", never.Err())
	}
}

// raw: what is in the entry, but for its user data.
func raw(h *home, s backend.Submitter) {
	entry := new([64]byte) // of a nop
	entry[32] = 0xff       // the user data
	h.does(s, backend.Request{Code: backend.OpRaw, Raw: entry}, 0)
	entry[0] = 0xff // an operation that does not exist
	if _, err := h.do(s, backend.Request{Code: backend.OpRaw, Raw: entry}); !errors.Is(err, unix.EINVAL) {
		h.Errorf("an unknown operation: %v, want EINVAL", err)
	}
}
