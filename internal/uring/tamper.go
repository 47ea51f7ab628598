package uring

import "sync/atomic"

// Tamper makes the ring hand on its completions late, or more than once. It is for
// tests: no kernel does the second, and any may seem to do the first.
//
// The queue is replaced by one in ordinary memory. Whenever pump is called, on the
// goroutine that uses the ring, completions go from one to the other for as long as
// deliver, asked for each, says how many times; 0 ends it, until the next pump.
func (r *Ring) Tamper(deliver func(c *CQE) int) (pump func()) {
	kernel := Ring{cq: r.cq}
	size := 4 * len(r.cq.entries)
	var head, tail uint32
	r.cq = completionQueue{head: &head, tail: &tail, entries: make([]CQE, size)}
	return func() {
		if r.fd < 0 { // closed, and the kernel's queue unmapped
			return
		}
		for c := kernel.Peek(); c != nil && int(tail-head)+2 < size; c = kernel.Peek() {
			n := deliver(c)
			if n == 0 {
				return
			}
			for range n {
				*r.cq.at(tail) = *c
				tail++
			}
			kernel.Seen()
		}
	}
}

// SetWorkPending sets the flag of deferred work, as a kernel may without any. It is for
// tests.
func (r *Ring) SetWorkPending() { atomic.OrUint32(r.sq.flags, SQTaskrun) }
