//go:build linux

package aio

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// Request is a native operation, such as a read: see Submit.
type Request = backend.Request

// operations are the requests that the Poller runs, and those that have completed. They belong to
// the home goroutine.
type operations struct {
	owner     backend.Owner    // of what was submitted or completed
	inFlight  int32            // submitted, and not taken from the Poller yet
	reported  backend.Requests // by the Poller, and not looked at yet
	completed backend.Requests // wait for the next iteration
	batch     backend.Requests // are called back in this one
}

// busy reports whether there is a completion to call back for.
func (o *operations) busy() bool { return !o.completed.Empty() || !o.batch.Empty() }

// underWay reports whether the Poller may complete something.
func (o *operations) underWay() bool { return o.inFlight > 0 }

// Submit starts a native operation of the backend. r.Done is called on the home goroutine when it
// has completed: exactly once, in a later iteration. Until then r and what it points to belong to
// the loop. The home goroutine calls Submit. It takes any number: what the kernel has no room for
// waits in the loop, in order.
//
// r.Result is -EAGAIN if the kernel cannot make a worker thread for the operation within a
// second: raise pids.max (TasksMax= in systemd). Older kernels do not give up: there Done is
// called when the kernel can make one (tried on 5.10.223; 6.1.176 gives up). It is -ECANCELED only
// after Cancel.
//
// Submit fails with errors.ErrUnsupported on a backend that only reports readiness, of the three
// only io_uring runs operations, and on a kernel without this one; with EBUSY if r is under way
// already; and with EINVAL for a Code that does not exist. It panics if Done is nil.
func (c *Context) Submit(r *Request) error {
	if r.Done == nil {
		panic("aio: Submit: Done is nil")
	}
	if c.home.polls() { // most often; Close is refused
		return c.submit(r)
	}
	borrowed, err := c.home.hold()
	if err != nil {
		return err
	}
	defer c.home.release(borrowed)
	return c.submit(r)
}

func (c *Context) submit(r *Request) error {
	o := &c.operations
	if !r.Own(&o.owner) {
		return c.error(fmt.Errorf("submit: the %v is under way: wait for its Done, or use another Request: %w", r, unix.EBUSY))
	}
	if err := c.port.submit(r); err != nil {
		r.Disown()
		return c.error(err)
	}
	o.inFlight++
	if c.observer.debugs() {
		c.observer.submitted(r)
	}
	if c.turn.foreign() { // it starts with the next Wait, which the foreign loop must not put off
		c.Notify()
	}
	return nil
}

// Cancel asks for an early end of r. Done is called all the same, with a Result of -ECANCELED or,
// if that came first, what the operation has done. What is not under way is left alone. The home
// goroutine calls Cancel.
func (c *Context) Cancel(r *Request) error {
	borrowed, err := c.home.hold()
	if err != nil {
		return err
	}
	defer c.home.release(borrowed)
	if !r.Owned(&c.operations.owner) {
		return nil
	}
	return c.error(c.port.cancel(r))
}

// Complete hands r, which was not submitted, to the loop as one that has completed with its
// Result: Done is called on the home goroutine in a later iteration, as after Submit. It is for
// packages that do what a Request says in another way. The home goroutine calls Complete. It
// fails with EBUSY if r is under way.
func (c *Context) Complete(r *Request) error {
	if r.Done == nil {
		panic("aio: Complete: Done is nil")
	}
	if c.home.polls() { // most often; Close is refused
		return c.complete(r)
	}
	borrowed, err := c.home.hold()
	if err != nil {
		return err
	}
	defer c.home.release(borrowed)
	return c.complete(r)
}

func (c *Context) complete(r *Request) error {
	if !r.Own(&c.operations.owner) {
		return c.error(fmt.Errorf("complete: the %v is under way: %w", r, unix.EBUSY))
	}
	c.operations.completed.Push(r)
	if c.turn.foreign() {
		c.Notify()
	}
	return nil
}

// Supports reports whether the loop can run requests with this code, on this backend and kernel.
// The home goroutine calls it.
func (c *Context) Supports(code backend.OpCode) bool {
	borrowed, err := c.home.hold()
	if err != nil {
		return false
	}
	defer c.home.release(borrowed)
	return c.port.supports(code)
}

