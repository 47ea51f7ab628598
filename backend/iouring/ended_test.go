package iouring

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/uring"
)

// An ended multishot request whose descriptor is removed before the next Wait is not
// revived: its slot is in use again.
func TestRemovedWhileEnded(t *testing.T) {
	p := openVariant(t, func(c *config) { c.multishot = true })
	must(t, p.Bind())
	first := eventfd(t, 0)
	must(t, p.Add(first, backend.In|backend.Edge, 1))
	wait(t, p, 0)
	s := p.table.At(0)
	s.X.armed = false // the completion without "more"
	p.again(0, s, 1)
	must(t, p.Remove(first))
	wait(t, p, 0)
	want := map[backend.Tag]bool{11: true, 12: true}
	for tag := range want {
		must(t, p.Add(eventfd(t, 1), backend.In, tag))
	}
	for range 10 {
		for _, e := range wait(t, p, 0) {
			delete(want, e.Tag)
		}
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v", want)
	}
}

// The kernel's length has 32 bits, and read(2) takes no more than 2 GiB less a page.
func TestBufferOfMoreThanTwoGiB(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) < 8 {
		t.Skip("no buffer is that long with pointers of 32 bits")
	}
	const lengthAt = 24 // in struct io_uring_sqe
	for _, length := range []uint64{1 << 31, 1<<32 + 1} {
		buf, err := unix.Mmap(-1, 0, int(length), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		must(t, err)
		defer unix.Munmap(buf)
		for _, code := range []backend.OpCode{backend.OpRead, backend.OpWrite} {
			var e uring.SQE
			prepareRequest(&e, &backend.Request{Code: code, Buf: buf})
			if got := *(*uint32)(unsafe.Add(unsafe.Pointer(&e), lengthAt)); got != 1<<31-1 {
				t.Errorf("%v of %d bytes asks for %d", code, length, got)
			}
		}
	}
}
