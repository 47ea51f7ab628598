//go:build linux

package aio

import "time"

// timerHeap is a heap with four children to a node: half as deep as a binary one,
// and the four lie in two cache lines. The keys are kept beside the pointers, so
// that a comparison does not fetch the timers.
type timerHeap []timerEntry

type timerEntry struct {
	deadline time.Duration
	seq      uint64
	timer    *Timer
}

func (e *timerEntry) before(o *timerEntry) bool {
	return e.deadline < o.deadline || e.deadline == o.deadline && e.seq < o.seq
}

// least is the earliest deadline, never if there is none.
func (h timerHeap) least() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].deadline
}

func (h *timerHeap) push(e timerEntry) {
	*h = append(*h, e)
	h.up(len(*h)-1, e)
}

// fix replaces the entry at i by e.
func (h timerHeap) fix(i int, e timerEntry) {
	if i > 0 && e.before(&h[(i-1)/4]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

func (h *timerHeap) remove(i int) {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = timerEntry{}
	*h = (*h)[:last]
	if i < last {
		h.fix(i, e)
	}
}

// up moves the hole at i towards the root until e fits.
func (h timerHeap) up(i int, e timerEntry) {
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
func (h timerHeap) down(i int, e timerEntry) {
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

func (h timerHeap) set(i int, e timerEntry) {
	h[i] = e
	e.timer.place = int32(i)
}
