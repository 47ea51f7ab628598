package polling

import "time"

// learned is the rule that knows how long the loop has recently waited for its events.
//
// It keeps histograms of those times, in which older samples count less: one for each time
// that the loop may have waited before, because gaps tend to follow each other in turn. A
// window of w would have cost the time waited for each event, but at most w. The rule takes
// the window that gains most, and 0 if all of them lose.
//
// What an event within the window is worth depends on how many there are. If the loop finds
// most of its events, each is worth the wake-up that it saves, and Max, which the user is
// willing to spend on it. If it does not, the latency that most events have stays as it is:
// then one is worth the CPU time of a sleep, so that polling never costs more than it saves.
//
// A sleep teaches as much as a window, because a notifier stamps the time of its event.
// Events that only the kernel has seen carry no stamp; for them the rule subtracts the
// price of a wake-up.
type learned struct {
	edges  [buckets]time.Duration // the longest time in each bucket; the last is Max
	stamps wakeupCost             // measured, from events with a stamp
	bounds wakeupCost             // an upper bound, from events without one

	after [buckets + 1]histogram // of the times waited, by the bucket of the one before
	all   histogram              // of all of them
	last  int                    // bucket of the latest
	run   int                    // samples in a row beyond Max; negative: within Max

	wanted time.Duration // the window, if most events are found
	most   majority      // of events that wanted finds, or would find
}

const (
	buckets = 16

	// prior is how much less a sample counts after another time than the latest one.
	prior = 16

	// sleepCPU is the CPU time of going to sleep and waking up, with what the caches lose.
	sleepCPU = 8 * time.Microsecond

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
	switch {
	case s.Arrived == Unknown:
		l.bounds.limit(s.Blocked - s.Spun)
	case s.Woken:
		l.stamps.follow(s.Blocked - s.Arrived)
	}
	waited, immediate := l.waited(s), min(s.Immediate, memory)
	l.most.count(immediate, waited <= l.wanted)
	l.add(0, immediate)
	bucket := l.bucket(waited)
	l.add(bucket, 1)
	l.forget(bucket == buckets)
	l.last = bucket

	l.wanted = l.best(l.edges[buckets-1] + l.wakeup())
	if l.most.reached {
		return l.wanted
	}
	return l.best(sleepCPU)
}

// add counts n samples.
func (l *learned) add(bucket, n int) {
	l.after[l.last].add(bucket, n)
	l.all.add(bucket, n)
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
		l.halve(0, buckets)
	case l.run <= -longRun && l.wanted == 0:
		l.halve(buckets, buckets+1)
	}
}

func (l *learned) halve(from, to int) {
	l.after[l.last].halve(from, to)
	l.all.halve(from, to)
}

// best returns the window that would have gained most if an event in it is worth so much.
func (l *learned) best(worth time.Duration) (window time.Duration) {
	row := &l.after[l.last]
	left := int64(row.total) + int64(l.all.total/prior) // weight of what a window misses
	most, hits, cost := int64(0), int64(0), int64(0)
	for i := range l.edges {
		edge := l.edges[i]
		if edge > worth { // to wait for it costs more
			break
		}
		w := int64(row.weights[i]) + int64(l.all.weights[i]/prior)
		if w == 0 {
			continue
		}
		hits += w
		left -= w
		cost += w * int64(edge)
		if gain := hits*int64(worth) - cost - left*int64(edge); gain > most {
			most, window = gain, edge
		}
	}
	if left <= 0 && window > 0 { // it misses nothing: a longer one costs no more
		return l.edges[buckets-1]
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
