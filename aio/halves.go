//go:build linux

package aio

import (
	"runtime"
	"time"
)

// halves are the scheduled bottom halves. Any goroutine pushes; the rest belongs to the
// home goroutine, which gathers the queue into lists: now for those that run soon, idle for
// an iteration that has nothing else to do. What it schedules itself need not go through the
// queue.
type halves struct {
	queue     bhQueue
	gathered  tally       // counts what left the queue, or needed none
	now       bhList      // not run yet: those of this iteration, then those scheduled since
	end       *BottomHalf // the last one of this iteration in now, nil if there is none
	idle      bhList
	idleBatch bhList        // idle ones of this iteration, not run yet
	idleSince time.Duration // when idle was empty last
}

// idlePeriod is the longest that an idle bottom half waits (QEMU's 10 ms).
const idlePeriod = 10 * time.Millisecond

func (s *halves) init() { s.queue.init() }

// push adds b, which is in no queue. Any goroutine may call it.
func (s *halves) push(b *BottomHalf) { s.queue.push(b) }

// add is push by the home goroutine, of a bottom half that is not idle. It does nothing while
// there is something in the queue, which was scheduled before.
func (s *halves) add(b *BottomHalf) (added bool) {
	if !s.queue.quiet() {
		return false
	}
	s.now.append(b)
	s.gathered.add()
	return true
}

// quiet reports whether gather would find nothing new.
func (s *halves) quiet() bool { return s.now.newest() == s.end && s.queue.quiet() }

// count returns how many bottom halves have left the queue, or needed none. Any goroutine may
// call it.
func (s *halves) count() uint64 { return s.gathered.load() }

// pushed reports whether anything was pushed since the last gather, and gathers it: the
// queue alone does not show that a producer has closed a gap.
func (s *halves) pushed(w *stopwatch) bool { return !s.quiet() && s.gather(w) }

// busy reports whether there is a bottom half to run in this iteration.
func (s *halves) busy(w *stopwatch) bool {
	for s.end != nil {
		b := s.now.peek()
		if b.will(wantedNow) {
			return true
		}
		s.drop(s.next(), w)
	}
	return false
}

// batched reports whether an iteration has not run all of its bottom halves.
func (s *halves) batched() bool { return s.end != nil }

// next takes the oldest bottom half of this iteration. There is one.
func (s *halves) next() *BottomHalf {
	b := s.now.pop()
	if b == s.end {
		s.end = nil
	}
	return b
}

// idles reports whether there is an idle bottom half that will run.
func (s *halves) idles(w *stopwatch) bool {
	for b := s.idle.peek(); b != nil; b = s.idle.peek() {
		if b.will(wanted) {
			return true
		}
		s.drop(s.idle.pop(), w)
	}
	return false
}

// drop forgets b, which was cancelled or closed and is in no list: without its queued bit it may
// be pushed. If it was scheduled again since, it goes back into a list.
func (s *halves) drop(b *BottomHalf, w *stopwatch) {
	state := b.state.Load()
	switch {
	case b.closed.Load():
		b.state.Store(0)
	case state&wanted != 0 || !b.state.CompareAndSwap(state, 0):
		s.sort(b, w)
	}
}

// idling reports whether there is an idle bottom half.
func (s *halves) idling() bool { return !s.idle.empty() || !s.idleBatch.empty() }

// any reports whether a bottom half will run.
func (s *halves) any(w *stopwatch) bool {
	s.gather(w)
	return s.queue.stuck() || s.busy(w) || s.idles(w)
}

// pressing reports whether the oldest bottom half will run. It has not been gathered perhaps.
func (s *halves) pressing() bool {
	b := s.now.peek()
	return b != nil && b.will(wantedNow)
}

// gather sorts what was scheduled into the lists, and reports whether there was anything. An
// iteration asks several times, mostly in vain.
func (s *halves) gather(w *stopwatch) bool {
	if s.alone() {
		return s.gatherOwn()
	}
	return s.gatherOthers(w)
}

// alone reports whether gatherOwn will do.
func (s *halves) alone() bool { return s.queue.quiet() && !s.idling() }

