package iouring

import (
	"fmt"
	"time"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// Wait implements backend.Poller. The caller's goroutine is locked to its thread;
// the first call binds the Poller to that thread if Bind was not called.
func (p *Poller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if len(ready) == 0 {
		return 0, p.table.NoRoom()
	}
	if err := p.bound(); err != nil {
		return 0, err
	}
	deadline := sys.Deadline(timeout)
	for range sys.MaxInterrupts {
		if err := p.enter(timeout); err != nil {
			return 0, err
		}
		n := p.collect(ready)
		if n > 0 || !p.ops.done.Empty() {
			p.refusals = 0
			return n, nil
		}
		if err := p.endure(timeout); err != nil || timeout == 0 {
			return 0, err
		}
		p.ops.pause()
		timeout = sys.Until(deadline) // a signal, or completions without events
	}
	return 0, nil // the caller looks around and comes back
}

// The first refusals are met by trying again, the following by waiting for a
// millisecond each: memory may become free. In the end it is an error.
const (
	quickRefusals = 10
	maxRefusals   = 200
)

// endure is called when there are no completions. If there are none because the
// kernel takes no requests, it keeps Wait from spinning.
func (p *Poller) endure(timeout time.Duration) error {
	if p.refused == nil {
		p.refusals = 0
		return nil
	}
	p.refusals++
	switch {
	case p.refusals > maxRefusals:
		p.refusals = 0
		return fmt.Errorf("%s: io_uring_enter: %w (the kernel takes no requests, and has no completions)", Name, p.refused)
	case p.refusals > quickRefusals && timeout != 0:
		_, _ = sys.PpollFor(nil, time.Millisecond)
	}
	return nil
}

// enter submits what has changed and, if there is no completion yet, sleeps.
// Without changes and without a reason to sleep it makes no system call.
func (p *Poller) enter(timeout time.Duration) error {
	complete, touched := true, p.table.Touched()
	if touched || !p.ops.idle() {
		var err error
		if complete, err = p.prepareTouched(); err != nil {
			return err
		}
	}
	switch {
	case timeout != 0 && complete && !p.Peek() && p.ops.done.Empty():
		return p.sleep(timeout)
	case !touched && p.postpones(): // a poll that is removed ends with this Wait
		p.postponed++
		return p.entered(p.ring.Collect())
	case p.ring.Queued() > 0 || p.ring.Pending():
		p.postponed = 0
		return p.submit()
	}
	return nil
}

// maxPostponed is how many Waits in a row may leave requests in the queue.
const maxPostponed = 4

// postpones reports whether the requests in the queue wait for those that follow: there are
// completions to see first, whose callbacks are likely to make more of them, and the device has
// most of the operations still. A submission has its price, however many requests it is of: to tell
// a virtual disk takes 20 µs.
func (p *Poller) postpones() bool {
	queued := p.ring.Queued()
	return queued > 0 && queued < uint32(p.ops.live)/2 && p.ring.WorkPending() && p.stale == 0 && p.postponed < maxPostponed
}

// prepareTouched is prepare for a caller who does not hold the lock.
func (p *Poller) prepareTouched() (complete bool, err error) {
	p.table.Lock()
	defer p.table.Unlock()
	return p.prepare()
}

func (p *Poller) sleep(timeout time.Duration) error {
	if timeout < 0 || p.extArg {
		return p.entered(p.ring.Wait(timeout))
	}
	if armed, err := p.armTimer(timeout); !armed {
		return err
	}
	return p.entered(p.ring.Wait(backend.Forever))
}

// armTimer is for kernels before 5.11. The request completes when the time is up
// or, because of the 1, with the next completion of another request. One may be
// left over, after a signal for example: it serves if it comes early enough.
func (p *Poller) armTimer(timeout time.Duration) (bool, error) {
	t := &p.timer
	deadline := sys.Deadline(timeout)
	if t.armed && t.deadline <= deadline {
		return true, nil
	}
	e, err := p.next()
	if e == nil {
		return false, err
	}
	t.armed, t.deadline, t.timespec = true, deadline, sys.NewTimespec64(timeout)
	e.PrepOperation(abi.IORING_OP_TIMEOUT, -1, uint64(uintptr(unsafe.Pointer(&t.timespec))), 1, 1)
	e.SetUserData(userDataTimer)
	return true, nil
}

// collect turns completions into events, and sorts those of operations aside. They are given back
// to the kernel together, and the lock is taken for the first event: each costs a locked instruction.
func (p *Poller) collect(ready []backend.Ready) (n int) {
	taken, locked := uint32(0), false
	for all := p.ring.Completed(); taken < all && n < len(ready); taken++ {
		c := p.ring.Completion(taken)
		switch data := c.UserData(); data & kindMask {
		case kindOperation:
			p.ops.complete(data, c.Result(), c.Flags())
		case kindPoll:
			if !locked {
				locked = true
				p.table.Lock()
			}
			if ev, s := p.polled(data, c.Result(), c.Flags()); ev != 0 {
				ready[n] = backend.Ready{Tag: s.Tag, Events: ev}
				n++
			}
		case kindOther:
			if data == userDataTimer {
				p.timer.armed = false
			}
		}
	}
	if locked {
		p.table.Unlock()
	}
	if taken > 0 {
		p.ring.Advance(taken)
	}
	return n
}

// polled handles the completion of a poll request. It returns no events for one
// that was cancelled or belongs to an earlier generation of the slot.
func (p *Poller) polled(data uint64, result int32, flags uint32) (backend.Events, *fdtable.Slot[request]) {
	index := uint32(data)
	s := p.table.At(index)
	if s == nil || !s.X.armed || userData(kindPoll, fdtable.Key{Index: index, Generation: s.X.generation}) != data {
		return 0, nil
	}
	if flags&uring.CQEMore == 0 {
		// A one-shot request is over. So is a multishot one when the completion
		// queue overflowed. The next Wait submits it again.
		s.X.armed = false
		p.again(index, s, result)
	}
	if !s.Live || s.Key(index).Generation != s.X.generation {
		return 0, nil
	}
	if events := backend.Events(result); result >= 0 && events&urgent == 0 { // most often
		return events, s
	}
	return p.happened(s, result), s
}

// urgent are the events that are not reported as they are, see exactly.
const urgent = backend.Pri | pollRdBand

// exactly checks Pri again with poll(2): io_uring reports the waker's mask, and sockets
// claim Pri for any data. The events are urgent.
func exactly(fd int, events backend.Events) backend.Events {
	now, err := sys.PollNow(fd, unix.POLLPRI)
	if err != nil { // RLIMIT_NOFILE is 0: the handler finds out
		return events &^ pollRdBand
	}
	return events&^urgent | backend.Events(uint16(now))&backend.Pri
}

// happened translates the result of a poll request.
func (p *Poller) happened(s *fdtable.Slot[request], result int32) backend.Events {
	if result >= 0 {
		return exactly(int(s.FD), backend.Events(result))
	}
	switch unix.Errno(-result) {
	case unix.ECANCELED, unix.EINTR, unix.EAGAIN, unix.ENOMEM: // not the descriptor's fault: submit it again
		return 0
	case unix.EBADF: // closed while registered
		s.X.dead = true
		return backend.Nval
	case unix.EINVAL: // it cannot wait and is not ready, a regular file polled for Pri: it never will be
		s.X.dead = true
		return 0
	default: // the file cannot be polled
		s.X.dead = true
		return backend.Err
	}
}
