// Package iouring is the Poller on io_uring(7). Descriptors are watched by poll
// requests; readiness arrives as completions in memory shared with the kernel, so
// that a look at it costs no system call.
//
// Files: iouring.go is the Poller and its registrations, wait.go the Wait,
// setup.go how a ring is made and why it may be refused, operations.go requests, prepare.go
// what the kernel is told of each, and register.go files that it has looked up. The ring itself is in internal/uring.
package iouring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/lend"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// Name is what users call this backend.
const Name = "io_uring"

var (
	_ backend.Poller        = (*Poller)(nil)
	_ backend.EdgeTriggered = (*Poller)(nil)
	_ backend.Binder        = (*Poller)(nil)
	_ backend.Stayer        = (*Poller)(nil)
	_ backend.Peeker        = (*Poller)(nil)
	_ backend.Pollable      = (*Poller)(nil)
	_ backend.Submitter     = (*Poller)(nil)
	_ backend.Registrar     = (*Poller)(nil)
	_ backend.Batcher       = (*Poller)(nil)
)

// Poller implements backend.Poller.
//
// A poll request belongs to the thread that submitted it, and dies with it. So
// only the home thread submits: Add, Modify and Remove note what they want in the
// table, and Wait brings the kernel's requests in line with it.
//
// A level-triggered registration is a one-shot request, submitted again by the
// Wait after the one that reported it; a multishot request would tell changes
// only. An Edge registration is a multishot request, where the kernel has them.
type Poller struct {
	config    config
	ring      *uring.Ring
	multishot bool         // the kernel has multishot polls
	extArg    bool         // its wait takes a timeout
	home      atomic.Int64 // what self was for Bind, 0 before

	table   *fdtable.Table[request] // its mutex guards table and changed
	changed []uint32                // slots whose request differs from what is wanted
	ended   []uint32                // slots whose multishot request an overflow has ended, the oldest first

	// These are used by the home goroutine alone.
	refused   error  // EBUSY, EAGAIN or endless EINTR, if that was the result of the last enter
	refusals  int    // how many in a row
	vain      int    // enters in a row that have left the flag of deferred work, and no completion
	stale     uint32 // SQTaskrun, if that flag is not believed any more
	postponed int    // Waits in a row that have submitted nothing
	behind    bool   // a poll is over that the caller of Wait does not know of

	ops     operations        // used by the home goroutine alone
	runs    uint32            // the same: a set of 1 << OpCode, 0 before it is known and after Close
	files   []int32           // those that are registered, nil before the first
	buffers [][]byte          // the same
	batch   func(*uring.Ring) // sets what Batch asks for, nil for nothing
	timer   timer             // the same
}

// self is the number of who submits: of the thread or, if that changes, of the
// goroutine.
func (p *Poller) self() int64 {
	if p.config.unbound {
		return int64(goroutine.Current())
	}
	return int64(sys.Gettid())
}

// atHome reports whether the caller is who submits, or a coroutine of that goroutine.
func (p *Poller) atHome() bool {
	home, self := p.home.Load(), p.self()
	return home == self || p.config.unbound && lend.Runs(uintptr(home), uintptr(self))
}

// timer is the timeout request of kernels whose wait takes no timeout.
type timer struct {
	armed    bool
	deadline time.Duration
	timespec sys.Timespec64 // the kernel copies it when the request is submitted
}

// request is what the kernel has been asked for on behalf of a slot.
type request struct {
	generation uint32 // of the slot when it was submitted
	armed      bool   // a poll request is under way
	changed    bool   // listed in Poller.changed
	ended      bool   // listed in Poller.ended
	dead       bool   // the kernel refused it; wait for a Modify
}

// Name returns "io_uring".
func (p *Poller) Name() string { return Name }

// EdgeTriggered reports whether the kernel has multishot polls, Linux 5.13.
func (p *Poller) EdgeTriggered() bool { return p.multishot }

