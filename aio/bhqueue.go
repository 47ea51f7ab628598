//go:build linux

package aio

import "sync/atomic"

// bhQueue takes bottom halves from many producers to one consumer, the home
// goroutine. It is intrusive, so that a push allocates nothing, and a push takes the
// same few steps whatever the others do: wait-free.
//
// The shared part is a stack: top leads to the newest node, the newest to the one
// before it, and the oldest to the end marker. A producer that finds the stack empty
// puts its node in the place of the end marker, and that is all. Another one first makes
// its node the top and then links it to the former one; in between the node is loose, and
// the older nodes are out of the consumer's sight. The consumer does not wait for
// them: it goes on when it is called again, and it will be, because the producer
// notifies the loop after it has closed the gap.
type bhQueue struct {
	top atomic.Pointer[BottomHalf]

	_ cacheLinePad // what producers write, and what the consumer does

	// The consumer's: nodes taken from the stack on the way to the oldest.
	taken  *BottomHalf // the next one to turn round, nil if there is none
	turned *BottomHalf // those already turned round, linked from old to new
}

// queueEnd is the end marker of all queues. No goroutine writes it.
var queueEnd BottomHalf

func (q *bhQueue) init() { q.top.Store(&queueEnd) }

// push adds b, which is in no queue. Any goroutine may call it.
func (q *bhQueue) push(b *BottomHalf) {
	b.link = &queueEnd
	if q.top.CompareAndSwap(&queueEnd, b) { // Q1, and Q2 with it
		return
	}
	b.loose.Store(true)
	b.link = q.top.Swap(b) // Q1
	b.loose.Store(false)   // Q2
}

// empty reports whether nothing was pushed since the last take. Any goroutine may
// call it.
func (q *bhQueue) empty() bool { return q.top.Load() == &queueEnd }

// quiet reports whether take would find nothing. Only the home goroutine calls it.
func (q *bhQueue) quiet() bool { return q.taken == nil && q.empty() }

// stuck reports whether the last take has stopped at a gap.
func (q *bhQueue) stuck() bool { return q.taken != nil }

// take empties the queue. It returns the oldest node, which is linked to the
// newer ones. Only the home goroutine calls it.
func (q *bhQueue) take() (oldest *BottomHalf) {
	b, oldest := q.taken, q.turned
	if b == nil {
		if q.empty() {
			return nil
		}
		b = q.top.Swap(&queueEnd) // Q3
	}
	for b != &queueEnd {
		if b.loose.Load() { // Q4
			q.taken, q.turned = b, oldest
			return nil // a gap, see above
		}
		b, b.link, oldest = b.link, oldest, b
	}
	if q.stuck() {
		q.taken, q.turned = nil, nil
	}
	return oldest
}

// bhList is a list of bottom halves that belongs to the home goroutine.
type bhList struct {
	first, last *BottomHalf
}

func (l *bhList) empty() bool { return l.first == nil }

// peek returns the oldest one, nil if there is none.
func (l *bhList) peek() *BottomHalf { return l.first }

// newest returns the one that was appended last, nil if there is none.
func (l *bhList) newest() *BottomHalf { return l.last }

// takeAll empties the list and returns what was in it.
func (l *bhList) takeAll() (all bhList) {
	all, *l = *l, bhList{}
	return all
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
