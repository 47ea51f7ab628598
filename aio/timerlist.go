//go:build linux

package aio

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio/internal/timerq"
)

// timerList holds the pending timers of one Context on one clock.
type timerList struct {
	ctx *Context
	// next is the earliest deadline, so that an iteration without an expired timer takes
	// no lock. It belongs to the home goroutine.
	next  time.Duration
	mu    sync.Mutex // guards queue and its items
	id    ClockID
	queue timerq.Queue[timerBody]
}

// timers are the lists of the clocks that have had a timer. A set of clocks has a bit for each.
type timers struct {
	lists    [clocks]atomic.Pointer[timerList]
	armed    uint32        // clocks with a pending timer; the home goroutine's
	outdated atomic.Uint32 // clocks whose queue another goroutine has changed since
}

// on returns the list of a clock of c, and makes it for the first timer. Any goroutine may call it.
func (t *timers) on(c *Context, id ClockID) *timerList {
	if l := t.lists[id].Load(); l != nil {
		return l
	}
	t.lists[id].CompareAndSwap(nil, newTimerList(c, id))
	return t.lists[id].Load()
}

// of returns the list of a clock that has had a timer, else nil.
func (t *timers) of(id int) *timerList { return t.lists[id].Load() }

// pending returns the clocks with a pending timer. The home goroutine calls it.
func (t *timers) pending() uint32 {
	if t.outdated.Load() != 0 {
		t.update()
	}
	return t.armed
}

// update takes notice of what others have done.
func (t *timers) update() {
	for set := t.outdated.Swap(0); set != 0; set &= set - 1 {
		l := t.of(bits.TrailingZeros32(set))
		l.mu.Lock()
		l.publish()
		l.mu.Unlock()
	}
}

// timeout returns the time until the earliest deadline of all, or never.
func (t *timers) timeout() time.Duration {
	timeout := never
	for set := t.pending(); set != 0; set &= set - 1 {
		timeout = min(timeout, t.of(bits.TrailingZeros32(set)).timeout())
	}
	return timeout
}

// run calls what has expired, clock by clock. A timer may arm one of a later clock.
func (t *timers) run() (progress bool) {
	done := uint32(0)
	for set := t.pending(); set != 0; set = t.pending() &^ done {
		id := bits.TrailingZeros32(set)
		progress = t.of(id).run() || progress
		done |= set ^ (set - 1) // this clock and those before it
	}
	return progress
}

// abandon disarms all timers and returns their names.
func (t *timers) abandon() (names []string) {
	for i := range t.lists {
		if l := t.of(i); l != nil {
			names = append(names, l.abandon()...)
		}
	}
	return names
}

// timerBody is what a timer does.
type timerBody struct {
	list   *timerList
	fn     func()
	name   string
	closed bool // guarded by list.mu
}

func newTimerList(c *Context, id ClockID) *timerList {
	return &timerList{ctx: c, id: id, queue: timerq.NewQueue[timerBody](), next: never}
}

func (l *timerList) stop(t *Timer) (pending bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remove(t)
}

// remove is called with mu held.
func (l *timerList) remove(t *Timer) (pending bool) {
	pending, byHome := t.item.Pending(), l.ctx.home.mine()
	l.queue.Remove(&t.item)
	l.changed(byHome)
	if pending && !byHome && l.ctx.drains.Load() > 0 {
		l.ctx.Notify() // this may have been the last thing that it waits for
	}
	return pending
}

func (l *timerList) close(t *Timer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	body := &t.item.Value
	if body.closed {
		return ErrClosed
	}
	body.closed = true
	l.remove(t)
	return nil
}

func (l *timerList) deadline(t *Timer) (deadline time.Duration, pending bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.item.Deadline(), t.item.Pending()
}

// now returns the time on the clock of the list.
func (l *timerList) now() time.Duration { return l.ctx.Now(l.id) }

// changed is called with mu held, after each change of the queue.
func (l *timerList) changed(byHome bool) {
	if byHome {
		l.publish()
	} else {
		l.ctx.timers.outdated.Or(1 << l.id)
	}
}

// publish brings next and armed up to date. The home goroutine calls it with mu held.
func (l *timerList) publish() {
	if next := l.queue.Least(); next != l.next {
		l.setNext(next)
	}
}

func (l *timerList) setNext(next time.Duration) {
	l.next = next
	if next == never {
		l.ctx.timers.armed &^= 1 << l.id
	} else {
		l.ctx.timers.armed |= 1 << l.id
	}
}

