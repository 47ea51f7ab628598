//go:build linux

package file

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Error is what went wrong with a request: which, where, and what can be done about it.
type Error struct {
	Op     string // "read", "write", "sync", "sync of data", "zero", "discard", "extent"
	Name   string // of the file
	Offset int64
	Length int64
	Err    error // a unix.Errno, io.EOF or io.ErrShortWrite
}

// Error returns a sentence that begins with "file: ".
func (e *Error) Error() string {
	where := ""
	if e.Op != opNames[opSync] && e.Op != opNames[opSyncData] {
		where = fmt.Sprintf(" of %d bytes at %d", e.Length, e.Offset)
	}
	return fmt.Sprintf("file: %s: %s%s: %v%s", e.Name, e.Op, where, e.Err, advice(e.Err))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// advice is what to do, if that is known.
func advice(err error) string {
	for known, what := range map[error]string{
		unix.ENOSPC:     ": the device is full, try again when there is room",
		unix.EDQUOT:     ": the quota of the user is used up",
		unix.EFBIG:      ": the file would be larger than its filesystem, or RLIMIT_FSIZE, allows",
		unix.EROFS:      ": mount the filesystem for writing",
		unix.EBADF:      ": the file was not opened for that",
		unix.EAGAIN:     ": the kernel can make no worker thread: raise pids.max",
		unix.EOPNOTSUPP: ": the filesystem or device cannot do that",
		unix.ENOSYS:     ": a seccomp profile forbids that system call: allow it",
		unix.EPERM:      ": the file is immutable or sealed, or a seccomp profile forbids that system call",
		unix.EIO:        ": the device has failed, see the kernel's log",
	} {
		if errors.Is(err, known) {
			return what
		}
	}
	return ""
}

// fail makes the error of a request.
func (r *Request) fail(err error) error {
	return &Error{Op: opNames[r.op], Name: r.file.name, Offset: r.Offset, Length: r.length(), Err: err}
}
