// Package backend is the contract between an event loop and the kernel interface
// that it waits on.
//
// It is to package aio what database/sql/driver is to database/sql: programs use
// aio; only authors and testers of a Poller come here.
// The implementations are backend/ppoll, backend/epoll and backend/iouring; the
// suite that all of them pass, and a stranger's must, is backend/backendtest.
package backend

import (
	"time"

	"golang.org/x/sys/unix"
)

// Tag is the caller's name for a registration. The Poller gives it back with each
// event and does not look inside. A caller that reuses indices makes each use a
// new generation, so that it can tell a late event from a new one.
type Tag uint64

// MakeTag joins an index, for example into a table of handlers, and the number of
// times that this index has been used.
func MakeTag(index, generation uint32) Tag {
	return Tag(generation)<<32 | Tag(index)
}

// Index returns the first argument of MakeTag.
func (t Tag) Index() uint32 { return uint32(t) }

// Generation returns the second argument of MakeTag.
func (t Tag) Generation() uint32 { return uint32(t >> 32) }

// Ready is one event: what has happened, and to which registration.
type Ready struct {
	Tag    Tag
	Events Events
}

// Forever is the timeout of a Wait that only an event ends. Any negative timeout
// means the same.
const Forever time.Duration = -1

// Poller waits for events on file descriptors.
//
// Add, Modify and Remove may be called from any goroutine, even while Wait
// blocks, and never wait for it. A change made while Wait blocks is certain to
// hold from the next Wait on: its caller wakes the Wait up (aio.Context
// writes to an eventfd that it has registered).
//
// A descriptor must stay open from Add until Remove has returned, and is closed
// only after that. Pollers do not close, read, write or change the flags of a
// registered descriptor.
//
// What is not guaranteed: an order between events of different descriptors; one
// event per cause (several causes may be seen as one event, and an event may be
// spurious); which of the events a Wait with too short a slice reports first.
type Poller interface {
	// Name is the backend's name as users choose it, "epoll" for example.
	Name() string

	// Add starts to watch fd. A level-triggered registration is reported by each
	// Wait for as long as the condition holds, even if it held before Add; Err
	// and Hup are reported without being asked for. With Edge see Events.
	//
	// A descriptor that cannot wait, a regular file or /dev/null, is always
	// ready for In and Out, as poll(2) says, on each backend.
	//
	// It fails with EBADF if fd is not open, EEXIST if it is registered already,
	// EINVAL if events has bits that cannot be asked for; the error is a *FDError.
	Add(fd int, events Events, tag Tag) error

	// Modify replaces the events and the tag of a registered fd. Events that were
	// collected for the old registration are not reported afterwards. It fails
	// with ENOENT if fd is not registered, and otherwise like Add.
	Modify(fd int, events Events, tag Tag) error

	// Remove ends a registration. No later Wait reports it, whatever happens to
	// the descriptor and its number, and once the next Wait has begun the Poller
	// holds no reference to the file. On the home goroutine it holds none when
	// Remove returns. It fails with ENOENT if fd is not registered.
	Remove(fd int) error

	// Wait collects up to len(ready) events, waiting at most timeout for the
	// first. It is called from one goroutine only, the home goroutine. It returns
	// 0 when the time is up, and it may return 0 early. A signal that interrupts
	// it does not lengthen the timeout. If more is ready than fits, the following
	// calls report the rest, in turns. Steady state allocates nothing. It fails
	// with EINVAL if ready is empty.
	Wait(ready []Ready, timeout time.Duration) (int, error)

	// Close releases everything. It must not be called while Wait runs; a second
	// call does nothing. Every other method fails with ErrClosed afterwards.
	Close() error
}

// The rest of this file are capabilities that only some Pollers have. A caller
// finds out by a type assertion.

// EdgeTriggered is a Poller that honours Edge.
type EdgeTriggered interface {
	// EdgeTriggered reports whether the kernel at hand offers it.
	EdgeTriggered() bool
}

// Binder is a Poller whose Wait belongs to one operating system thread.
type Binder interface {
	// Bind makes the calling thread the one that waits. The caller has locked its
	// goroutine to the thread and keeps it locked until Close. Add, Modify and
	// Remove work before Bind. A second call from the same thread does nothing;
	// from another one it fails.
	Bind() error
}

// Stayer is a Binder that waits faster while its thread is known to stay.
type Stayer interface {
	// Stay says that the calling thread, that of Bind, waits until Leave, and that no
	// other closes the Poller before. A second Stay before Leave does nothing.
	Stay()
	// Leave ends that, on the same thread. Without Stay it does nothing.
	Leave() error
}

// Batcher is a Poller whose Wait can stay for more than one event.
type Batcher interface {
	// Batch makes each Wait that has an event go on until there are n, but for at most d. It
	// is called before the first Wait. It fails with errors.ErrUnsupported if the kernel
	// cannot do that.
	Batch(n int, d time.Duration) error
}

// Peeker is a Poller that shows readiness in user space.
type Peeker interface {
	// Peek reports, without a system call, whether a Wait would find something
	// that has happened since the last Wait. It need not know of changes, and of
	// what the last Wait reported, before the next Wait or Flush. It is called
	// from the home goroutine.
	Peek() bool
}

// Pollable is a Poller that can itself be waited for by a foreign loop.
type Pollable interface {
	// PollFD returns a descriptor, owned by the Poller, that is readable when a
	// Wait would return immediately, from the first Flush on; -1 after Close. It is
	// called from the home goroutine. A Wait or Flush may replace the descriptor by
	// one with another number. Flush must have been called after
	// the last Wait and the last change, from the home goroutine, by the goroutine that is
	// about to wait for it.
	PollFD() int
	Flush() error
}

// Queryable is a Poller whose descriptors a foreign loop can wait for one by one.
// Its methods are called from the home goroutine.
type Queryable interface {
	// Query appends all registered descriptors, with the events to wait for.
	Query(fds []unix.PollFd) []unix.PollFd
	// Collect is Wait for descriptors that a foreign loop has waited for: fds is
	// what Query has returned, with the revents that ppoll(2) has filled in. It clears
	// the POLLNVAL of a descriptor that was removed, and then closed, since Query.
	Collect(ready []Ready, fds []unix.PollFd) int
}
