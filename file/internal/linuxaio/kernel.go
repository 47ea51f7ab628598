//go:build linux

package linuxaio

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// kernel is an AIO context, without what its requests mean.
type kernel struct {
	context unsafe.Pointer // the address of the ring, memory of the kernel's
	ring    ring
	events  []event // room for those that reap takes
}

// openKernel makes a context for that many requests.
func openKernel(depth int) (*kernel, error) {
	context, err := sys.IoSetup(depth)
	if err == nil && context == nil { // a filter that feigns success
		err = unix.ENOSYS
	}
	if err != nil {
		return nil, noContext(depth, err)
	}
	k := &kernel{context: context, events: make([]event, min(depth, maxEvents))}
	if k.ring, _ = viewRing(context); !k.ring.readable() {
		if _, err := k.ask(); err != nil {
			return nil, errors.Join(noContext(depth, err), k.destroy())
		}
	}
	return k, nil
}

// maxEvents is so many completions that one look takes.
const maxEvents = 64

// noContext says why there is no context.
func noContext(depth int, errno error) error {
	err := os.NewSyscallError("io_setup", errno)
	switch errno {
	case unix.EAGAIN: // the system's limit
		return fmt.Errorf("linuxaio: %d requests: %w: the sysctl fs.aio-max-nr%s is reached: raise it, or use fewer loops", depth, err, limit())
	case unix.ENOMEM, unix.EINVAL: // EINVAL: a depth without sense
		return fmt.Errorf("linuxaio: %d requests: %w", depth, err)
	}
	// ENOSYS: a kernel without CONFIG_AIO. EPERM, EACCES and what else a filter's author chose.
	return fmt.Errorf("linuxaio: %w: %w", err, errors.ErrUnsupported)
}

// limit returns the value of the sysctl, for an error.
func limit() string {
	text, err := os.ReadFile("/proc/sys/fs/aio-max-nr")
	if err != nil {
		return ""
	}
	return " (" + strings.TrimSpace(string(text)) + ")"
}

// submit returns how many requests the kernel has taken. If it has taken none, err is why not the
// first.
func (k *kernel) submit(requests []unsafe.Pointer) (n int, err error) {
	n, err = sys.IoSubmit(k.context, requests)
	if n == 0 && err == nil {
		err = unix.EAGAIN
	}
	return n, err
}

// isTransient reports whether a request that was refused so may be taken later.
//
// EAGAIN: the kernel has no room in the context, or no memory. ENOMEM: no memory for the vector.
// EINTR: of a filter, the call itself cannot be interrupted.
func isTransient(err error) bool {
	return err == unix.EAGAIN || err == unix.ENOMEM || err == unix.EINTR
}

// reap takes completions, which are good until the next reap. more says that there may be others.
func (k *kernel) reap() (events []event, more bool, err error) {
	if k.ring.readable() {
		n := k.ring.take(k.events)
		return k.events[:n], n == len(k.events), nil
	}
	n, err := k.ask()
	return k.events[:n], n > 0, err
}

// ask is reap with a system call.
func (k *kernel) ask() (n int, err error) {
	for range sys.MaxInterrupts {
		n, err = sys.IoGetevents(k.context, unsafe.Pointer(unsafe.SliceData(k.events)), len(k.events))
		if err != unix.EINTR {
			break
		}
	}
	return n, err
}

// cancel asks the kernel to give a request up. What comes of it is in the completion.
func (k *kernel) cancel(request *iocb) { _ = sys.IoCancel(k.context, unsafe.Pointer(request)) }

// destroy sleeps until nothing is under way. If it fails, the kernel goes on.
func (k *kernel) destroy() error {
	return os.NewSyscallError("io_destroy", sys.IoDestroy(k.context))
}
