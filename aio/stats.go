//go:build linux

package aio

import (
	"context"
	"runtime"
	"time"
)

// Stats are counters since New.
type Stats struct {
	Iterations uint64 // of Poll, TryPoll and Run, nested ones included
	Sleeps     uint64 // iterations that blocked in the kernel
	Wakeups    uint64 // sleeps that an event or a notify ended, not the timeout

	// Notifies, bottom halves scheduled, and what the library does with either by itself:
	// for a timer that is armed elsewhere, for example. Those that found the loop asleep
	// cost one system call each, the others none.
	NotifiesWritten uint64
	NotifiesElided  uint64

	PollHits   uint64 // user-space polling phases that found an event
	PollMisses uint64 // phases that ended without one

	BottomHalves     uint64 // callbacks run, by kind
	IdleBottomHalves uint64
	Reads            uint64
	Writes           uint64
	PollReadies      uint64
	Timers           uint64
	Completions      uint64
}

// Stats returns the counters. Any goroutine may call it, at any time. On the home
// goroutine, and while the loop is not polling, it costs next to nothing; from another
// goroutine it waits for the loop.
func (c *Context) Stats() Stats {
	var s Stats
	c.whileStill(func() { s = c.snapshot() })
	return s
}

func (c *Context) snapshot() Stats {
	n := &c.stats
	written := c.waker.wakeups()
	return Stats{
		Iterations: n.of(statIterations), Sleeps: n.of(statSleeps), Wakeups: n.of(statWakeups),
		NotifiesWritten: written,
		// A notify can have been written whose bottom half was not gathered yet.
		NotifiesElided: max(c.gate.Notifies()+c.halves.count(), written) - written,
		PollHits:       n.of(statPollHits), PollMisses: n.of(statPollMisses),
		BottomHalves: n.of(statBottomHalves), IdleBottomHalves: n.of(statIdleBottomHalves),
		Reads: n.of(statReads), Writes: n.of(statWrites), PollReadies: n.of(statPollReadies),
		Timers: n.of(statTimers), Completions: n.of(statCompletions),
	}
}

// whileStill runs f while nothing that belongs to the home goroutine changes.
func (c *Context) whileStill(f func()) {
	for patience := time.Millisecond; ; {
		switch {
		case c.home.mine() && c.home.inside():
			f()
			return
		case c.home.borrow():
			defer c.home.giveBack()
			f()
			return
		case c.home.closed():
			<-c.ending.signal() // Close may still be at work on them
			f()
			return
		case c.home.borrowed() || c.home.mine(): // another goroutine reads, or has just read; Do would not wait for it
			runtime.Gosched()
		case c.doWithin(patience, f):
			return
		default: // the loop has ended, or no goroutine polls it any more, before it came to f; or it takes long
			patience = min(2*patience, 100*time.Millisecond)
		}
	}
}

func (c *Context) doWithin(d time.Duration, f func()) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.Do(ctx, func() error { f(); return nil }) == nil
}
