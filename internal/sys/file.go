package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadNow is preadv2(2) with RWF_NOWAIT: it reads what needs no waiting. It keeps its thread from
// the scheduler, which is right for a copy that ends immediately. Errors are EAGAIN (nothing is in
// memory), EOPNOTSUPP (the file cannot tell) and those of read(2).
func ReadNow(fd int, vectors []unix.Iovec, offset int64) (n int, errno unix.Errno) {
	return now(CallPreadv2, unix.SYS_PREADV2, fd, vectors, offset)
}

// WriteNow is pwritev2(2) in the same way.
func WriteNow(fd int, vectors []unix.Iovec, offset int64) (n int, errno unix.Errno) {
	return now(CallPwritev2, unix.SYS_PWRITEV2, fd, vectors, offset)
}

func now(call Call, number uintptr, fd int, vectors []unix.Iovec, offset int64) (int, unix.Errno) {
	vectors, errno := faulty(call, vectors)
	if errno != 0 {
		return -1, errno
	}
	low, high := halves(offset)
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(vectors))), uintptr(len(vectors)), low, high, unix.RWF_NOWAIT)
	return int(n), errno
}

// ReadAt is preadv(2), for a goroutine that may wait.
func ReadAt(fd int, vectors []unix.Iovec, offset int64) (n int, errno unix.Errno) {
	return waiting(CallPreadv, unix.SYS_PREADV, fd, vectors, offset)
}

// WriteAt is pwritev(2), for a goroutine that may wait.
func WriteAt(fd int, vectors []unix.Iovec, offset int64) (n int, errno unix.Errno) {
	return waiting(CallPwritev, unix.SYS_PWRITEV, fd, vectors, offset)
}

func waiting(call Call, number uintptr, fd int, vectors []unix.Iovec, offset int64) (int, unix.Errno) {
	vectors, errno := faulty(call, vectors)
	if errno != 0 {
		return -1, errno
	}
	low, high := halves(offset)
	n, _, errno := syscall.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(vectors))), uintptr(len(vectors)), low, high, 0)
	return int(n), errno
}

// faulty returns what a test leaves of the vectors of a call, or the errno that it wants.
func faulty(call Call, vectors []unix.Iovec) ([]unix.Iovec, unix.Errno) {
	f := fault(call)
	if f.Room > 0 {
		vectors = shortened(vectors, f.Room)
	}
	return vectors, f.Errno
}

// Fsync is fsync(2), or fdatasync(2) for the data only.
func Fsync(fd int, dataOnly bool) error {
	if f := fault(CallFsync); f.Errno != 0 {
		return f.Errno
	}
	if dataOnly {
		return unix.Fdatasync(fd)
	}
	return unix.Fsync(fd)
}

// Fallocate is fallocate(2).
func Fallocate(fd int, mode uint32, offset, length int64) error {
	if f := fault(CallFallocate); f.Errno != 0 {
		return f.Errno
	}
	return unix.Fallocate(fd, mode, offset, length)
}

// Seek is lseek(2), which with SEEK_DATA and SEEK_HOLE may read from the disk.
func Seek(fd int, offset int64, whence int) (int64, error) {
	if f := fault(CallLseek); f.Errno != 0 {
		return 0, f.Errno
	}
	return unix.Seek(fd, offset, whence)
}

// halves are the two arguments that the kernel takes an offset in.
func halves(offset int64) (low, high uintptr) {
	if unsafe.Sizeof(low) == 8 {
		return uintptr(offset), 0
	}
	return uintptr(uint32(offset)), uintptr(uint32(offset >> 32))
}

// shortened makes vectors of at most n bytes.
func shortened(vectors []unix.Iovec, n int) (short []unix.Iovec) {
	for _, v := range vectors {
		if n == 0 {
			break
		}
		v.SetLen(min(int(v.Len), n))
		n -= int(v.Len)
		short = append(short, v)
	}
	return short
}
