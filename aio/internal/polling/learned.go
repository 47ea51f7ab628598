package polling

import "time"

// learned is the rule that knows how long the loop has recently waited for its events.
//
// It keeps a histogram of those times, in which older samples count less. A window of w
// would have cost the time waited for each event, but at most w. An event within the window
// is worth the wake-up that it saves, and Max, which the user is willing to spend on it.
// The rule takes the window that gains most, and 0 if all of them lose.
//
// A sleep teaches as much as a window, because a notifier stamps the time of its event.
// Events that only the kernel has seen carry no stamp; for them the rule subtracts the
// price of a wake-up.
type learned struct {
	edges  [buckets]time.Duration // the longest time in each bucket; the last is Max
	window time.Duration
	stamps wakeupCost // measured, from events with a stamp
	bounds wakeupCost // an upper bound, from events without one

	weights [buckets + 1]int64 // of the times waited, the last for those beyond Max
	total   int64              // of weights
	run     int                // samples in a row beyond Max; negative: within Max
}

const (
	buckets = 16

	// sampleWeight is the weight of a new sample. All weights are halved when they reach
	// memory samples, so that the last memory/2 to memory samples count.
	sampleWeight = 1 << 10
	memory       = 32

	// longRun samples in a row show that the traffic has changed.
	longRun = 3

	// longestWindow keeps the sums of weighted times from an overflow.
	longestWindow = time.Hour
)

// newLearned returns the rule for windows up to limit, with two buckets a power of two.
func newLearned(limit time.Duration) *learned {
	l := new(learned)
	limit = min(limit, longestWindow)
	for i := range l.edges {
		below := buckets - 1 - i
		l.edges[i] = limit >> (below / 2)
		if below%2 == 1 {
			l.edges[i] = l.edges[i]/2 + l.edges[i]/4
		}
	}
	return l
}

// bucket returns the bucket of a time, or buckets for a time beyond Max.
func (l *learned) bucket(waited time.Duration) int {
	for i, edge := range l.edges {
		if waited <= edge {
			return i
		}
	}
	return buckets
}

// sample learns from an iteration and returns the window for the next one.
func (l *learned) sample(s Sample) time.Duration {
	l.add(0, min(s.Immediate, memory))
	switch {
	case s.Arrived == Unknown:
		l.bounds.limit(s.Blocked - s.Spun)
	case s.Woken:
		l.stamps.follow(s.Blocked - s.Arrived)
	}
	bucket := l.bucket(l.waited(s))
	l.add(bucket, 1)
	l.forget(bucket == buckets)
	l.window = l.best()
	return l.window
}

// waited returns how long the loop waited for the event.
func (l *learned) waited(s Sample) time.Duration {
	if s.Arrived != Unknown {
		return s.Arrived
	}
	return max(s.Blocked-l.wakeup(), s.Spun+1) // the loop did not see it while it looked
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

// forget closes the window soon after traffic stops, and opens it soon after traffic
// begins.
func (l *learned) forget(beyond bool) {
	if beyond {
		l.run = max(l.run, 0) + 1
	} else {
		l.run = min(l.run, 0) - 1
	}
	switch {
	case l.run >= longRun:
		l.halve(l.weights[:buckets])
	case l.run <= -longRun && l.window == 0:
		l.halve(l.weights[buckets:])
	}
}

func (l *learned) halve(weights []int64) {
	for i, w := range weights {
		weights[i] = w / 2
		l.total -= w - w/2
	}
}

// best returns the window that would have gained most, the longest of several: it costs
// nothing while it misses no event.
func (l *learned) best() (window time.Duration) {
	worth := int64(l.edges[buckets-1] + l.wakeup())
	most, hits, cost := int64(0), int64(0), int64(0)
	for i, w := range l.weights[:buckets] {
		edge := int64(l.edges[i])
		hits += w
		cost += w * edge
		if gain := hits*worth - cost - (l.total-hits)*edge; gain > 0 && gain >= most {
			most, window = gain, time.Duration(edge)
		}
	}
	return window
}

// wakeupCost is the time from the arrival of an event until the loop goes on; 0 is
// unknown.
type wakeupCost time.Duration

// follow learns a measured cost, slowly: a thread that once waited for a CPU changes
// little.
func (w *wakeupCost) follow(cost time.Duration) {
	now := wakeupCost(cost)
	if *w > 0 {
		now = *w + (min(now, 2**w+wakeupCost(time.Microsecond))-*w)/8
	}
	*w = max(now, 1)
}

const (
	// A slower wake-up is an accident.
	slowestWakeup = wakeupCost(128 * time.Microsecond)
	// A faster one is no wake-up: the event came just before the sleep.
	fastestWakeup = wakeupCost(2 * time.Microsecond)
)

// limit learns that a wake-up cost at most so much. The lowest limits are the best: their
// events came soon after the loop fell asleep.
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
