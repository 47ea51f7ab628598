//go:build linux

package aio

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio/internal/timerq"
)

// timerList holds the pending timers of one Context on one clock (QEMU's QEMUTimerList).
type timerList struct {
	ctx *Context
	// next is the earliest deadline, so that an iteration without an expired timer takes
	// no lock. It belongs to the home goroutine; outdated says that another one has changed
	// the queue since.
	next     time.Duration
	outdated atomic.Bool
	mu       sync.Mutex // guards queue and its items
	id       ClockID
	queue    timerq.Queue[timerBody]
}

// timers are the lists of all clocks.
type timers struct {
	lists [clocks]timerList
}

func (t *timers) init(c *Context) {
	for id := range t.lists {
		t.lists[id].init(c, ClockID(id))
	}
}

func (t *timers) on(id ClockID) *timerList { return &t.lists[id] }

// timeout returns the time until the earliest deadline of all, or never.
func (t *timers) timeout() time.Duration {
	timeout := never
	for i := range t.lists {
		if t.lists[i].armed() {
			timeout = min(timeout, t.lists[i].timeout())
		}
	}
	return timeout
}

// run calls what has expired, clock by clock.
func (t *timers) run() (progress bool) {
	for i := range t.lists {
		if t.lists[i].armed() {
			progress = t.lists[i].run() || progress
		}
	}
	return progress
}

// abandon disarms all timers and returns their names.
func (t *timers) abandon() (names []string) {
	for i := range t.lists {
		names = append(names, t.lists[i].abandon()...)
	}
	return names
}

// timerBody is what a timer does.
type timerBody struct {
	list *timerList
	fn   func()
	name string
}

func (l *timerList) init(c *Context, id ClockID) {
	l.ctx, l.id, l.queue = c, id, timerq.NewQueue[timerBody]()
	l.next = never
}

func (l *timerList) del(t *Timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.Remove(&t.item)
	l.changed(l.ctx.home.mine())
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
		l.next = l.queue.Least()
	} else if !l.outdated.Load() {
		l.outdated.Store(true)
	}
}

// earliest returns the earliest deadline, or never. The home goroutine calls it.
func (l *timerList) earliest() time.Duration {
	if l.outdated.Load() {
		l.update()
	}
	return l.next
}

func (l *timerList) update() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outdated.Store(false)
	l.next = l.queue.Least()
}

// mod arms t, unless anticipate is set and it is pending with an earlier deadline.
// A loop that is asleep must not sleep longer than to the new earliest deadline.
// Close disarms under the same lock: what is armed here runs or is among its leaks.
func (l *timerList) mod(t *Timer, deadline time.Duration, anticipate bool) error {
	l.mu.Lock()
	if l.ctx.home.closed() {
		l.mu.Unlock()
		return ErrClosed
	}
	sooner := false
	if !anticipate || !t.item.Pending() || deadline < t.item.Deadline() {
		sooner = l.queue.Arm(&t.item, deadline)
		l.changed(l.ctx.home.mine())
	}
	l.mu.Unlock()
	if sooner && l.ctx.mayBeAsleep() {
		l.ctx.Notify()
	}
	return nil
}

// armed reports whether any timer is pending.
func (l *timerList) armed() bool { return l.earliest() != never }

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
	if left := next - now; left > 0 {
		return left
	}
	return never - 1 // too far away to be counted
}

func (l *timerList) stopped() bool {
	return (l.id == Virtual || l.id == VirtualRT) && !l.ctx.virtual.Running()
}

// run calls what has expired at the time of the call, the earliest first. A nested run is an
// iteration of its own: it may run timers that the outer one put off, and the outer one
// does not run them again.
func (l *timerList) run() (progress bool) {
	if l.timeout() > 0 {
		return false
	}
	for t, deadline := l.begin(l.ctx.nowAt(l.id, l.ctx.watch.read())); t != nil; t, deadline = l.expired() {
		progress = true
		l.ctx.stats.count(statTimers)
		if l.ctx.trace != nil {
			l.ctx.trace.emit(TraceTimer, nameOf(t.Value.name, t.Value.fn), int64(deadline))
		}
		t.Value.fn()
	}
	return progress
}

// begin starts a run and takes its first timer.
func (l *timerList) begin(now time.Duration) (t *timerq.Item[timerBody], deadline time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.Begin(now)
	return l.take()
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
	l.next = l.queue.Least()
	return t, t.Deadline()
}

// reached reports whether the clock still stands at a deadline of this run, or after it.
func (l *timerList) reached(deadline time.Duration) bool {
	if l.id != Virtual && l.id != VirtualRT {
		return true
	}
	return l.ctx.virtual.reached(l.id, l.ctx.watch.read(), deadline)
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
