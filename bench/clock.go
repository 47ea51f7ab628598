package bench

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
)

// epoch is when the process started. Reading the time since then costs half of
// what time.Now does, which reads two clocks.
var epoch = time.Now()

// now reads the monotonic clock, which all CPUs share.
func now() time.Duration { return time.Since(epoch) }

// budget says how much a case does: a number of operations, or as many as fit
// into a time.
type budget struct {
	ops   int64         // if it is not 0, exactly so many
	until time.Duration // otherwise, until this time,
	least int64         // but at least so many
	most  int64         // and at most so many, if it is not 0
	none  bool          // nothing at all

	warm time.Duration // before it; only for what warms up by itself
}

// spent reports whether there is nothing left to do after done operations.
func (b budget) spent(done int64, at time.Duration) bool {
	if b.none {
		return true
	}
	if b.ops > 0 {
		return done >= b.ops
	}
	return at >= b.until && done >= b.least || b.most > 0 && done >= b.most
}

// batch is how many operations to time together, at most size.
func (b budget) batch(size, done int64) int64 {
	if b.ops > 0 {
		return min(size, b.ops-done)
	}
	return size
}

// recordBatch counts the mean of a batch, rounded to whole nanoseconds.
func recordBatch(rec *report.Recorder, took time.Duration, ops int64) {
	rec.Record((took + time.Duration(ops/2)) / time.Duration(ops))
}

// cpuTime is the CPU time of the process, or of the calling thread.
func cpuTime(who int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
