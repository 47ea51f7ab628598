//go:build linux

package coroutine

import (
	"iter"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"sync/atomic"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/lend"
)

// worker is a coroutine of iter.Pull, which runs one Co after another.
type worker struct {
	s     *scheduler
	id    uintptr // of its goroutine
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	co       *Co
	holds    bool      // co has waited, and keeps RunUntilDone from ending
	result   error     // of the wait of co that ends
	pending  *pending  // the Wait of co that goes on
	behind   *Co       // the one behind co in the queue of a lock
	held     []holding // locks of co
	outcome  outcome
	refusals int // waits that have failed since Close has begun
	labelled bool
	region   *trace.Region // of the execution trace that it was begun in
	timers   map[aio.ClockID]*aio.Timer

	shown  atomic.Pointer[Co] // the latest, for other goroutines
	pooled *worker
}

// outcome is how the function of a Co has ended.
type outcome uint8

const (
	unfinished outcome = iota
	returned
	panicked
	exited // by runtime.Goexit, and so does the worker
)

func (s *scheduler) newWorker() *worker {
	if len(s.workers) == 0 {
		s.lock.note(s)
	}
	w := &worker{s: s, outcome: returned}
	w.next, w.stop = iter.Pull(w.run)
	w.next() // now it has an id
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workers[w] = struct{}{}
	return w
}

// run is what the coroutine of iter.Pull does.
func (w *worker) run(yield func(struct{}) bool) {
	w.yield, w.id = yield, uintptr(goroutine.Current())
	for !w.serve() {
	}
}

// serve runs the function of one Co after another, until stop. It returns false if one has panicked.
// The panic goes on where the Co was entered, so that the loop is given back first.
func (w *worker) serve() (stopped bool) {
	defer w.rescue()
	for w.yield(struct{}{}) {
		if trace.IsEnabled() {
			w.traced()
		} else {
			w.co.err = w.co.fn(w.co)
		}
		if w.labelled {
			w.unlabel()
		}
		w.outcome = returned
		if len(w.held) != 0 {
			w.panicked(w.co.keptLock())
		}
	}
	return true
}

// traced runs the function of a Co in a region of the execution trace.
func (w *worker) traced() {
	w.beginRegion()
	defer w.endRegion()
	w.co.err = w.co.fn(w.co)
}

func (w *worker) panicked(p any) {
	w.outcome, w.co.err = panicked, &PanicError{Coroutine: w.co.Name(), Value: p, Stack: debug.Stack()}
}

// rescue is the end of serve. If the function of a Co has not returned, it has panicked or called
// runtime.Goexit.
func (w *worker) rescue() {
	if w.outcome != unfinished {
		return
	}
	if w.labelled {
		w.unlabel()
	}
	if p := recover(); p != nil {
		w.panicked(p)
		return
	}
	w.outcome = exited
	for w.yield(struct{}{}) { // until discard
	}
	panic(discarded)
}

// discarded is the panic that ends a worker which runtime.Goexit is about to end: iter.Pull passes
// on a panic instead of Goexit, and a panic can be caught.
var discarded = new(int)

// discard ends a worker after runtime.Goexit.
func (w *worker) discard() {
	defer func() {
		if p := recover(); p != nil && p != any(discarded) {
			panic(p)
		}
	}()
	w.end()
}

// end ends a worker that runs no Co.
func (w *worker) end() {
	w.s.mu.Lock()
	delete(w.s.workers, w)
	w.s.mu.Unlock()
	w.stop()
}

// timer returns the worker's timer on a clock, which ends a Sleep.
func (w *worker) timer(clock aio.ClockID) *aio.Timer {
	if t := w.timers[clock]; t != nil {
		return t
	}
	t := w.s.loop.NewTimer(clock, w.wakeSleeper).Named("coroutine's Sleep")
	if w.timers == nil {
		w.timers = map[aio.ClockID]*aio.Timer{}
	}
	w.timers[clock] = t
	return t
}

func (w *worker) wakeSleeper() {
	if co := w.co; co != nil && co.phase == waiting && co.is(inSleep) {
		w.s.resume(co)
	}
}

// maxRefusals is how many waits may fail after Close before a coroutine counts as one that does not end.
const maxRefusals = 1000

// refuse returns err, for a wait after Close. A coroutine that goes on all the same is named, and
// ended with runtime.Goexit; one whose deferred functions go on waiting never comes back.
func (w *worker) refuse(err error) error {
	w.refusals++
	if w.refusals == maxRefusals {
		w.s.stubborn = append(w.s.stubborn, w.co.String())
		runtime.Goexit()
	}
	for w.refusals > 2*maxRefusals {
		w.yield(struct{}{})
	}
	return err
}

// pool keeps workers that have nothing to do.
type pool struct {
	first *worker
	count int
}

// maxPooled is how many workers without work are kept. Each takes some 3 KB.
const maxPooled = 256

func (p *pool) get() *worker {
	w := p.first
	if w != nil {
		p.first, w.pooled = w.pooled, nil
		p.count--
	}
	return w
}

func (p *pool) put(w *worker, may bool) bool {
	if !may || p.count >= maxPooled {
		return false
	}
	w.pooled, p.first = p.first, w
	p.count++
	return true
}

// lockDepth is how often the home goroutine was locked to its thread when the first worker was made.
// The runtime ends the process if a worker is entered at another depth, or locked to another thread.
type lockDepth struct {
	loops     int32 // that have locked it, and to which thread
	plain     int32 // the same while that is all there is to compare, otherwise never
	callbacks int   // from C that it was inside of, each of which locks it
	calls     int64 // to C, when that was last known to be so
	locked    bool
}

// never is neither a number of locks nor lend.NotAlone.
const never = lend.NotAlone - 1

// note notes what is so now. The home goroutine calls it, not in a coroutine of this loop.
func (l *lockDepth) note(s *scheduler) {
	l.loops, l.calls = s.home.Locks(), goroutine.CallsToC()
	l.callbacks = goroutine.Callbacks()
	l.plain = l.loops
	l.look()
	l.locked = goroutine.IsLocked()
}

// look looks whether the process has made a call to C. Until then there is no callback from C. It is
// called in each iteration.
func (l *lockDepth) look() {
	if l.plain != never && goroutine.CallsToC() != 0 {
		l.plain = never
	}
}

// enterable reports whether the depth is that of the workers. A coroutine may ask, too.
func (s *scheduler) enterable() bool {
	return s.lock.plain == s.home.Locks() || s.lock.check(s)
}

// check is enterable where there may be calls from C.
func (l *lockDepth) check(s *scheduler) bool {
	if len(s.workers) == 0 {
		return true
	}
	calls := goroutine.CallsToC()
	if l.callbacks == 0 && l.calls == calls {
		return l.loops == s.home.Locks()
	}
	return l.count(s, calls)
}

// count counts the calls from C on the stack. A coroutine has a stack of its own, whose owner was
// entered at the right depth.
func (l *lockDepth) count(s *scheduler, calls int64) bool {
	depth := goroutine.Callbacks()
	if s.home.Lent() {
		depth += l.callbacks
	}
	if depth != l.callbacks || l.loops != s.home.Locks() {
		return false
	}
	l.calls = calls
	return true
}