// Bind implements backend.Binder.
func (p *Poller) Bind() error {
	p.table.Lock()
	defer p.table.Unlock()
	self := p.self()
	switch home := p.home.Load(); {
	case p.table.Closed():
		return backend.ErrClosed
	case home == self:
		return nil
	case home != 0:
		return fmt.Errorf("%s: the ring belongs to another thread: %w", Name, unix.EEXIST)
	}
	if p.ring.SetUp(abi.IORING_SETUP_R_DISABLED) {
		if err := p.ring.Enable(); err != nil {
			return fmt.Errorf("%s: %w", Name, err)
		}
	}
	p.home.Store(self)
	return nil
}

// Stay implements backend.Stayer: it registers the ring (Linux 5.18). A ring that cannot be
// registered works too. A kernel that does not know the call may wait for all requests before it says
// so, and a poll may never end: only one that has made this ring is asked (Linux 5.19).
func (p *Poller) Stay() {
	if p.ring.SetUp(abi.IORING_SETUP_TASKRUN_FLAG) && !p.config.unbound && p.bound() == nil {
		_ = p.ring.Register()
	}
}

// Leave implements backend.Stayer. The kernel would keep a ring that is still registered,
// and what it watches, until the thread ends.
func (p *Poller) Leave() error {
	if err := p.ring.Unregister(); err != nil {
		return fmt.Errorf("%s: %w", Name, err)
	}
	return nil
}

// Batch implements backend.Batcher (Linux 6.12).
func (p *Poller) Batch(n int, d time.Duration) error {
	switch {
	case p.table.Closed():
		return backend.ErrClosed
	case n < 1 || n > completionEntries || d < time.Microsecond: // the kernel's unit
		return fmt.Errorf("%s: a batch of %d in %v: use 1 to %d, and 1 µs or more: %w", Name, n, d, completionEntries, unix.EINVAL)
	case !p.ring.Has(uring.FeatMinWait):
		return fmt.Errorf("%s: waiting for a batch needs Linux 6.12: %w", Name, errors.ErrUnsupported)
	}
	p.batch = func(r *uring.Ring) { r.Batch(uint32(n), d) }
	p.batch(p.ring)
	return nil
}

// bound makes the calling thread the home thread if there is none.
func (p *Poller) bound() error {
	if p.home.Load() != 0 {
		return nil
	}
	return p.Bind()
}

// Add implements backend.Poller.
func (p *Poller) Add(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Add(fd, events, tag)
	if err != nil {
		return p.table.Fail("add", fd, err)
	}
	p.note(key.Index, s)
	return nil
}

// Modify implements backend.Poller.
func (p *Poller) Modify(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Modify(fd, events, tag)
	if err != nil {
		return p.table.Fail("modify", fd, err)
	}
	s.X.dead = false
	p.note(key.Index, s)
	return nil
}

// Remove implements backend.Poller. A request under way holds the file: on the
// home thread it is cancelled before Remove returns, so that a peer sees the end
// of file as soon as fd is closed.
func (p *Poller) Remove(fd int) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Remove(fd)
	if err != nil {
		return p.table.Fail("remove", fd, err)
	}
	p.note(key.Index, s)
	if s.X.armed && p.atHome() {
		return p.cancelNow(key.Index, s)
	}
	return nil
}

// cancelNow takes back the request of one slot. What else has changed waits for the
// next Wait: a request that is made before its handler has run would report once
// more what the handler is about to take. The caller holds the lock.
func (p *Poller) cancelNow(index uint32, s *fdtable.Slot[request]) error {
	if done, err := p.disarm(index, s); !done || err != nil {
		return err
	}
	if err := p.submit(); err != nil {
		return err
	}
	// One that has its event already is not cancelled. It ends, and lets go of the
	// file, as deferred work, of which the kernel does a portion at a time.
	for range portions {
		if !p.ring.WorkPending() || p.stale != 0 {
			break
		}
		if err := p.submit(); err != nil {
			return err
		}
	}
	return nil
}

// portions is a bound for events that come faster than the kernel works.
const portions = 4096

// note lists a slot for the next Wait. The caller holds the lock.
func (p *Poller) note(index uint32, s *fdtable.Slot[request]) {
	if !s.X.changed {
		s.X.changed = true
		p.changed = append(p.changed, index)
		p.table.Touch()
	}
}

