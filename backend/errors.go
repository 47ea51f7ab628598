package backend

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by a Poller that has been closed. It matches os.ErrClosed.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string        { return "poller is closed" }
func (closedError) Is(target error) bool { return target == os.ErrClosed }

// The obstacles that can make a backend unavailable. An *UnavailableError wraps
// those that were found, and the errno.
var (
	ErrKernel  = errors.New("the kernel does not offer it")
	ErrSeccomp = errors.New("a seccomp filter forbids it")
	ErrSysctl  = errors.New("the sysctl kernel.io_uring_disabled forbids it")
	ErrMemlock = errors.New("the limit of locked memory (RLIMIT_MEMLOCK) is too low")
	ErrFDLimit = errors.New("the limit of open files (RLIMIT_NOFILE) is reached")
	ErrMemory  = errors.New("the kernel has no memory for it")
)

// ErrUnavailable matches every *UnavailableError with errors.Is.
var ErrUnavailable = errors.New("backend is not available here")

// UnavailableError says why a backend cannot be used here and what would help.
type UnavailableError struct {
	Backend string // "io_uring"
	Op      string // the call that failed: "io_uring_setup"
	Err     error  // the errno
	Causes  []error
	Advice  string // what the user can change
}

func (e *UnavailableError) Error() string {
	s := fmt.Sprintf("%s is not available here: %s: %v", e.Backend, e.Op, e.Err)
	for i, c := range e.Causes {
		s += [...]string{": ", ", or "}[min(i, 1)] + c.Error()
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

// Unwrap lets errors.Is find ErrUnavailable, the causes and the errno.
func (e *UnavailableError) Unwrap() []error {
	return append([]error{ErrUnavailable, e.Err}, e.Causes...)
}

// FDError is what Add, Modify and Remove fail with. It wraps an errno.
type FDError struct {
	Backend string
	Op      string // "add", "modify" or "remove"
	FD      int
	Err     error
}

func (e *FDError) Error() string {
	return fmt.Sprintf("%s: %s fd %d: %v%s", e.Backend, e.Op, e.FD, e.Err, e.advice())
}

// Unwrap returns the errno.
func (e *FDError) Unwrap() error { return e.Err }

// advice tells what each errno means for a caller of this contract.
func (e *FDError) advice() string {
	switch e.Err {
	case unix.EBADF: // closed, never opened, negative, or opened with O_PATH
		return " (the descriptor is not open for polling)"
	case unix.EEXIST: // also after a close without Remove, when the number is used again
		return " (it is registered already: Modify it, or Remove it before it is closed)"
	case unix.EPERM: // Priority of a file that cannot wait
		return " (the file has no priority events: it is a regular file, or the like)"
	case unix.ENOENT:
		return " (it is not registered)"
	case unix.EINVAL:
		return " (these events cannot be asked for)"
	case unix.ELOOP: // epoll only
		return " (epoll descriptors nest no deeper than five, and not in a circle: watch what the inner one watches)"
	case unix.ENOSPC: // epoll only: /proc/sys/fs/epoll/max_user_watches
		return " (raise the sysctl fs.epoll.max_user_watches)"
	}
	return ""
}
