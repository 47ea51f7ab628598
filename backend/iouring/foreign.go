package iouring

import (
	"errors"
	"fmt"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/uring"
)

// PollFD implements backend.Pollable.
func (p *Poller) PollFD() int { return p.ring.FD() } // -1 when closed

// Flush implements backend.Pollable. The first one exchanges the ring, if need be,
// for one that wakes up a thread which sleeps on its descriptor.
func (p *Poller) Flush() error {
	if err := p.bound(); err != nil {
		return err
	}
	p.ops.pause()
	p.table.Lock()
	defer p.table.Unlock()
	if p.table.Closed() {
		return backend.ErrClosed
	}
	if p.ring.SetUp(uring.SetupDeferTaskrun) {
		if err := p.exchange(); err != nil {
			return err
		}
	}
	return p.handOver()
}

// handOver submits everything. A loop that waits for the descriptor then must not wait
// for what the kernel has refused to take, unless there are completions, which make
// it readable. The caller holds the lock.
func (p *Poller) handOver() error {
	for {
		complete, err := p.prepare()
		if err != nil || complete && p.ring.Queued() == 0 && !p.ring.PendingBut(p.stale) {
			return err
		}
		err = p.submit()
		if err == nil && p.refused == nil && p.ring.Queued() > 0 {
			p.refused = unix.EINTR // one signal after the other
		}
		if err != nil || p.refused == nil || p.ring.Peek() != nil {
			return err
		}
		if err := p.endure(backend.Forever); err != nil {
			return err
		}
	}
}

// exchange replaces a ring with DEFER_TASKRUN, which completes nothing before the
// home thread enters io_uring, by one that does so as soon as the thread runs in
// the kernel, in ppoll(2) for example. (An eventfd registered with the ring is no
// way out: if the cause is a write to an eventfd, the kernel signals it only after
// an RCU grace period, milliseconds later.) All registrations move to the new
// ring; so do operations that the kernel has not been given, the others cannot.
func (p *Poller) exchange() error {
	if p.ops.live > 0 && !p.ring.Unused() {
		return fmt.Errorf("%s: Flush: the ring cannot be exchanged for one that a foreign loop can wait for while operations are under way; begin with Prepare, or with Flush, before Poll: %w", Name, unix.EBUSY)
	}
	c := p.config
	// Without deferred work all completions are made together, and those of multishot
	// polls that do not fit end them.
	c.cq = min(max(c.cq, 2*uint32(p.table.Len())), maxCompletionEntries)
	c.flags = abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG
	var fresh *uring.Ring
	err := patiently(func() (err error) {
		fresh, err = openRing(c)
		return err
	})
	if err != nil {
		return err
	}
	if err := errors.Join(p.ring.Unregister(), p.ring.Close()); err != nil { // inside Run it is registered
		return err
	}
	p.ring = fresh
	if p.batch != nil {
		p.batch(fresh)
	}
	p.timer.armed = false
	p.table.All(func(key fdtable.Key, s *fdtable.Slot[request]) {
		s.X.armed = false
		p.note(key.Index, s)
	})
	p.requeue()
	return p.registerAgain()
}

// requeue has the operations of a ring that was not used wait for the one in its place.
func (p *Poller) requeue() {
	waited := p.ops.waiting
	p.ops.waiting = backend.Requests{}
	p.Each(func(r *backend.Request) { p.ops.waiting.Push(r) }) // but for those of waited
	p.ops.waiting.Append(&waited)
}