// again lists a slot whose request is over. The caller holds the lock.
func (p *Poller) again(index uint32, s *fdtable.Slot[request], result int32) {
	p.behind = p.behind || result < 0 || s.Events&backend.Edge != 0
	if result >= 0 && p.multishot && s.Events&backend.Edge != 0 && !s.X.changed {
		s.X.ended = true
		p.ended = append(p.ended, index)
		p.table.Touch()
		return
	}
	p.note(index, s)
}

// prepare queues the requests that bring the kernel in line with the table. It is
// not complete if the kernel takes no more before its completions are seen: then
// Wait must not sleep. The caller holds the lock.
//
// While the kernel holds back completions, it queues nothing: up to Linux 5.18 those of
// new requests overtake them, forever if the descriptors are always ready.
func (p *Poller) prepare() (complete bool, err error) {
	if p.table.Closed() {
		return false, backend.ErrClosed
	}
	if p.ring.Overflown() {
		return false, nil
	}
	for len(p.changed) > 0 {
		last := len(p.changed) - 1
		index := p.changed[last]
		done, err := p.align(index, p.table.At(index))
		if !done || err != nil {
			return false, err
		}
		p.changed = p.changed[:last]
	}
	if !p.ops.idle() {
		if complete, err = p.prepareOperations(); !complete || err != nil {
			return false, err
		}
	}
	if complete, err = p.revive(); !complete || err != nil {
		return false, err
	}
	p.table.Untouch()
	p.behind = false
	return true, nil
}

// revive resumes multishot polls that an overflow has ended, the first one first.
// They answer immediately if their descriptors are still ready, so it asks for no more
// than there is room to answer: the next overflow would end them again.
func (p *Poller) revive() (complete bool, err error) {
	for room := p.ring.Room(); len(p.ended) > 0; room-- {
		if room == 0 {
			return false, nil
		}
		index := p.ended[0]
		if s := p.table.At(index); s.X.ended {
			if done, err := p.align(index, s); !done || err != nil {
				return false, err
			}
		} // else it has been changed or removed since
		p.ended = p.ended[1:]
	}
	return true, nil
}

// align queues the requests for one slot. It reports false if the queue is full
// and the kernel takes no more before its completions are seen.
func (p *Poller) align(index uint32, s *fdtable.Slot[request]) (bool, error) {
	now := p.table.KeyAt(index)
	if s.X.armed && (!s.Live || s.X.generation != now.Generation) {
		if done, err := p.disarm(index, s); !done || err != nil {
			return false, err
		}
	}
	if s.Live && !s.X.armed && !s.X.dead {
		e, err := p.next()
		if e == nil {
			return false, err
		}
		p.preparePoll(e, s)
		e.SetUserData(userData(kindPoll, now))
		s.X.armed, s.X.generation = true, now.Generation
	}
	s.X.changed, s.X.ended = false, false
	if !s.Live {
		p.table.Free(index)
	}
	return true, nil
}

// disarm queues the cancellation of a slot's request. It reports false like align.
func (p *Poller) disarm(index uint32, s *fdtable.Slot[request]) (bool, error) {
	e, err := p.next()
	if e == nil {
		return false, err
	}
	old := fdtable.Key{Index: index, Generation: s.X.generation}
	e.PrepOperation(abi.IORING_OP_POLL_REMOVE, -1, userData(kindPoll, old), 0, 0)
	e.SetUserData(userDataIgnored)
	s.X.armed = false
	return true, nil
}

// pollRdBand is POLLRDBAND, which package unix lacks.
const pollRdBand backend.Events = 1 << 7

func (p *Poller) preparePoll(e *uring.SQE, s *fdtable.Slot[request]) {
	var flags uint32
	if s.Events&backend.Edge != 0 && p.multishot {
		flags = uring.PollAddMulti
	}
	e.PrepOperation(abi.IORING_OP_POLL_ADD, s.FD, 0, flags, 0)
	events := s.Events &^ backend.Edge
	if events&backend.Pri != 0 {
		// The kernel does not let a wake-up through for POLLPRI alone (its
		// IO_ASYNC_POLL_COMMON). Sockets send POLLRDBAND along with it.
		events |= pollRdBand
	}
	e.SetOpFlags(uring.PollEvents(uint32(events)))
}

