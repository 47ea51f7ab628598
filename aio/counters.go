//go:build linux

package aio

// counters are what Stats reports of the home goroutine. Only that one counts.
type counters [statsEnd]tally

// counter names one of them.
type counter uint8

const (
	statIterations counter = iota
	statSleeps
	statWakeups
	statPollHits
	statPollMisses
	statBottomHalves
	statIdleBottomHalves
	statReads
	statWrites
	statPollReadies
	statTimers
	statCompletions
	statsEnd
)

func (c *counters) count(k counter) { c[k].add() }

// of returns a counter. Any goroutine may call it.
func (c *counters) of(k counter) uint64 { return c[k].load() }
