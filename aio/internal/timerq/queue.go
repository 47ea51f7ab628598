// Package timerq is a queue of timers, the earliest first. It reads no clock and takes no
// lock: the caller has both.
package timerq

import (
	"math"
	"time"
)

// Never is the deadline of an empty queue.
const Never time.Duration = math.MaxInt64

// Item is a timer of a Queue. NewItem makes one.
type Item[V any] struct {
	Value    V
	deadline time.Duration
	index    int32 // in its heap, or notPending
	heap     uint8 // index in Queue.heaps
}

const notPending = -1

// NewItem returns an item that is not pending.
func NewItem[V any](v V) Item[V] { return Item[V]{Value: v, index: notPending} }

// Pending reports whether the item is in its queue.
func (i *Item[V]) Pending() bool { return i.index != notPending }

// Deadline returns the deadline that the item was armed with last.
func (i *Item[V]) Deadline() time.Duration { return i.deadline }

// Queue holds the pending items of one clock.
//
// A run takes items from one heap. An item that is armed for the time of the latest run or
// earlier waits in the other one, heaps[late], for the next run. Without that, an item that
// arms itself into the past would run forever in one iteration.
type Queue[V any] struct {
	heaps [2]heap[V]
	runAt time.Duration // the time of the latest run
	seq   uint64        // counts Arm: items with one deadline stay in order
	late  uint8
}

// NewQueue returns an empty queue.
func NewQueue[V any]() Queue[V] { return Queue[V]{runAt: math.MinInt64} }

// Least returns the earliest deadline, or Never.
func (q *Queue[V]) Least() time.Duration { return min(q.heaps[0].least(), q.heaps[1].least()) }

// Each calls f for each pending item, in no order. f changes nothing.
func (q *Queue[V]) Each(f func(*Item[V])) {
	for _, h := range q.heaps {
		for _, e := range h {
			f(e.item)
		}
	}
}

// Arm makes i pending with a deadline, whether or not it was pending. It reports whether
// i may be the earliest now.
func (q *Queue[V]) Arm(i *Item[V], deadline time.Duration) (first bool) {
	to := q.late
	if deadline > q.runAt {
		to = 1 - q.late
	}
	if to != i.heap {
		q.Remove(i)
	}
	q.seq++
	i.deadline = deadline
	q.put(to, entry[V]{deadline: deadline, seq: q.seq, item: i})
	return i.index == 0
}

// put makes e the entry of its item, which is in that heap or in none.
func (q *Queue[V]) put(to uint8, e entry[V]) {
	h, i := &q.heaps[to], e.item
	if i.heap = to; i.index == notPending {
		h.push(e)
	} else {
		h.fix(int(i.index), e)
	}
}

// Remove ends i's being pending.
func (q *Queue[V]) Remove(i *Item[V]) {
	if i.index != notPending {
		q.heaps[i.heap].remove(int(i.index))
		i.index = notPending
	}
}

// Begin starts a run at a time. The items that were armed too late for the run before are
// part of it; the smaller heap moves into the larger one.
func (q *Queue[V]) Begin(now time.Duration) {
	if len(q.heaps[q.late]) > len(q.heaps[1-q.late]) {
		q.late = 1 - q.late
	}
	late := &q.heaps[q.late]
	for _, e := range *late {
		e.item.index = notPending
		q.put(1-q.late, e)
	}
	clear(*late)
	*late = (*late)[:0]
	q.runAt = now
}

// RunAt returns the time of the latest run.
func (q *Queue[V]) RunAt() time.Duration { return q.runAt }

// Due returns the next item of the run, or nil. It stays pending until Remove.
func (q *Queue[V]) Due() *Item[V] {
	h := q.heaps[1-q.late]
	if len(h) == 0 || h[0].deadline > q.runAt {
		return nil
	}
	return h[0].item
}