// next returns a submission entry, making room if there is none. It returns nil
// and no error if the kernel wants its completions seen first, or no thread has the
// right to submit yet.
func (p *Poller) next() (*uring.SQE, error) {
	if e := p.ring.Next(); e != nil || p.home.Load() == 0 {
		return e, nil
	}
	if err := p.submit(); err != nil {
		return nil, err
	}
	return p.ring.Next(), nil
}

// submit enters the kernel without waiting. It does so again after a signal, and
// while the kernel takes some requests but not all: it stops behind a faulty one.
func (p *Poller) submit() error {
	for signals := 0; ; {
		queued := p.ring.Queued()
		err := p.ring.Submit()
		switch left := p.ring.Queued(); {
		case err == nil && left > 0 && left < queued:
		case err == unix.EINTR && signals < 10:
			signals++
		default:
			return p.entered(err)
		}
	}
}

// believed is how many enters in a row may be in vain because of new work, which has come
// after the kernel looked: the next enter does it.
const believed = 16

// doubt decides after an enter whether the flag of deferred work is stale, see Peek.
func (p *Poller) doubt() {
	switch {
	case !p.ring.WorkPending() || p.ring.Peek() != nil:
		p.vain, p.stale = 0, 0
	case p.vain < believed:
		p.vain++
	default:
		p.stale = uring.SQTaskrun
	}
}

// entered says which results of io_uring_enter(2) are failures.
func (p *Poller) entered(err error) error {
	p.refused = nil
	p.doubt()
	switch err {
	case nil:
		return nil
	case unix.EINTR: // a signal
		return nil
	case unix.ETIME: // the timeout is over
		return nil
	case unix.EBUSY, unix.EAGAIN: // the completion queue has overflowed, or memory is short: see completions first
		p.refused = err
		return nil
	case unix.EEXIST: // SINGLE_ISSUER
		return fmt.Errorf("%s: io_uring_enter: %w (Wait was called on a thread other than the one it was first called on)", Name, err)
	default: // EBADF, ENXIO, EBADFD: the descriptor was closed or replaced by the program
		return fmt.Errorf("%s: io_uring_enter: %w", Name, err)
	}
}

// Peek implements backend.Peeker. Deferred work counts: it is a completion that the kernel
// has not written yet.
//
// The flag of deferred work can outlive the work. The kernel sets it after it has queued the
// work, and an enter on another CPU may have done the work in between (Linux 6.18). A loop
// that believed a stale flag would ask and ask, and never sleep.
func (p *Poller) Peek() bool {
	return p.ring.Peek() != nil || p.ring.PendingBut(p.stale) || p.behind && p.refused == nil
}

// Close implements backend.Poller. Operations that are under way are cancelled;
// the buffers of those that cannot be, or if Close is not called on the home
// thread, stay where they are for good.
func (p *Poller) Close() error {
	if !p.table.Close() {
		return nil
	}
	p.runs, p.behind = 0, false
	if p.ops.live > 0 && p.home.Load() == p.self() {
		p.cancelOperations()
	}
	if p.ops.live > 0 {
		p.abandonOperations()
	}
	defer memory.returned()
	return p.ring.Close()
}

// The 64 bits that a completion gives back: what kind of request it was, and
// which. No pointer is among them.
const (
	kindPoll        uint64 = 0 << 62
	kindOperation   uint64 = 1 << 62
	kindOther       uint64 = 2 << 62
	kindMask        uint64 = 3 << 62
	userDataIgnored        = kindOther     // the completion of a cancellation
	userDataTimer          = kindOther | 1 // of the timer

	generationMask = 1<<30 - 1
)

func userData(kind uint64, k fdtable.Key) uint64 {
	return kind | uint64(k.Generation&generationMask)<<32 | uint64(k.Index)
}
