//go:build linux

package aio

import (
	"errors"
	"fmt"

	"github.com/aioloop/aioloop/backend"
)

// native are the operations that the backend runs; it belongs to the home goroutine.
type native struct {
	ops         []nativeOp // by the index of their tags
	freeOp      uint32     // 1 + the index of the first that is free, 0 if none is
	opsInFlight int32      // submitted, and not called back yet

	completed []backend.Completion // [next:] have not been called back yet
	next      int
}

// nativeOp is an operation under way and whom to tell.
type nativeOp struct {
	done       func(n int, err error)
	code       backend.OpCode
	fd         int
	generation uint32
	nextFree   uint32 // as freeOp, while it is free
}

// Submit starts a native operation of the backend and calls done on the home
// goroutine when it has completed, with the number of bytes or the errno. It is
// called on the home goroutine. op.Buf belongs to the operation until then.
//
// done gets EAGAIN if the kernel cannot make a worker thread for the operation within a
// second: raise pids.max (TasksMax= in systemd).
//
// It fails with errors.ErrUnsupported on a backend that only reports readiness:
// of the three only io_uring runs operations.
func (c *Context) Submit(op backend.Operation, done func(n int, err error)) error {
	switch {
	case done == nil:
		panic("aio: Submit: the function is nil")
	case c.closed():
		return ErrClosed
	case c.submitter == nil:
		return fmt.Errorf("aio: the %s backend runs no operations: %w", c.poller.Name(), errors.ErrUnsupported)
	case c.home.Load() != 0 && !c.onHome():
		return ErrWrongGoroutine
	}
	i := c.unusedOp()
	slot := &c.ops[i]
	if err := c.submitter.Submit(op, backend.MakeTag(i, slot.generation)); err != nil {
		return c.pollerError(err)
	}
	c.freeOp = slot.nextFree
	slot.done, slot.code, slot.fd = done, op.Code, op.FD
	c.opsInFlight++
	if c.prepared { // it starts with the next Wait, which the foreign loop must not put off
		c.Notify()
	}
	return nil
}

// unusedOp returns the index of the first that is free, making one if there is none.
func (n *native) unusedOp() uint32 {
	if n.freeOp == 0 {
		n.ops = append(n.ops, nativeOp{})
		n.freeOp = uint32(len(n.ops))
	}
	return n.freeOp - 1
}

// reap takes what has completed from the Poller; runCompletions tells the callers.
func (c *Context) reap() {
	if c.opsInFlight == 0 {
		return
	}
	if c.next == len(c.completed) {
		c.completed, c.next = c.completed[:0], 0
	}
	for {
		used := len(c.completed)
		c.completed = append(c.completed, make([]backend.Completion, 16)...)
		n := c.submitter.Completions(c.completed[used:])
		c.completed = c.completed[:used+n]
		if n < 16 {
			return
		}
	}
}

// runCompletions calls back for each completion, in order.
func (c *Context) runCompletions() (progress bool) {
	for c.next < len(c.completed) {
		done := c.completed[c.next]
		c.next++
		c.complete(done)
		progress = true
	}
	return progress
}

func (c *Context) complete(done backend.Completion) {
	i := done.Tag.Index()
	slot := &c.ops[i]
	callback := slot.done
	slot.done = nil
	slot.generation++
	slot.nextFree, c.freeOp = c.freeOp, i+1
	c.opsInFlight--
	c.stats.Completions++
	c.emit(TraceCompletion, "", int64(done.Result))
	if err := done.Err(); err != nil {
		callback(0, err)
		return
	}
	callback(int(done.Result), nil)
}

// abandonOperations names the operations that nobody will be told about any more.
func (n *native) abandonOperations() (names []string) {
	for i := range n.ops {
		if op := &n.ops[i]; op.done != nil {
			names = append(names, fmt.Sprintf("%v of fd %d", op.code, op.fd))
			op.done = nil
		}
	}
	return names
}
