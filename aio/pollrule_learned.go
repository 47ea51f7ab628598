//go:build linux

package aio

import "time"

// learned is the rule that knows how long events have been waited for lately.
//
// It keeps a histogram of those times, in which what is past counts less and less.
// A window of w would have cost the time waited for each event, but at most w; an
// event that comes within it is worth a wake-up, which is saved, and Max, since
// that is what the user is willing to spend for one. The window is the one that
// gains most, and 0 if all of them lose.
//
// Nothing has to be tried out for that: a sleep teaches as much as a window, because
// a notifier stamps the time at which its event arrived. Events that only the kernel
// has seen carry no stamp; for them the price of a wake-up is subtracted.
type learned struct {
	edges  [pollBuckets]time.Duration // the longest time that belongs to a bucket; the last is Max
	window time.Duration
	stamps wakeupCost // as far as stamps tell
	bounds wakeupCost // else

	weights [pollBuckets + 1]int64 // of the times waited, the last for those beyond Max
	total   int64                  // of weights
	run     int                    // samples in a row that were beyond Max, or, counted downwards, not
}

const (
	pollBuckets = 16

	// sampleWeight is that of a new sample. All weights are halved when they have
	// come to memory samples, so that between half as many and all of them count.
	sampleWeight = 1 << 10
	memory       = 32

	// longRun is how many samples in a row tell that the traffic has changed.
	longRun = 3

	// longestWindow keeps the sums of weighted times from an overflow.
	longestWindow = time.Hour
)

// newLearned returns the rule for windows up to a limit. There are two buckets to each
// power of two.
func newLearned(limit time.Duration) *learned {
	l := new(learned)
	limit = min(limit, longestWindow)
	for i := range l.edges {
		below := pollBuckets - 1 - i
		l.edges[i] = limit >> (below / 2)
		if below%2 == 1 {
			l.edges[i] = l.edges[i]/2 + l.edges[i]/4
		}
	}
	return l
}

// bucket returns that of a time; pollBuckets if it is beyond Max.
func (l *learned) bucket(waited time.Duration) int {
	for i, edge := range l.edges {
		if waited <= edge {
			return i
		}
	}
	return pollBuckets
}

// sample takes notice of an iteration and returns the window for the next one.
func (l *learned) sample(s pollSample) time.Duration {
	l.add(0, min(s.immediate, memory))
	switch {
	case s.arrived == unknown:
		l.bounds.limit(s.blocked - s.spun)
	case s.woken:
		l.stamps.follow(s.blocked - s.arrived)
	}
	bucket := l.bucket(l.waited(s))
	l.add(bucket, 1)
	l.forget(bucket == pollBuckets)
	l.window = l.best()
	return l.window
}

// waited returns how long the event was waited for.
func (l *learned) waited(s pollSample) time.Duration {
	if s.arrived != unknown {
		return s.arrived
	}
	return max(s.blocked-l.wakeup(), s.spun+1) // it had not come while the loop looked
}

// wakeup returns the price of a typical wake-up.
func (l *learned) wakeup() time.Duration {
	if l.stamps > 0 {
		return time.Duration(l.stamps)
	}
	return time.Duration(l.bounds)
}

// add counts n samples.
func (l *learned) add(bucket, n int) {
	l.weights[bucket] += int64(n) * sampleWeight
	l.total += int64(n) * sampleWeight
	for l.total > memory*sampleWeight {
		l.halve(l.weights[:])
	}
}

// forget makes traffic that stops cost nothing soon, and lets a window open soon
// when traffic begins.
func (l *learned) forget(beyond bool) {
	if beyond {
		l.run = max(l.run, 0) + 1
	} else {
		l.run = min(l.run, 0) - 1
	}
	switch {
	case l.run >= longRun:
		l.halve(l.weights[:pollBuckets])
	case l.run <= -longRun && l.window == 0:
		l.halve(l.weights[pollBuckets:])
	}
}

func (l *learned) halve(weights []int64) {
	for i, w := range weights {
		weights[i] = w / 2
		l.total -= w - w/2
	}
}

// best returns the window that would have gained most. Of several it is the longest,
// which costs nothing while no event is missed.
func (l *learned) best() (window time.Duration) {
	worth := int64(l.edges[pollBuckets-1] + l.wakeup())
	most, hits, cost := int64(0), int64(0), int64(0)
	for i, w := range l.weights[:pollBuckets] {
		edge := int64(l.edges[i])
		hits += w
		cost += w * edge
		if gain := hits*worth - cost - (l.total-hits)*edge; gain > 0 && gain >= most {
			most, window = gain, time.Duration(edge)
		}
	}
	return window
}

// wakeupCost is the time from the arrival of an event until the loop goes on; 0 if
// that is not known yet.
type wakeupCost time.Duration

// follow learns a cost that was measured. It goes slowly, and is not impressed by a
// thread that had to wait for a CPU once.
func (w *wakeupCost) follow(cost time.Duration) {
	now := wakeupCost(cost)
	if *w > 0 {
		now = *w + (min(now, 2**w+wakeupCost(time.Microsecond))-*w)/8
	}
	*w = max(now, 1)
}

const (
	// No wake-up takes longer, other than by accident.
	slowestWakeup = wakeupCost(128 * time.Microsecond)
	// One that is faster than this was none: the event came just before the sleep.
	fastestWakeup = wakeupCost(2 * time.Microsecond)
)

// limit learns that a wake-up cannot have cost more. The lowest limits are the good
// ones: those of events that came soon after the loop went to sleep.
func (w *wakeupCost) limit(cost time.Duration) {
	now := min(wakeupCost(cost), slowestWakeup)
	switch {
	case now < fastestWakeup:
	case *w == 0 || now < *w:
		*w = now
	default:
		*w += (now - *w) / 1024
	}
}
