//go:build linux

package file

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is a buffer that is registered with the loop's ring.
type memory struct {
	first, end uintptr // end is behind the last byte
	index      int
}

// Register has the kernel look up the pages of buf once, instead of for each request whose Buf lies
// within it, of all Files of the loop: with O_DIRECT that saves a part of each. The memory is locked and
// kept until Close of the loop; f.Buffer(n) is aligned as it should be. It fails where
// aio.Context.RegisterBuffer does: on all backends but io_uring, with errors.ErrUnsupported.
func (f *File) Register(buf []byte) error {
	if f.closed {
		return &Error{Op: "register", Name: f.name, Err: os.ErrClosed}
	}
	index, err := f.loop.RegisterBuffer(buf)
	if err != nil {
		return &Error{Op: "register", Name: f.name, Length: int64(len(buf)), Err: err}
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	f.all.memory = append(f.all.memory, memory{first, first + uintptr(len(buf)), index})
	return nil
}

// registered returns the index of the registered buffer that v lies within. The memory of a registered
// buffer does not move: the loop keeps it.
func (e *engines) registered(v *unix.Iovec) (index int, found bool) {
	first := uintptr(unsafe.Pointer(v.Base))
	for i := range e.memory {
		if m := &e.memory[i]; first >= m.first && first+uintptr(v.Len) <= m.end {
			return m.index, true
		}
	}
	return 0, false
}
