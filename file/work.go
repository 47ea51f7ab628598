//go:build linux

package file

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// work does a request with calls that block, on a worker of the pool.
func (t *task) work() error {
	r := t.r
	f := r.file
	switch r.op {
	case opRead:
		t.count(sys.ReadAt(f.fd, r.vectors, r.position))
	case opWrite:
		t.count(sys.WriteAt(f.fd, r.vectors, r.position))
	case opSync, opSyncData:
		t.fail(sys.Fsync(f.fd, r.op == opSyncData))
	case opZero:
		t.fail(f.zero(r.Offset, r.Length))
	case opDiscard:
		t.fail(discard(f.fd, r.Offset, r.Length))
	case opExtent:
		t.extent()
	}
	return nil
}

func (t *task) count(n int, errno unix.Errno) {
	t.result = int64(n)
	if errno != 0 {
		t.result = -int64(errno)
	}
}

func (t *task) fail(err error) {
	var errno unix.Errno
	switch {
	case err == nil:
	case errors.As(err, &errno):
		t.result = -int64(errno)
	default:
		t.result = -int64(unix.EIO)
	}
}

// writesZeros reports whether zeros have to be written after fallocate(2) has failed with errno. EBUSY:
// a device has another owner, too, or its pages are in use, and Linux 5.10 asks for it alone.
func (f *File) writesZeros(errno unix.Errno) bool {
	return errno == unix.EOPNOTSUPP || errno == unix.ENOSYS || errno == unix.EBUSY && f.device
}

// zero writes zeros where the filesystem has no shorter way, or a filter of system calls forbids it.
func (f *File) zero(offset, length int64) error {
	err := sys.Fallocate(f.fd, modes[opZero], offset, length)
	if errno, ok := err.(unix.Errno); !ok || !f.writesZeros(errno) {
		return err
	}
	zeros := aligned(int(min(length, 1<<20)), int(max(f.memory, 1)))
	for length > 0 {
		v := vector(zeros[:min(length, int64(len(zeros)))])
		n, errno := sys.WriteAt(f.fd, []unix.Iovec{v}, offset)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return errno
		case n == 0:
			return unix.EIO
		}
		offset += int64(n)
		length -= int64(n)
	}
	return nil
}

// discard is EOPNOTSUPP where a filter of system calls forbids it.
func discard(fd int, offset, length int64) error {
	err := sys.Fallocate(fd, modes[opDiscard], offset, length)
	if errors.Is(err, unix.ENOSYS) {
		return unix.EOPNOTSUPP
	}
	return err
}

// extent finds where the data, or the hole, at the offset ends. The file's own position moves, which
// nothing else here uses.
//
// The kernel is asked twice, and what it says of one place may change in between without a write to it:
// space that was allocated and not written counts as data while a page of it is in memory. Then
// data that was just there ends where it begins, and the kernel is asked again.
func (t *task) extent() {
	r := t.r
	for range extentTries {
		end, hole, err := extentAt(r.file.fd, r.Offset)
		if err != nil {
			t.fail(err)
			return
		}
		if end > r.Offset {
			r.Hole = hole
			r.extends(end)
			return
		}
		if end < 0 {
			return
		}
	}
	r.extends(r.Offset + 1) // to call it data is never wrong
}

// extentTries is how often the kernel may change its mind.
const extentTries = 8

// extends notes where the extent ends.
func (r *Request) extends(end int64) {
	r.moved = end - r.Offset
	if r.Length > 0 {
		r.moved = min(r.moved, r.Length)
	}
}

// extentAt returns -1 if the file ends before the offset, and the offset itself if the kernel has
// changed its mind.
func extentAt(fd int, offset int64) (end int64, hole bool, err error) {
	size, err := unix.Seek(fd, 0, io.SeekEnd)
	if err != nil || offset >= size {
		return -1, false, err
	}
	data, err := sys.Seek(fd, offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // there is none behind it
		return size, true, nil
	case errors.Is(err, unix.EINVAL): // the filesystem does not know: all is data
		return size, false, nil
	case err != nil:
		return 0, false, err
	case data > offset:
		return data, true, nil
	}
	end, err = sys.Seek(fd, offset, unix.SEEK_HOLE)
	if errors.Is(err, unix.ENXIO) { // the file has become shorter
		return offset, false, nil
	}
	return end, false, err
}
