package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewEventfd returns a non-blocking, close-on-exec eventfd(2) whose counter is 0.
func NewEventfd() (int, error) {
	return unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
}

// WriteEventfd adds 1 to the counter of a non-blocking eventfd. It fails with
// EAGAIN only when the counter is at its limit of 2^64-2.
func WriteEventfd(fd int) error {
	one := uint64(1)
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
		if errno != unix.EINTR {
			_, err := result(0, errno)
			return err
		}
	}
}

// ReadEventfd returns the counter of a non-blocking eventfd and sets it to 0. It
// fails with EAGAIN when the counter is 0.
func ReadEventfd(fd int) (uint64, error) {
	var count uint64
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		if errno != unix.EINTR {
			_, err := result(0, errno)
			return count, err
		}
	}
}
