//go:build linux

package aio

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// timerList are the pending timers of one Context on one clock (QEMU's
// QEMUTimerList, which is a sorted list; here they are in heaps).
type timerList struct {
	ctx  *Context
	id   ClockID
	late uint8 // see below

	// next is the earliest deadline, so that an iteration without an expired timer
	// takes no lock. It is written under mu.
	next atomic.Int64

	mu  sync.Mutex // guards the rest, and the fields of its timers
	seq uint64     // counts arm, to keep timers with one deadline in order
	// A run takes timers from one heap. Those that are armed for the time of the latest run
	// or earlier wait in the other one, heaps[late], for the next run, or a timer that arms itself
	// into the past would run for ever in one iteration.
	heaps  [2]timerHeap
	runNow time.Duration // written by the home goroutine
}

func (l *timerList) init(c *Context, id ClockID) {
	l.ctx, l.id, l.runNow = c, id, math.MinInt64
	l.next.Store(int64(never))
}

// arm makes t pending and reports whether it may be the earliest now.
func (l *timerList) arm(t *Timer, deadline time.Duration) bool {
	heap := l.late
	if deadline > l.runNow {
		heap = 1 - l.late
	}
	if heap != t.heap {
		l.takeOut(t)
	}
	l.seq++
	t.deadline = deadline
	l.put(heap, timerEntry{deadline: deadline, seq: l.seq, timer: t})
	l.publish()
	return t.place == 0
}

// put makes e the entry of its timer, which is in that heap or in none.
func (l *timerList) put(heap uint8, e timerEntry) {
	h, t := &l.heaps[heap], e.timer
	if t.heap = heap; t.place == notPending {
		h.push(e)
	} else {
		h.fix(int(t.place), e)
	}
}

func (l *timerList) takeOut(t *Timer) {
	if t.place != notPending {
		l.heaps[t.heap].remove(int(t.place))
		t.place = notPending
	}
}

func (l *timerList) disarm(t *Timer) {
	l.takeOut(t)
	l.publish()
}

// publish updates next.
func (l *timerList) publish() {
	if next := int64(min(l.heaps[0].least(), l.heaps[1].least())); next != l.next.Load() {
		l.next.Store(next)
	}
}

// announce ends Mod: a loop that is asleep must not sleep longer than to the new
// earliest deadline.
func (l *timerList) announce(sooner bool) error {
	if sooner && l.ctx.maySleep() {
		l.ctx.Notify()
	}
	return l.ctx.closedError()
}

// armed reports whether any timer is pending.
func (l *timerList) armed() bool { return time.Duration(l.next.Load()) != never }

// timeout returns the time until the earliest deadline: 0 if it is over, never if
// there is none or the clock stands still.
func (l *timerList) timeout() time.Duration {
	next := time.Duration(l.next.Load())
	if next == never || l.stopped() {
		return never
	}
	now := l.ctx.nowAt(l.id, l.ctx.readClock())
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

// run calls what has expired at the time of the call, the earliest first. A nested
// run is an iteration of its own: timers that the outer one put off may run in it,
// and then not in the outer one again.
func (l *timerList) run() (progress bool) {
	if l.timeout() > 0 {
		return false
	}
	for t, deadline := l.begin(l.ctx.nowAt(l.id, l.ctx.readClock())); t != nil; t, deadline = l.expired() {
		progress = true
		l.ctx.stats.Timers++
		if l.ctx.trace != nil {
			l.ctx.emit(TraceTimer, nameOf(t.name, t.fn), int64(deadline))
		}
		t.fn()
	}
	return progress
}

// begin starts a run and takes the first timer out of the heap.
func (l *timerList) begin(now time.Duration) (*Timer, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeue()
	l.runNow = now
	return l.take()
}

// expired takes the next timer out of the heap. For the last one, no lock is needed to
// see that it was that.
func (l *timerList) expired() (*Timer, time.Duration) {
	if time.Duration(l.next.Load()) > l.runNow {
		return nil, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take()
}

// take also ends a run whose timer has stopped the clock, or moved it back: the others
// have to wait.
func (l *timerList) take() (*Timer, time.Duration) {
	h := l.heaps[1-l.late]
	if len(h) == 0 || h[0].deadline > l.runNow || !l.reached(h[0].deadline) {
		return nil, 0
	}
	t := h[0].timer
	l.disarm(t)
	return t, t.deadline
}

// reached reports whether it is still time for a deadline that was over at runNow.
func (l *timerList) reached(deadline time.Duration) bool {
	if l.id != Virtual && l.id != VirtualRT {
		return true
	}
	return l.ctx.virtual.reached(l.id, l.ctx.readClock(), deadline)
}

// requeue leaves no timer late. The smaller heap moves into the larger one.
func (l *timerList) requeue() {
	if len(l.heaps[l.late]) > len(l.heaps[1-l.late]) {
		l.late = 1 - l.late
	}
	late := &l.heaps[l.late]
	for _, e := range *late {
		e.timer.place = notPending
		l.put(1-l.late, e)
	}
	clear(*late)
	*late = (*late)[:0]
}

// abandon disarms all timers and returns their names, the earliest first.
func (l *timerList) abandon() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeue()
	for h := &l.heaps[1-l.late]; len(*h) > 0; {
		t := (*h)[0].timer
		names = append(names, nameOf(t.name, t.fn))
		l.disarm(t)
	}
	return names
}
