//go:build linux

package aio

import (
	"sync"
	"sync/atomic"
)

// BottomHalf is a function that any goroutine can ask the loop to call:
// how other goroutines hand work to the loop, and how a callback
// puts work off until the current iteration is over.
//
// A BottomHalf that is not scheduled holds nothing but memory, and is left to the
// garbage collector; Close is for the certainty that it never runs again.
//
// It is 64 bytes, one cache line, so that a Schedule on another CPU moves one.
type BottomHalf struct {
	ctx   *Context
	fn    func()
	name  string
	guard *ReentrancyGuard

	link    *BottomHalf   // in bhQueue: the next older one, unless loose; in a bhList: the next newer one
	loose   atomic.Bool   // see bhQueue
	state   atomic.Uint32 // a set of the bits below
	closed  atomic.Bool
	once    bool   // made by ScheduleOnce, freed when it has run
	awaited bool   // made by Do, which hears by itself if it never runs
	life    uint16 // counts the uses by ScheduleOnce
}

// The bits of state. One exchange of the whole word schedules a bottom half, and
// one takes it to be run.
const (
	queued     uint32 = 1 << iota // it is in the queue or in one of the home goroutine's lists
	wantedIdle                    // it is scheduled to run when nothing else does
	wantedNow                     // it is scheduled
	wanted     = wantedIdle | wantedNow

	// A one-shot has its life in the bits from here on, so that no later use of the same
	// BottomHalf passes for this one.
	lifeShift = 16
)

// NewBottomHalf returns a bottom half that calls fn on the home goroutine each
// time that it was scheduled. Any goroutine may call it. It panics if fn is nil.
func (c *Context) NewBottomHalf(fn func()) *BottomHalf {
	if fn == nil {
		panic("aio: NewBottomHalf: the function is nil")
	}
	b := &BottomHalf{ctx: c, fn: fn}
	if c.observer != nil {
		c.observer.made(b)
	}
	return b
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
// which they were scheduled; one that is cancelled and scheduled again may keep its
// first place. What the caller did before Schedule is visible to
// the function. It fails with ErrClosed, and then does not run.
// Without an error b runs, unless Close names it in its LeakError.
func (b *BottomHalf) Schedule() error {
	if b.closed.Load() {
		return ErrClosed
	}
	switch before := b.state.Swap(queued | wantedNow); { // S1
	case before&queued == 0:
		b.ctx.enqueue(b)
	case before&wantedNow == 0: // it may lie among the idle ones, and need not wait any more
		b.ctx.Notify()
	} // else the caller that put it there notifies
	return b.accepted()
}

// accepted is how a Schedule ends. The loop may have run b, and the Context been closed,
// since b was queued: what has run is no error.
func (b *BottomHalf) accepted() error {
	if b.ctx.home.closed() && b.Scheduled() {
		return ErrClosed
	}
	return nil
}

// ScheduleIdle asks for one run at the end of an iteration that found nothing else
// to do, or at the latest after 10 ms. A blocking iteration waits for something
// else to do until then. An idle run does not count as progress. A Schedule that
// comes later takes precedence. For the rest it is like Schedule.
func (b *BottomHalf) ScheduleIdle() error {
	if b.closed.Load() {
		return ErrClosed
	}
	before := b.state.Load()
	for before&wantedNow == 0 && !b.state.CompareAndSwap(before, queued|wantedIdle) {
		before = b.state.Load()
	}
	if before&queued == 0 {
		b.ctx.queue(b)
	}
	return b.accepted()
}

// Cancel takes back what was scheduled and has not begun to run. Any goroutine
// may call it; on the home goroutine b is then certain not to run, elsewhere it
// may be running at this moment.
func (b *BottomHalf) Cancel() { b.state.And(queued) }

// Scheduled reports whether a run is outstanding.
func (b *BottomHalf) Scheduled() bool { return b.state.Load()&wanted != 0 }

// will reports whether a run of a kind in mask is outstanding.
func (b *BottomHalf) will(mask uint32) bool { return b.state.Load()&mask != 0 && !b.closed.Load() }

// Close is Cancel for good: Schedule and ScheduleIdle fail with ErrClosed from then on, and
// so does a second Close. It may be called from within b's own function.
func (b *BottomHalf) Close() error {
	if b.closed.Swap(true) {
		return ErrClosed
	}
	b.Cancel()
	return nil
}

// ScheduleOnce calls fn on the home goroutine once, like a BottomHalf that is
// made, scheduled and closed. Any goroutine may call it. It fails with ErrClosed,
// and panics if fn is nil.
func (c *Context) ScheduleOnce(fn func()) error {
	if fn == nil {
		panic("aio: ScheduleOnce: the function is nil")
	}
	if c.home.closed() {
		return ErrClosed
	}
	b := oneShots.Get().(*BottomHalf)
	b.ctx, b.fn, b.once = c, fn, true
	b.life++
	state := queued | wantedNow | uint32(b.life)<<lifeShift
	b.state.Store(state)
	if c.observer != nil {
		c.observer.scheduledOnce(b) // it may be another caller's once it is in the queue
	}
	c.enqueue(b)
	return b.acceptedOnce(c, state)
}

// acceptedOnce is accepted for a one-shot. Once it has run, b may be another caller's.
func (b *BottomHalf) acceptedOnce(c *Context, state uint32) error {
	if c.home.closed() && b.state.Load() == state {
		return ErrClosed
	}
	return nil
}

var oneShots = sync.Pool{New: func() any { return new(BottomHalf) }}

// run calls b's function unless it was cancelled or is held back.
func (b *BottomHalf) run() bool {
	if b.guard != nil {
		return b.runGuarded()
	}
	return b.runNow()
}

func (b *BottomHalf) runGuarded() bool {
	if !b.guard.enter() {
		b.guard.holdBack(b)
		return false
	}
	defer b.guard.leave()
	return b.runNow()
}

// runNow calls b's function unless it was cancelled.
func (b *BottomHalf) runNow() bool {
	// A Schedule from here on finds b not queued.
	if b.state.Swap(0)&wanted == 0 || b.closed.Load() { // S2
		return false
	}
	if b.ctx.observer != nil {
		b.runObserved(b.ctx.observer)
		return true
	}
	fn := b.fn
	if b.once {
		b.free()
	}
	fn()
	return true
}

func (b *BottomHalf) runObserved(o *observer) {
	name, fn := nameOf(b.name, b.fn), b.fn
	if b.once {
		o.ranOnce(b)
		b.free()
	}
	o.call(TraceBottomHalf, name, 0, fn)
}

// free gives a one-shot bottom half back. It has left the queue, so no producer refers to
// it.
func (b *BottomHalf) free() {
	b.ctx, b.fn, b.name = nil, nil, ""
	oneShots.Put(b)
}
