package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewEventfd returns a non-blocking, close-on-exec eventfd(2) whose counter is 0.
func NewEventfd() (int, error) {
	if err := FaultOf(CallEventfd); err != nil {
		return -1, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		Opened(fd, KindEventfd)
	}
	return fd, err
}

// WriteEventfd adds 1 to the counter of a non-blocking eventfd. It fails with
// EAGAIN only when the counter is at its limit of 2^64-2.
func WriteEventfd(fd int) (err error) {
	for range MaxInterrupts {
		if err = writeOnce(fd); err != unix.EINTR {
			break
		}
	}
	return err
}

func writeOnce(fd int) error {
	if err := FaultOf(CallEventfdWrite); err != nil {
		return err
	}
	one := uint64(1)
	_, _, errno := syscall.RawSyscall6(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one), 0, 0, 0)
	_, err := result(0, errno)
	return err
}

// ReadEventfd returns the counter of a non-blocking eventfd and sets it to 0. It
// fails with EAGAIN when the counter is 0.
func ReadEventfd(fd int) (count uint64, err error) {
	for range MaxInterrupts {
		if count, err = readOnce(fd); err != unix.EINTR {
			break
		}
	}
	return count, err
}

func readOnce(fd int) (count uint64, err error) {
	if err := FaultOf(CallEventfdRead); err != nil {
		return 0, err
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count), 0, 0, 0)
	_, err = result(0, errno)
	return count, err
}
