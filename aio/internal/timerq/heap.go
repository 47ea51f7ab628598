package timerq

import "time"

// heap is a heap with four children a node: half as deep as a binary one, and the four lie
// in two cache lines. Keys lie beside the pointers, so a comparison fetches no item.
type heap[V any] []entry[V]

type entry[V any] struct {
	deadline time.Duration
	seq      uint64
	item     *Item[V]
}

func (e *entry[V]) before(o *entry[V]) bool {
	return e.deadline < o.deadline || e.deadline == o.deadline && e.seq < o.seq
}

// least is the earliest deadline, or Never.
func (h heap[V]) least() time.Duration {
	if len(h) == 0 {
		return Never
	}
	return h[0].deadline
}

func (h *heap[V]) push(e entry[V]) {
	*h = append(*h, e)
	h.up(len(*h)-1, e)
}

// fix replaces the entry at i by e.
func (h heap[V]) fix(i int, e entry[V]) {
	if i > 0 && e.before(&h[(i-1)/4]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

func (h *heap[V]) remove(i int) {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = entry[V]{}
	*h = (*h)[:last]
	if i < last {
		h.fix(i, e)
	}
}

// up moves the hole at i towards the root until e fits.
func (h heap[V]) up(i int, e entry[V]) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, e)
}

// down moves the hole at i towards the leaves until e fits.
func (h heap[V]) down(i int, e entry[V]) {
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, len(h)); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if !h[least].before(&e) {
			break
		}
		h.set(i, h[least])
		i = least
	}
	h.set(i, e)
}

func (h heap[V]) set(i int, e entry[V]) {
	h[i] = e
	e.item.index = int32(i)
}
