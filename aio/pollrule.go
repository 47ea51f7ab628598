//go:build linux

package aio

import "time"

// pollRule decides how long the loop looks for events in user space before it
// sleeps. It depends on the samples that it is given alone: it reads no clock, so
// that it can be tried on recorded traffic.
type pollRule struct {
	Polling
	window  time.Duration
	learned *learned // nil if it is not asked for
}

func newPollRule(p Polling) pollRule {
	r := pollRule{Polling: p}
	if p.Max > 0 && p.Rule == PollLearned {
		r.learned = newLearned(p.Max)
	}
	return r
}

// pollSample is what an iteration teaches that had to wait for its event. Times are
// counted from when it began to look.
type pollSample struct {
	immediate int           // iterations since the last sample whose event was there at once
	spun      time.Duration // the loop looked for so long; 0: it went to sleep at once
	arrived   time.Duration // the event was there; unknown if only the kernel has seen it
	blocked   time.Duration // the loop could go on
	woken     bool          // the time in between is what a wake-up takes
}

// unknown is when an event arrived that carries no stamp.
const unknown time.Duration = -1

// sample takes notice of an iteration, and sets the window for the next one.
func (r *pollRule) sample(s pollSample) {
	if r.learned != nil {
		r.window = r.learned.sample(s)
	} else {
		r.window = r.next(r.window, s.blocked)
	}
}

// firstWindow is what the window grows from (QEMU's 4 µs).
const firstWindow = 4 * time.Microsecond

// next is QEMU's rule: the window after an iteration that was blocked for so long,
// which includes the time that the thread took to wake up.
func (p Polling) next(window, blocked time.Duration) time.Duration {
	switch {
	case blocked <= window: // the window did its work
		return window
	case blocked > p.Max: // no window that is allowed would have helped
		if p.Shrink == 0 {
			return 0
		}
		return window / time.Duration(p.Shrink)
	case window == 0:
		return min(firstWindow, p.Max)
	case p.Grow == 0:
		return min(window*2, p.Max)
	default:
		return min(window*time.Duration(p.Grow), p.Max)
	}
}
