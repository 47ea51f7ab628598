package aio

import (
	"sync"
	"sync/atomic"
	"time"
)

// BottomHalf is a function that any goroutine can ask the loop to call. It is
// QEMU's QEMUBH: how other goroutines hand work to the loop, and how a callback
// puts work off until the current iteration is over.
//
// A BottomHalf that is not scheduled holds nothing but memory, and is left to the
// garbage collector; Delete is for the certainty that it never runs again.
type BottomHalf struct {
	ctx   *Context
	fn    func()
	name  string
	guard *ReentrancyGuard
	once  bool // made by ScheduleOnce, freed when it has run

	wanted  atomic.Uint32 // how it is scheduled; cleared just before it runs
	queued  atomic.Bool   // it is in the queue or in one of the home goroutine's lists
	deleted atomic.Bool

	next atomic.Pointer[BottomHalf] // in bhQueue
	link *BottomHalf                // in a bhList
}

// What wanted holds.
const (
	notWanted uint32 = iota
	wantedIdle
	wantedNow
)

// idlePeriod is the longest that an idle bottom half waits (QEMU's 10 ms).
const idlePeriod = 10 * time.Millisecond

// NewBottomHalf returns a bottom half that calls fn on the home goroutine each
// time that it was scheduled. Any goroutine may call it. It panics if fn is nil.
func (c *Context) NewBottomHalf(fn func()) *BottomHalf {
	if fn == nil {
		panic("aio: NewBottomHalf: the function is nil")
	}
	return &BottomHalf{ctx: c, fn: fn}
}

// Named gives b a name for leak reports and traces, and returns b. It is called
// before b is scheduled for the first time.
func (b *BottomHalf) Named(name string) *BottomHalf {
	b.name = name
	return b
}

// Guarded makes b run under g, and returns b: while code guarded by g runs, b is
// held back instead of entering it again. It is called before b is scheduled for
// the first time.
func (b *BottomHalf) Guarded(g *ReentrancyGuard) *BottomHalf {
	b.guard = g
	return b
}

// Schedule asks for one run, soon. Any goroutine may call it; it is wait-free,
// allocates nothing, and makes a system call only if the loop is asleep.
//
// Scheduled several times before it runs, b runs once. Scheduled from within its
// own function, it runs in the next iteration. Bottom halves run in the order in
// which they were scheduled. What the caller did before Schedule is visible to
// the function. It fails with ErrDeleted or ErrClosed, and then does not run.
func (b *BottomHalf) Schedule() error {
	if b.deleted.Load() {
		return ErrDeleted
	}
	before := b.wanted.Swap(wantedNow)
	if !b.queued.Swap(true) {
		b.ctx.queue.push(b)
	} else if before != wantedIdle {
		return b.ctx.closedError() // whoever put it there notifies
	}
	b.ctx.Notify()
	return b.ctx.closedError()
}

// ScheduleIdle asks for one run when the loop has nothing else to do, or at the
// latest after 10 ms. It does not count as progress. A Schedule that comes later
// takes precedence. For the rest it is like Schedule.
func (b *BottomHalf) ScheduleIdle() error {
	if b.deleted.Load() {
		return ErrDeleted
	}
	b.wanted.CompareAndSwap(notWanted, wantedIdle)
	if !b.queued.Swap(true) {
		b.ctx.queue.push(b)
		b.ctx.Notify()
	}
	return b.ctx.closedError()
}

// Cancel takes back what was scheduled and has not begun to run. Any goroutine
// may call it; on the home goroutine b is then certain not to run, elsewhere it
// may be running at this moment.
func (b *BottomHalf) Cancel() { b.wanted.Store(notWanted) }

// Scheduled reports whether a run is outstanding.
func (b *BottomHalf) Scheduled() bool { return b.wanted.Load() != notWanted }

// Delete is Cancel for good: no later Schedule has an effect. It may be called
// from within b's own function.
func (b *BottomHalf) Delete() {
	b.deleted.Store(true)
	b.Cancel()
}

// ScheduleOnce calls fn on the home goroutine once, like a BottomHalf that is
// made, scheduled and deleted. Any goroutine may call it. It fails with ErrClosed,
// and panics if fn is nil.
func (c *Context) ScheduleOnce(fn func()) error {
	if fn == nil {
		panic("aio: ScheduleOnce: the function is nil")
	}
	if c.closed() {
		return ErrClosed
	}
	b := oneShots.Get().(*BottomHalf)
	b.ctx, b.fn, b.once = c, fn, true
	b.wanted.Store(wantedNow)
	b.queued.Store(true)
	c.queue.push(b)
	c.Notify()
	return c.closedError()
}

var oneShots = sync.Pool{New: func() any { return new(BottomHalf) }}

// gather sorts what was scheduled into the lists of the home goroutine.
func (c *Context) gather() {
	for b := c.queue.pop(); b != nil; b = c.queue.pop() {
		if b.wanted.Load() == wantedIdle {
			if c.idle.first == nil {
				c.idleSince = c.readClock()
			}
			c.idle.append(b)
		} else {
			c.batch.append(b)
		}
	}
	if c.idle.first != nil {
		c.promote()
	}
}

// promote moves idle bottom halves that were scheduled once more, not idly.
func (c *Context) promote() {
	idle := c.idle
	c.idle = bhList{}
	for b := idle.pop(); b != nil; b = idle.pop() {
		if b.wanted.Load() == wantedIdle {
			c.idle.append(b)
		} else {
			c.batch.append(b)
		}
	}
}

// runBottomHalves runs the batch. A nested Poll runs what the outer one has not
// reached; then there is nothing left here.
func (c *Context) runBottomHalves() (progress bool) {
	for b := c.batch.pop(); b != nil; b = c.batch.pop() {
		if c.runBottomHalf(b) {
			c.stats.BottomHalves++
			progress = true
		}
	}
	return progress
}

// runIdle runs idle bottom halves if nothing else happened or if they have waited
// long enough. One that schedules itself again runs in a later iteration.
func (c *Context) runIdle(progress bool) {
	if c.idle.first == nil || progress && c.readClock()-c.idleSince < idlePeriod {
		return
	}
	list := c.idle
	c.idle = bhList{}
	defer func() { // a panic leaves the others where a later iteration finds them
		for b := list.pop(); b != nil; b = list.pop() {
			c.idle.append(b)
		}
	}()
	for b := list.pop(); b != nil; b = list.pop() {
		if c.runBottomHalf(b) {
			c.stats.IdleBottomHalves++
		}
	}
}

// runBottomHalf calls b's function unless it was cancelled or is held back.
func (c *Context) runBottomHalf(b *BottomHalf) bool {
	if b.guard != nil {
		if !b.guard.enter() {
			b.guard.holdBack(b)
			return false
		}
		defer b.guard.leave()
	}
	// In this order: whoever schedules from here on finds it not queued.
	b.queued.Store(false)
	if b.wanted.Swap(notWanted) == notWanted {
		return false
	}
	if c.trace != nil {
		c.emit(TraceBottomHalf, nameOf(b.name, b.fn), 0)
	}
	fn := b.fn
	if b.once {
		b.free()
	}
	fn()
	return true
}

// free gives a one-shot bottom half back. It has left the queue, so no producer
// refers to it any more.
func (b *BottomHalf) free() {
	b.ctx, b.fn, b.name = nil, nil, ""
	oneShots.Put(b)
}
