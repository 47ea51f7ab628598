package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// IoSetup is io_setup(2) for that many requests. The context that it returns is the address
// where the kernel has mapped the ring of completions.
func IoSetup(requests int) (context unsafe.Pointer, err error) {
	if err := FaultOf(CallIoSetup); err != nil {
		return nil, err
	}
	_, _, errno := syscall.Syscall(unix.SYS_IO_SETUP, uintptr(requests), uintptr(unsafe.Pointer(&context)), 0)
	_, err = result(0, errno)
	return context, err
}

// IoSubmit is io_submit(2). It returns how many of the requests, each a struct iocb, the kernel
// has taken: those before the first that it does not take. The errno is that of the first one.
// It may sleep.
func IoSubmit(context unsafe.Pointer, requests []unsafe.Pointer) (int, error) {
	f := fault(CallIoSubmit)
	if f.Errno != 0 {
		return 0, f.Errno
	}
	requests = requests[:f.room(len(requests))]
	p := unsafe.Pointer(unsafe.SliceData(requests))
	r, _, errno := syscall.Syscall(unix.SYS_IO_SUBMIT, uintptr(context), uintptr(len(requests)), uintptr(p))
	return result(r, errno)
}

// IoGetevents is io_getevents(2) that does not sleep. It returns how many of the n structs
// io_event that events points to the kernel has filled in.
func IoGetevents(context, events unsafe.Pointer, n int) (int, error) {
	f := fault(CallIoGetevents)
	if f.Errno != 0 {
		return 0, f.Errno
	}
	var now unix.Timespec
	r, _, errno := syscall.RawSyscall6(unix.SYS_IO_GETEVENTS, uintptr(context), 0, uintptr(f.room(n)), uintptr(events), uintptr(unsafe.Pointer(&now)), 0)
	return result(r, errno)
}

// IoCancel is io_cancel(2). EINPROGRESS means that the request, a struct iocb, is cancelled and
// completes through the ring. The kernel refuses most kinds of requests with EINVAL.
func IoCancel(context, request unsafe.Pointer) error {
	if err := FaultOf(CallIoCancel); err != nil {
		return err
	}
	var event [4]uint64 // struct io_event, which kernels since 3.13 do not fill in
	_, _, errno := syscall.RawSyscall(unix.SYS_IO_CANCEL, uintptr(context), uintptr(request), uintptr(unsafe.Pointer(&event)))
	_, err := result(0, errno)
	return err
}

// IoDestroy is io_destroy(2). It sleeps until nothing of the context is under way, and unmaps the
// ring.
func IoDestroy(context unsafe.Pointer) error {
	if err := FaultOf(CallIoDestroy); err != nil {
		return err
	}
	_, _, errno := syscall.Syscall(unix.SYS_IO_DESTROY, uintptr(context), 0, 0)
	_, err := result(0, errno)
	return err
}