// gatherOwn is gather where at most the home goroutine has scheduled something, and none is idle.
func (s *halves) gatherOwn() (found bool) {
	found = s.now.newest() != s.end
	s.end = s.now.newest()
	return found
}

// gatherOthers is gather in all cases.
func (s *halves) gatherOthers(w *stopwatch) (found bool) {
	if !s.idleBatch.empty() { // nested in runIdle, or it panicked: put its rest back
		s.idle = s.idleBatch.takeAll()
	}
	for b := s.queue.take(); b != nil; {
		newer := b.link
		s.gathered.add()
		s.sort(b, w)
		b, found = newer, true
	}
	if !s.idle.empty() {
		s.promote(w)
	}
	return s.gatherOwn() || found
}

func (s *halves) sort(b *BottomHalf, w *stopwatch) {
	if b.state.Load()&wanted != wantedIdle {
		s.now.append(b)
		return
	}
	if s.idle.empty() {
		s.idleSince = w.read()
	}
	s.idle.append(b)
}

// promote moves idle bottom halves that were scheduled again, not idly.
func (s *halves) promote(w *stopwatch) {
	idle, since := s.idle.takeAll(), s.idleSince
	for b := idle.pop(); b != nil; b = idle.pop() {
		s.sort(b, w)
		s.idleSince = since
	}
}

// timeout returns how long the idle bottom halves may wait, or never.
func (s *halves) timeout(w *stopwatch) time.Duration {
	if s.idle.empty() || !s.idles(w) {
		return never
	}
	return max(idlePeriod-(w.read()-s.idleSince), 0)
}

// run runs the bottom halves of this iteration. A nested Poll runs what the outer one has not
// reached; the outer one then finds nothing left.
func (s *halves) run(n *counters) (progress bool) {
	for s.end != nil {
		b := s.next()
		if b.state.Load()&wanted == wantedIdle { // cancelled since it was sorted, and scheduled again
			b.ctx.queue(b) // it has kept its queued bit
			continue
		}
		if b.run() {
			n.count(statBottomHalves)
			progress = true
		}
	}
	return progress
}

// runIdle runs the idle bottom halves if there was no progress, or if they have waited long
// enough. One that schedules itself again runs in a later iteration.
func (s *halves) runIdle(progress bool, w *stopwatch, n *counters) {
	if s.idle.empty() || progress && s.timeout(w) > 0 {
		return
	}
	s.idleBatch = s.idle.takeAll()
	for b := s.idleBatch.pop(); b != nil; b = s.idleBatch.pop() {
		if b.run() {
			n.count(statIdleBottomHalves)
		}
	}
}

// names returns those that will run. The home goroutine calls it, also in an iteration: what was
// scheduled for the next one stays there.
func (s *halves) names() (names []string) {
	for b := s.queue.take(); b != nil; {
		newer := b.link
		s.gathered.add()
		s.now.append(b)
		b = newer
	}
	for _, list := range []*bhList{&s.now, &s.idleBatch, &s.idle} {
		for b := list.peek(); b != nil; b = b.link {
			if b.Scheduled() && !b.closed.Load() {
				names = append(names, nameOf(b.name, b.fn))
			}
		}
	}
	return names
}

// gatherAll is gather that waits for producers between their two steps.
func (s *halves) gatherAll(w *stopwatch) {
	for s.gather(w); s.queue.stuck(); s.gather(w) {
		runtime.Gosched()
	}
}

// abandon takes all bottom halves out of the lists and names those that would have run.
func (s *halves) abandon(w *stopwatch) (names []string) {
	s.gatherAll(w)
	s.gatherAll(w) // the first may have come to the end of what was taken before Close
	s.end = nil
	for _, list := range []*bhList{&s.now, &s.idle} {
		for b := list.pop(); b != nil; b = list.pop() {
			if b.Scheduled() && !b.awaited && !b.closed.Load() { // a Schedule beside its Close is taken back, too
				names = append(names, nameOf(b.name, b.fn))
			}
		}
	}
	return names
}
