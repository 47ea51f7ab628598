//go:build linux

package aio

// Deferred is work that is done once for many callbacks: one system call for all requests that
// they have made, one wake-up for all jobs. The home goroutine calls its methods.
type Deferred struct {
	ctx    *Context
	fn     func()
	next   *Deferred // in batch.first
	queued bool
}

// batch is the work that waits for the end of a section: of what an iteration has to dispatch, or
// of Batch outside of Poll. It belongs to the home goroutine.
type batch struct {
	first, last *Deferred
	sections    int // of Batch, outside of Poll
}

// NewDeferred returns work that calls fn. Any goroutine may call it. It panics if fn is nil.
func (c *Context) NewDeferred(fn func()) *Deferred {
	if fn == nil {
		panic("aio: NewDeferred: the function is nil")
	}
	return &Deferred{ctx: c, fn: fn}
}

// Schedule asks for one call when all that the loop has to dispatch in this iteration has been
// dispatched, before it sleeps. Scheduled several times before that, d runs once; scheduled from
// within its own function, it runs in the next iteration. Outside of Poll it runs at the end of
// the outermost Batch, and without one immediately.
//
// Schedule fails with ErrWrongGoroutine and ErrClosed. What is scheduled and has not run when
// the Context is closed is dropped.
func (d *Deferred) Schedule() error {
	c := d.ctx
	if c.home.taken() && !c.home.mine() {
		return c.home.refuse()
	}
	if c.home.closed() {
		return ErrClosed
	}
	c.batch.add(d)
	if !c.home.inside() && c.batch.sections == 0 {
		c.batch.run()
	}
	return nil
}

// Batch calls fn, and does at its end what was deferred in it. Sections nest: what is deferred in
// an inner one waits for the end of the outermost. Inside of Poll, what the loop dispatches
// in an iteration is the outermost. The home goroutine calls it.
func (c *Context) Batch(fn func()) {
	if c.home.inside() {
		fn()
		return
	}
	c.batch.sections++
	defer func() {
		if c.batch.sections--; c.batch.sections == 0 && !c.home.closed() {
			c.batch.run()
		}
	}()
	fn()
}

func (b *batch) pending() bool { return b.first != nil }

func (b *batch) add(d *Deferred) {
	if d.queued {
		return
	}
	d.queued, d.next = true, nil
	if b.first == nil {
		b.first = d
	} else {
		b.last.next = d
	}
	b.last = d
}

// run does what is pending now. After a panic, and in a nested run, the rest is done later.
func (b *batch) run() {
	for last := b.last; b.first != nil; {
		d := b.first
		b.first, d.next, d.queued = d.next, nil, false
		d.fn()
		if d == last {
			return
		}
	}
}
