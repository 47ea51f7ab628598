//go:build linux

package aio

import (
	"sync"
	"sync/atomic"
	"time"
)

// timerList are the pending timers of one Context on one clock (QEMU's
// QEMUTimerList, which is a sorted list; here it is a heap).
type timerList struct {
	ctx     *Context
	id      ClockID
	running int32 // see below

	// next is the earliest deadline, so that an iteration without an expired timer
	// takes no lock. It is written under mu.
	next atomic.Int64

	mu   sync.Mutex // guards the rest, running, and the fields of its timers
	heap timerHeap
	seq  uint64 // counts arm, to keep timers with one deadline in order
	// While run is under way, timers armed for runNow or earlier wait in late, or a
	// timer that arms itself into the past would run for ever in one iteration. Nested
	// runs are counted in running.
	runNow time.Duration
	late   []*Timer
}

func (l *timerList) init(c *Context, id ClockID) {
	l.ctx, l.id = c, id
	l.next.Store(int64(never))
}

// arm makes t pending and reports whether it is now the earliest.
func (l *timerList) arm(t *Timer, deadline time.Duration) bool {
	if l.running > 0 && deadline <= l.runNow {
		l.disarm(t)
		t.deadline, t.place = deadline, deferred
		l.late = append(l.late, t)
		l.publish()
		return true
	}
	if t.place == deferred {
		l.disarm(t)
	}
	l.insert(t, deadline)
	l.publish()
	return t.place == 0
}

func (l *timerList) insert(t *Timer, deadline time.Duration) {
	l.seq++
	t.deadline = deadline
	e := timerEntry{deadline: deadline, seq: l.seq, timer: t}
	if t.place == notPending {
		l.heap.push(e)
	} else {
		l.heap.fix(t.place, e)
	}
}

func (l *timerList) disarm(t *Timer) {
	switch t.place {
	case notPending:
		return
	case deferred:
		for i := range l.late {
			if l.late[i] == t {
				l.late = append(l.late[:i], l.late[i+1:]...)
				break
			}
		}
	default:
		l.heap.remove(t.place)
	}
	t.place = notPending
	l.publish()
}

// publish updates next.
func (l *timerList) publish() {
	next := never
	if len(l.heap) > 0 {
		next = l.heap[0].deadline
	}
	for _, t := range l.late {
		next = min(next, t.deadline)
	}
	if int64(next) != l.next.Load() {
		l.next.Store(int64(next))
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
	t, deadline := l.begin(l.ctx.nowAt(l.id, l.ctx.readClock()))
	defer func() {
		if t != nil { // its function did not return
			l.end()
		}
	}()
	for t != nil {
		progress = true
		l.ctx.stats.Timers++
		if l.ctx.trace != nil {
			l.ctx.emit(TraceTimer, nameOf(t.name, t.fn), int64(deadline))
		}
		t.fn()
		t, deadline = l.expired()
	}
	return progress
}

// begin starts a run and takes the first timer out of the heap.
func (l *timerList) begin(now time.Duration) (*Timer, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeue()
	l.running++
	l.runNow = now
	return l.take()
}

// expired takes the next timer out of the heap; if there is none the run is over.
func (l *timerList) expired() (*Timer, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.take()
}

// take also ends a run whose timer has stopped the clock, or moved it back: the others
// have to wait.
func (l *timerList) take() (*Timer, time.Duration) {
	if len(l.heap) == 0 || l.heap[0].deadline > l.runNow || !l.reached(l.heap[0].deadline) {
		l.over()
		return nil, 0
	}
	t := l.heap[0].timer
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

func (l *timerList) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over()
}

// over ends a run. What was put off is for the iterations to come.
func (l *timerList) over() {
	l.running--
	if l.running == 0 {
		l.requeue()
	}
}

// requeue moves the late timers into the heap.
func (l *timerList) requeue() {
	if len(l.late) == 0 {
		return
	}
	for i, t := range l.late {
		t.place = notPending
		l.insert(t, t.deadline)
		l.late[i] = nil
	}
	l.late = l.late[:0]
	l.publish()
}

// abandon disarms all timers and returns their names, the earliest first.
func (l *timerList) abandon() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeue()
	for len(l.heap) > 0 {
		t := l.heap[0].timer
		names = append(names, nameOf(t.name, t.fn))
		l.disarm(t)
	}
	return names
}
