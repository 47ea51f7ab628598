//go:build linux

package aio

import (
	"errors"
	"fmt"

	"github.com/aioloop/aioloop/backend"
)

// operations are the native operations that the Poller runs. They belong to the home
// goroutine.
type operations struct {
	slots    []operation // by the index of their tags
	free     uint32      // 1 + the index of the first free slot, 0 if there is none
	inFlight int32       // submitted, and not called back yet

	completed []backend.Completion // [next:] have not been called back yet
	next      int
}

// operation is one under way, and its callback.
type operation struct {
	done       func(n int, err error)
	code       backend.OpCode
	fd         int
	generation uint32
	nextFree   uint32 // like operations.free, while the slot is free
}

// busy reports whether there is a completion to call back for.
func (o *operations) busy() bool { return o.next < len(o.completed) }

// underWay reports whether the Poller may complete something.
func (o *operations) underWay() bool { return o.inFlight > 0 }

// Submit starts a native operation of the backend and calls done on the home goroutine when
// it has completed, with the number of bytes or the errno. The home goroutine calls Submit.
// op.Buf belongs to the operation until then.
//
// done gets EAGAIN if the kernel cannot make a worker thread for the operation within a
// second: raise pids.max (TasksMax= in systemd). Older kernels do not give up: there done is
// called when the kernel can make one (tried on 5.10.223; 6.1.176 gives up).
//
// It fails with errors.ErrUnsupported on a backend that only reports readiness: of the
// three only io_uring runs operations.
func (c *Context) Submit(op backend.Operation, done func(n int, err error)) error {
	if done == nil {
		panic("aio: Submit: the function is nil")
	}
	borrowed, err := c.home.hold()
	if err != nil {
		return err
	}
	defer c.home.release(borrowed)
	if err := c.operations.submit(&c.port, op, done, c.observer); err != nil {
		return c.error(err)
	}
	if c.turn.foreign() { // it starts with the next Wait, which the foreign loop must not put off
		c.Notify()
	}
	return nil
}

func (o *operations) submit(p *port, op backend.Operation, done func(n int, err error), observer *observer) error {
	i := o.unused()
	slot := &o.slots[i]
	if err := p.submit(op, backend.MakeTag(i, slot.generation)); err != nil {
		return err
	}
	o.free = slot.nextFree
	slot.done, slot.code, slot.fd = done, op.Code, op.FD
	o.inFlight++
	if observer.debugs() {
		observer.submitted(i, slot.title())
	}
	return nil
}

// unused returns the index of the first free slot, and makes one if there is none.
func (o *operations) unused() uint32 {
	if o.free == 0 {
		o.slots = append(o.slots, operation{})
		o.free = uint32(len(o.slots))
	}
	return o.free - 1
}

// reap takes what has completed from the Poller; run calls back. Operations are under way. It
// adds to err that something else has completed.
func (o *operations) reap(p *port, err error) error {
	if o.next == len(o.completed) {
		o.completed, o.next = o.completed[:0], 0
	}
	for {
		used := len(o.completed)
		o.completed = append(o.completed, make([]backend.Completion, 16)...)
		n, lie := p.completions(o.completed[used:])
		unknown := o.claim(used, used+n)
		if lie != nil {
			err = errors.Join(err, lie)
		}
		if unknown > 0 {
			err = errors.Join(err, p.lies("reports %d completions of operations that are not under way", unknown))
		}
		if n < 16 {
			return err
		}
	}
}

// claim keeps those of completed[from:to] that are of operations under way. A second one of the
// same operation comes too late: its tag is no longer the slot's.
func (o *operations) claim(from, to int) (unknown int) {
	done := o.completed[from:to]
	o.completed = o.completed[:from]
	for _, d := range done {
		i := d.Tag.Index()
		if int(i) >= len(o.slots) || o.slots[i].done == nil || o.slots[i].generation != d.Tag.Generation() {
			unknown++
			continue
		}
		o.slots[i].generation++
		o.completed = append(o.completed, d)
	}
	return unknown
}

// run calls back for each completion, in order. A nested run goes on where it stands.
func (o *operations) run(n *counters, observer *observer) (progress bool) {
	for o.busy() {
		done := o.completed[o.next]
		o.next++
		callback := o.release(done.Tag.Index())
		n.count(statCompletions)
		if observer == nil {
			complete(done, callback)
		} else {
			observer.completed(done.Tag.Index())
			observer.call(TraceCompletion, "", int64(done.Result), func() { complete(done, callback) })
		}
		progress = true
	}
	return progress
}

func complete(c backend.Completion, callback func(n int, err error)) {
	if err := c.Err(); err != nil {
		callback(0, err)
		return
	}
	callback(int(c.Result), nil)
}

// release frees a slot and returns its callback.
func (o *operations) release(i uint32) (callback func(n int, err error)) {
	slot := &o.slots[i]
	callback, slot.done = slot.done, nil
	slot.nextFree, o.free = o.free, i+1
	o.inFlight--
	return callback
}

// names returns what is under way. The home goroutine calls it.
func (o *operations) names() (names []string) {
	for i := range o.slots {
		if op := &o.slots[i]; op.done != nil {
			names = append(names, op.title())
		}
	}
	return names
}

// title says what is under way.
func (o *operation) title() string { return fmt.Sprintf("%v of fd %d", o.code, o.fd) }

// abandon names the operations whose callbacks will not be called.
func (o *operations) abandon() (names []string) {
	for i := range o.slots {
		if op := &o.slots[i]; op.done != nil {
			names = append(names, op.title())
			op.done = nil
		}
	}
	return names
}
