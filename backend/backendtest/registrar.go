package backendtest

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var registrarChecks = []check{
	{name: "registered_files", run: registeredFiles},
	{name: "registered_buffers", run: registeredBuffers},
	{name: "registered_files_survive_flush", run: registeredFilesSurviveFlush, bare: true},
}

// registrar returns nil, and says so, if no files can be registered with the Poller.
func (h *home) registrar(p backend.Poller) (backend.Submitter, backend.Registrar) {
	r, ok := p.(backend.Registrar)
	if !ok {
		h.Logf("%s is no Registrar", p.Name())
		return nil, nil
	}
	return p.(backend.Submitter), r
}

// register registers a file, unless the kernel knows no such thing.
func (h *home) register(r backend.Registrar, fd int) (index int, supported bool) {
	h.Helper()
	index, err := r.RegisterFile(fd)
	if errors.Is(err, errors.ErrUnsupported) {
		h.Logf("not supported, and says: %v", err)
		return 0, false
	}
	h.must("RegisterFile", err)
	return index, true
}

func registeredFiles(h *home) {
	s, r := h.registrar(h.p)
	if r == nil {
		return
	}
	files := []*descriptor{h.file("first"), h.file("other")}
	var index [2]int
	for i, f := range files {
		n, supported := h.register(r, f.fd)
		if !supported {
			return
		}
		index[i] = n
	}
	buf := make([]byte, 5)
	for i, want := range []string{"first", "other"} {
		h.does(s, backend.Request{Code: backend.OpRead, FixedFile: true, FD: index[i], Buf: buf}, 5)
		if string(buf) != want {
			h.Errorf("read %q, want %q", buf, want)
		}
	}
	h.must("UnregisterFile", r.UnregisterFile(index[0]))
	if _, err := h.do(s, backend.Request{Code: backend.OpRead, FixedFile: true, FD: index[0], Buf: buf}); !errors.Is(err, unix.EBADF) {
		h.Errorf("a file that is not registered any more: %v, want EBADF", err)
	}
	for _, n := range []int{index[0], -1, 1 << 20} {
		if err := r.UnregisterFile(n); !errors.Is(err, unix.ENOENT) {
			h.Errorf("UnregisterFile of %d, which is not registered: %v, want ENOENT", n, err)
		}
	}
	files[0].close()
	for _, fd := range []int{-1, files[0].fd} {
		if _, err := r.RegisterFile(fd); !errors.Is(err, unix.EBADF) {
			h.Errorf("registering fd %d, which is not open: %v, want EBADF", fd, err)
		}
	}
	h.useUpPlaces(r)
}

// useUpPlaces: the error of one file too many says so, and a place that is free again is used.
func (h *home) useUpPlaces(r backend.Registrar) {
	h.Helper()
	f := h.file("")
	last, err := 0, error(nil)
	for n := 0; n < 1<<16; n++ {
		index, e := r.RegisterFile(f.fd)
		if err = e; err != nil {
			break
		}
		last = index
	}
	if !errors.Is(err, unix.ENFILE) {
		h.Errorf("one file too many: %v, want ENFILE", err)
	}
	h.must("UnregisterFile", r.UnregisterFile(last))
	if n, err := r.RegisterFile(f.fd); n != last || err != nil {
		h.Errorf("the place that is free is %d: %d, %v", last, n, err)
	}
}

func registeredFilesSurviveFlush(h *home) {
	h.p = h.opened()
	defer h.p.Close()
	s, r := h.registrar(h.p)
	if r == nil {
		return
	}
	index, supported := h.register(r, h.file("hello").fd)
	if !supported {
		return
	}
	h.bind(h.p)
	if p, ok := h.p.(backend.Pollable); ok {
		h.must("Flush", p.Flush())
	}
	buf := make([]byte, 5)
	h.does(s, backend.Request{Code: backend.OpRead, FixedFile: true, FD: index, Buf: buf}, 5)
	if string(buf) != "hello" {
		h.Errorf("read %q", buf)
	}
}

func registeredBuffers(h *home) {
	s, r := h.registrar(h.p)
	if r == nil {
		return
	}
	memory := make([]byte, 3*4096)
	index, err := r.RegisterBuffer(memory)
	if errors.Is(err, errors.ErrUnsupported) {
		h.Logf("not supported, and says: %v", err)
		return
	}
	h.must("RegisterBuffer", err)
	f := h.file("0123456789")
	part := memory[5000:5004]
	h.does(s, backend.Request{Code: backend.OpRead, FixedBuffer: true, Buffer: index, FD: f.fd, Buf: part, Offset: 2}, 4)
	if string(part) != "2345" {
		h.Errorf("read %q", part)
	}
	h.does(s, backend.Request{Code: backend.OpWrite, FixedBuffer: true, Buffer: index, FD: f.fd, Buf: part, Offset: 8}, 4)
	if got := h.content(f); got != "012345672345" {
		h.Errorf("the file is %q", got)
	}
	if _, err := h.do(s, backend.Request{Code: backend.OpRead, FixedBuffer: true, Buffer: index, FD: f.fd, Buf: make([]byte, 4)}); !errors.Is(err, unix.EFAULT) {
		h.Errorf("a buffer elsewhere: %v, want EFAULT", err)
	}
	h.must("UnregisterBuffer", r.UnregisterBuffer(index))
	if _, err := h.do(s, backend.Request{Code: backend.OpRead, FixedBuffer: true, Buffer: index, FD: f.fd, Buf: part}); !errors.Is(err, unix.EFAULT) {
		h.Errorf("a buffer that is not registered any more: %v, want EFAULT", err)
	}
	for _, n := range []int{index, -1, 1 << 20} {
		if err := r.UnregisterBuffer(n); !errors.Is(err, unix.ENOENT) {
			h.Errorf("UnregisterBuffer of %d, which is not registered: %v, want ENOENT", n, err)
		}
	}
	if _, err := r.RegisterBuffer(nil); !errors.Is(err, unix.EINVAL) {
		h.Errorf("no buffer at all: %v, want EINVAL", err)
	}
	for n := 0; err == nil && n < 1<<16; n++ {
		_, err = r.RegisterBuffer(memory)
	}
	if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENOMEM) { // ENOMEM: of locked memory
		h.Errorf("one buffer too many: %v, want ENOBUFS", err)
	}
}
