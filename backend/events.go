package backend

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Events is a set of conditions, with the bit values of poll(2), which epoll(7)
// and io_uring share.
type Events uint32

// What can be asked for. Err, Hup and Nval are only ever reported.
const (
	In    Events = unix.POLLIN    // there is something to read, or to accept
	Pri   Events = unix.POLLPRI   // an exceptional condition: out-of-band data, a sysfs change
	Out   Events = unix.POLLOUT   // a write would not block
	RdHup Events = unix.POLLRDHUP // a stream socket's peer has shut down its writing half
	Err   Events = unix.POLLERR   // an error, or the reader of a pipe is gone
	Hup   Events = unix.POLLHUP   // the other end is closed
	Nval  Events = unix.POLLNVAL  // the descriptor was closed while registered; reported once, where the kernel tells

	// Edge asks to be told of changes only: one event for each time that the
	// condition arises again, one if it holds at Add or Modify. The caller goes on
	// reading or writing until EAGAIN. It is a permission, not an order: a Poller
	// that is not EdgeTriggered, and each Poller for a descriptor that is always
	// ready, reports as if it had not been asked.
	Edge Events = 1 << 31
)

// asked are the bits that Add and Modify take.
const asked = In | Pri | Out | RdHup | Edge

// Readable reports whether there is something to read, or to accept.
func (e Events) Readable() bool { return e&In != 0 }

// Writable reports whether a write would not block.
func (e Events) Writable() bool { return e&Out != 0 }

// Priority reports whether there is an exceptional condition.
func (e Events) Priority() bool { return e&Pri != 0 }

// HangUp reports whether the other end is closed, or a stream socket's peer writes no more. There
// may be something to read all the same.
func (e Events) HangUp() bool { return e&(Hup|RdHup) != 0 }

// Error reports whether there is an error: the SO_ERROR of a socket, or a pipe without a reader.
func (e Events) Error() bool { return e&(Err|Nval) != 0 }

var eventNames = []struct {
	bit  Events
	name string
}{
	{In, "in"}, {Pri, "pri"}, {Out, "out"}, {RdHup, "rdhup"},
	{Err, "err"}, {Hup, "hup"}, {Nval, "nval"}, {Edge, "edge"},
}

// String returns the names of the bits, joined by "|"; "0" if there are none.
func (e Events) String() string {
	if e == 0 {
		return "0"
	}
	var names []string
	for _, n := range eventNames {
		if e&n.bit != 0 {
			names = append(names, n.name)
			e &^= n.bit
		}
	}
	if e != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(e)))
	}
	return strings.Join(names, "|")
}

// Check returns EINVAL if e has bits that cannot be asked for. Implementations
// of Add and Modify call it first, so that all refuse the same sets.
func (e Events) Check() error {
	if e&^asked != 0 {
		return unix.EINVAL
	}
	return nil
}