// earliest returns the earliest deadline, or never. The home goroutine calls it.
func (l *timerList) earliest() time.Duration {
	l.ctx.timers.pending()
	return l.next
}

// set arms t, unless earlier is set and it is pending with an earlier deadline.
// A loop that is asleep must not sleep longer than to the new earliest deadline.
// Close disarms under the same lock: what is armed here runs or is among its leaks.
func (l *timerList) set(t *Timer, deadline time.Duration, earlier bool) error {
	l.mu.Lock()
	if l.ctx.home.closed() || t.item.Value.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	sooner, byHome := false, l.ctx.home.mine()
	if !earlier || !t.item.Pending() || deadline < t.item.Deadline() {
		sooner = l.queue.Arm(&t.item, deadline)
		l.changed(byHome)
	}
	l.mu.Unlock()
	if sooner && (!byHome || l.ctx.turn.foreign()) {
		l.ctx.Notify()
	}
	return nil
}

// timeout returns the time until the earliest deadline: 0 if it is over, never if
// there is none or the clock stands still.
func (l *timerList) timeout() time.Duration {
	next := l.earliest()
	if next == never || l.stopped() {
		return never
	}
	now := l.ctx.nowAt(l.id, l.ctx.watch.read())
	if next <= now {
		return 0
	}
	left := next - now
	if left <= 0 {
		return never - 1 // too far away to be counted
	}
	if l.id == Boottime {
		l.ctx.alarm.set(l.ctx, next)
	}
	return left
}

func (l *timerList) stopped() bool {
	return (l.id == Virtual || l.id == VirtualRT) && !l.ctx.virtual.Running()
}

// run follows pending. It calls what has expired at the time of the call, the earliest first.
// A nested run is an iteration of its own: it may run timers that the outer one put off, and
// the outer one does not run them again.
func (l *timerList) run() (progress bool) {
	if l.stopped() {
		return false
	}
	now := l.ctx.nowAt(l.id, l.ctx.watch.read())
	if l.next > now { // never, too
		return false
	}
	for t, deadline := l.begin(now); t != nil; t, deadline = l.expired() {
		progress = true
		l.ctx.stats.count(statTimers)
		if o := l.ctx.observer; o != nil {
			o.expired(l.now() - deadline)
			o.call(TraceTimer, nameOf(t.Value.name, t.Value.fn), int64(deadline), t.Value.fn)
		} else {
			t.Value.fn()
		}
	}
	return progress
}

// begin starts a run and takes its first timer.
func (l *timerList) begin(now time.Duration) (t *timerq.Item[timerBody], deadline time.Duration) {
	l.mu.Lock()
	l.queue.Begin(now)
	t, deadline = l.take()
	l.mu.Unlock()
	return t, deadline
}

// expired takes the next timer of the run. Without one it takes no lock.
func (l *timerList) expired() (t *timerq.Item[timerBody], deadline time.Duration) {
	if l.earliest() > l.queue.RunAt() {
		return nil, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take()
}

// take also ends a run whose timer has stopped the clock or moved it back: the others wait.
func (l *timerList) take() (t *timerq.Item[timerBody], deadline time.Duration) {
	t = l.queue.Due()
	if t == nil || !l.reached(t.Deadline()) {
		return nil, 0
	}
	l.queue.Remove(t)
	l.publish()
	return t, t.Deadline()
}

// reached reports whether the clock still stands at a deadline of this run, or after it.
func (l *timerList) reached(deadline time.Duration) bool {
	if l.id != Virtual && l.id != VirtualRT {
		return true
	}
	return l.ctx.virtual.reached(l.id, l.ctx.watch.read(), deadline)
}

// states describes the pending timers, the earliest first.
func (l *timerList) states() (all []TimerState) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.Each(func(t *timerq.Item[timerBody]) {
		all = append(all, TimerState{nameOf(t.Value.name, t.Value.fn), l.id, t.Deadline(), t.Deadline() - now})
	})
	slices.SortStableFunc(all, func(a, b TimerState) int { return int(min(max(a.Deadline-b.Deadline, -1), 1)) })
	return all
}

// abandon disarms all timers and returns their names, the earliest first.
func (l *timerList) abandon() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.Begin(never)
	for t := l.queue.Due(); t != nil; t = l.queue.Due() {
		names = append(names, nameOf(t.Value.name, t.Value.fn))
		l.queue.Remove(t)
	}
	return names
}