// RegisterFile has the kernel look fd up once, instead of for each Request: with FixedFile its FD is the
// index that RegisterFile returns. Keep fd open until UnregisterFile or Close of the Context. The home
// goroutine calls it. It fails with errors.ErrUnsupported where there is no such thing, with ENFILE if
// there is no place left, and with EBADF.
func (c *Context) RegisterFile(fd int) (index int, err error) {
	err = c.register(func(r backend.Registrar) (err error) {
		index, err = r.RegisterFile(fd)
		return err
	})
	return index, err
}

// UnregisterFile ends what RegisterFile has begun, when no Request that uses it is under way. The home goroutine
// calls it. It fails with ENOENT for what is not registered.
func (c *Context) UnregisterFile(index int) error {
	return c.register(func(r backend.Registrar) error { return r.UnregisterFile(index) })
}

// RegisterBuffer has the kernel look the pages of buf up once, instead of for each Request of which the
// Buf lies within: with FixedBuffer its Buffer is the index that RegisterBuffer returns. That pays
// with O_DIRECT. The memory is locked, and kept, until UnregisterBuffer or Close of the Context. The
// home goroutine calls it. It fails with errors.ErrUnsupported where there is no such thing, with
// ENOBUFS if there is no place left, and with ENOMEM beyond what may be locked (`ulimit -l`).
func (c *Context) RegisterBuffer(buf []byte) (index int, err error) {
	err = c.register(func(r backend.Registrar) (err error) {
		index, err = r.RegisterBuffer(buf)
		return err
	})
	return index, err
}

// UnregisterBuffer ends what RegisterBuffer has begun, when no Request that uses it is under way. The home
// goroutine calls it. It fails with ENOENT for what is not registered.
func (c *Context) UnregisterBuffer(index int) error {
	return c.register(func(r backend.Registrar) error { return r.UnregisterBuffer(index) })
}

// register does something with the Poller's registrations, if it has any.
func (c *Context) register(do func(backend.Registrar) error) error {
	borrowed, err := c.home.hold()
	if err != nil {
		return err
	}
	defer c.home.release(borrowed)
	r, err := c.port.registrar()
	if err == nil {
		err = do(r)
	}
	return c.error(err)
}

// reap takes what has completed from the Poller; run calls back. Operations are under way. It
// adds to err that something else has completed.
func (o *operations) reap(p *port, err error) error {
	p.completions(&o.reported)
	lies := false
	for r := o.reported.First(); r != nil; r = r.Next() {
		if r.Owned(&o.owner) {
			o.inFlight--
		} else {
			lies = true
		}
	}
	if lies {
		err = o.dropLies(p, err)
	}
	o.completed.Append(&o.reported)
	return err
}

// dropLies takes out of reported what is not under way.
func (o *operations) dropLies(p *port, err error) error {
	var truths backend.Requests
	for r := o.reported.Pop(); r != nil; r = o.reported.Pop() {
		if r.Owned(&o.owner) {
			truths.Push(r)
			continue
		}
		err = errors.Join(err, p.lies("reports the completion of a %v that is not under way", r))
	}
	o.reported = truths
	return err
}

// run calls back for each completion, in order. A nested run goes on where it stands. What completes
// within a callback waits, or a chain of them would keep everything else from running.
func (o *operations) run(n *counters, observer *observer) (progress bool) {
	o.batch.Append(&o.completed)
	for r := o.batch.Pop(); r != nil; r = o.batch.Pop() {
		r.Disown()
		n.count(statCompletions)
		if observer == nil {
			r.Done(r)
		} else {
			observer.completed(r)
			observer.call(TraceCompletion, "", int64(r.Result), func() { r.Done(r) })
		}
		progress = true
	}
	return progress
}

// names returns what is under way. The home goroutine calls it.
func (o *operations) names(p *port) (names []string) {
	p.eachRequest(func(r *Request) { names = append(names, r.String()) })
	for _, list := range []*backend.Requests{&o.batch, &o.completed} {
		for r := list.First(); r != nil; r = r.Next() {
			names = append(names, r.String())
		}
	}
	return names
}
