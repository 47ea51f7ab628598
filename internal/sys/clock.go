package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// start is read once: time.Since of a time with a monotonic reading costs one
// clock read, time.Now costs two.
var start = time.Now()

// Monotonic returns the time since the process started, from CLOCK_MONOTONIC. It
// never goes back. Durations, not wall-clock times, are what the loop counts in.
func Monotonic() time.Duration { return time.Since(start) + skew(CallMonotonic) }

// WallClock returns the time since 1970-01-01 UTC, which jumps when it is set.
func WallClock() time.Duration { return time.Duration(time.Now().UnixNano()) + skew(CallWallClock) }

// Boottime returns the time since the machine started, also that in which it was suspended.
func Boottime() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // since Linux 2.6.39
	return time.Duration(now.Nano()) + skew(CallBoottime)
}

// Deadline turns a timeout into a point on the Monotonic clock, so that an
// interrupted wait can be continued instead of started again. A negative timeout
// (forever), and one beyond the end of time, becomes negative; 0 becomes a
// point that is over, without a look at the clock.
func Deadline(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return timeout
	}
	d := Monotonic() + timeout
	if d < 0 {
		return -1
	}
	return d
}

// Until is the inverse of Deadline: the time left, at least 0, or -1 forever.
func Until(deadline time.Duration) time.Duration {
	if deadline < 0 {
		return -1
	}
	return max(deadline-Monotonic(), 0)
}
