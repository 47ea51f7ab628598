package aio

import "sync/atomic"

// bhQueue is a queue of bottom halves with many producers and one consumer, the
// home goroutine. It is intrusive, so that a push allocates nothing, and a push
// is one exchange and one store whatever the others do: wait-free.
//
// The list runs from head, through stub or the node popped last, to tail. A
// producer first makes its node the tail and then links the former tail to it; in
// between, the nodes behind the gap are out of the consumer's sight. That is
// harmless: the producer notifies the loop after it has closed the gap.
type bhQueue struct {
	tail atomic.Pointer[BottomHalf]
	_    cacheLinePad // producers write above, the consumer below
	head *BottomHalf
	stub BottomHalf
}

// cacheLinePad keeps fields written by different CPUs out of each other's lines.
type cacheLinePad [64]byte

func (q *bhQueue) init() {
	q.head = &q.stub
	q.tail.Store(&q.stub)
}

// push appends b, which is in no queue. Any goroutine may call it.
func (q *bhQueue) push(b *BottomHalf) {
	b.next.Store(nil)
	q.tail.Swap(b).next.Store(b)
}

// pop removes the oldest node. Only the home goroutine calls it.
func (q *bhQueue) pop() *BottomHalf {
	head := q.head
	next := head.next.Load()
	if head == &q.stub {
		if next == nil {
			return nil
		}
		q.head = next
		head, next = next, next.next.Load()
	}
	if next == nil {
		// head may be the last one: put the stub behind it, so that it can leave.
		if head != q.tail.Load() {
			return nil // a gap: its producer has yet to notify
		}
		q.push(&q.stub)
		if next = head.next.Load(); next == nil {
			return nil
		}
	}
	q.head = next
	return head
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
		l.first, b.link = b.link, nil
	}
	return b
}
