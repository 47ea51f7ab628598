//go:build linux

package aio

import "time"

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
	Reads            uint64 // of Read and Priority
	Writes           uint64
	PollReadies      uint64
	Timers           uint64
	Completions      uint64

	// The rest is 0 without WithTimings, WithTrace, WithSlowCallback or WithDebug.
	Busy            time.Duration // in callbacks
	Idle            time.Duration // asleep
	LongestCallback time.Duration // of those that have returned
	LatestTimer     time.Duration // by how much a timer was late at most
}

// Stats returns the counters. Any goroutine may call it, at any time: it neither waits for the loop
// nor wakes it. While the loop runs, each counter is as of a moment of its own.
func (c *Context) Stats() Stats {
	n := &c.stats
	written := c.waker.wakeups()
	s := Stats{
		Iterations: n.of(statIterations), Sleeps: n.of(statSleeps), Wakeups: n.of(statWakeups),
		NotifiesWritten: written,
		// A notify can have been written whose bottom half was not gathered yet.
		NotifiesElided: max(c.gate.Notifies()+c.halves.count(), written) - written,
		PollHits:       n.of(statPollHits), PollMisses: n.of(statPollMisses),
		BottomHalves: n.of(statBottomHalves), IdleBottomHalves: n.of(statIdleBottomHalves),
		Reads: n.of(statReads), Writes: n.of(statWrites), PollReadies: n.of(statPollReadies),
		Timers: n.of(statTimers), Completions: n.of(statCompletions),
	}
	if c.observer != nil {
		s.add(&c.observer.times)
	}
	return s
}
