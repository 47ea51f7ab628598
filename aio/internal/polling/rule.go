// Package polling decides how long a loop looks for events in user space before it
// sleeps. Its rules are pure functions of the samples that they are given: they read no
// clock and can be replayed on recorded traffic.
package polling

import "time"

// Config is what aio.Polling asks for.
type Config struct {
	Max     time.Duration // the longest window
	Learned bool          // the learned rule, else QEMU's
	Grow    int           // QEMU's rule: the window's factor, 0 for 2
	Shrink  int           // QEMU's rule: the window's divisor, 0 for a window of 0
}

// Rule sets the window of a loop. The zero value keeps it at 0.
type Rule struct {
	Window  time.Duration // how long the loop may look for its next event
	config  Config
	learned *learned // nil with QEMU's rule
}

// NewRule returns a rule whose window is 0.
func NewRule(c Config) Rule {
	r := Rule{config: c}
	if c.Max > 0 && c.Learned {
		r.learned = newLearned(c.Max)
	}
	return r
}

// Enabled reports whether the window can ever be longer than 0.
func (r *Rule) Enabled() bool { return r.config.Max > 0 }

// Sample is what an iteration teaches that had to wait for its event. Times count from the
// moment at which the loop began to look.
type Sample struct {
	Immediate int           // iterations since the last sample whose event was there immediately
	Spun      time.Duration // how long the loop looked; 0: it slept without looking
	Arrived   time.Duration // when the event was there, or Unknown
	Blocked   time.Duration // when the loop could go on
	Woken     bool          // Blocked-Arrived is the price of a wake-up
}

// Unknown is the Arrived of an event that only the kernel has seen.
const Unknown time.Duration = -1

// Learn takes a sample and sets the window for the next iteration.
func (r *Rule) Learn(s Sample) {
	if r.learned != nil {
		r.Window = r.learned.sample(s)
	} else {
		r.Window = r.config.next(r.Window, s.Blocked)
	}
}

// firstWindow is what the window grows from (QEMU's 4 µs).
const firstWindow = 4 * time.Microsecond

// next is QEMU's rule: the window after an iteration that was blocked for so long. That
// includes the time that the thread took to wake up.
func (c Config) next(window, blocked time.Duration) time.Duration {
	switch {
	case blocked <= window: // the window was long enough
		return window
	case blocked > c.Max: // no allowed window would have been
		if c.Shrink == 0 {
			return 0
		}
		return window / time.Duration(c.Shrink)
	case window == 0:
		return min(firstWindow, c.Max)
	}
	grow := time.Duration(c.Grow)
	if grow == 0 {
		grow = 2
	}
	if window > c.Max/grow { // the product may overflow
		return c.Max
	}
	return window * grow
}
