//go:build linux

package aio

import "sync/atomic"

// bhQueue takes bottom halves from many producers to one consumer, the home
// goroutine. It is intrusive, so that a push allocates nothing, and a push is one
// exchange and one store whatever the others do: wait-free.
//
// The shared part is a stack: top leads to the newest node, the newest to the one
// before it, and the oldest to the end marker. A producer first makes its node the
// top and then links it to the former one; in between it is not linked, and the
// older nodes are out of the consumer's sight. The consumer does not wait for
// them: it goes on when it is called again, and it will be, because the producer
// notifies the loop after it has closed the gap.
//
// A node is linked if linked is trip+1. The consumer counts trip when it takes the
// node, which spares it from resetting linked with another atomic operation.
type bhQueue struct {
	top atomic.Pointer[BottomHalf]

	_ cacheLinePad // what producers write, and what the consumer does

	// The consumer's: nodes taken from the stack on the way to the oldest.
	taken  *BottomHalf // the next one to turn round, nil if there is none
	turned *BottomHalf // those already turned round, linked from old to new
}

// queueEnd is the end marker of all queues. Nobody writes it.
var queueEnd BottomHalf

func (q *bhQueue) init() { q.top.Store(&queueEnd) }

// push adds b, which is in no queue. Any goroutine may call it.
func (q *bhQueue) push(b *BottomHalf) {
	b.older = q.top.Swap(b)    // Q1
	b.linked.Store(b.trip + 1) // Q2
}

// empty reports whether nothing was pushed since the last take. Any goroutine may
// call it.
func (q *bhQueue) empty() bool { return q.top.Load() == &queueEnd }

// quiet reports whether take would find nothing. Only the home goroutine calls it.
func (q *bhQueue) quiet() bool { return q.taken == nil && q.empty() }

// take empties the queue. It returns the oldest node, which is linked to the
// newer ones. Only the home goroutine calls it.
func (q *bhQueue) take() (oldest *BottomHalf) {
	if q.taken == nil {
		if q.empty() {
			return nil
		}
		q.taken = q.top.Swap(&queueEnd) // Q3
	}
	for b := q.taken; b != &queueEnd; {
		if b.linked.Load() != b.trip+1 { // Q4
			return nil // a gap, see above
		}
		b.trip++
		q.taken = b.older
		b.older, b.link, q.turned = nil, q.turned, b
		b = q.taken
	}
	oldest, q.taken, q.turned = q.turned, nil, nil
	return oldest
}

// bhList is a list of bottom halves that belongs to the home goroutine.
type bhList struct {
	first, last *BottomHalf
}

func (l *bhList) append(b *BottomHalf) {
	b.link = nil
	if l.first == nil {
		l.first = b
	} else {
		l.last.link = b
	}
	l.last = b
}

func (l *bhList) pop() *BottomHalf {
	b := l.first
	if b != nil {
		if l.first, b.link = b.link, nil; l.first == nil {
			l.last = nil // it may be let go of
		}
	}
	return b
}
