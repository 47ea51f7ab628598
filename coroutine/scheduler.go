//go:build linux

package coroutine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/lend"
)

// scheduler has the coroutines of a loop. It belongs to the home goroutine, but for asked and
// what mu guards.
type scheduler struct {
	loop *aio.Context
	home *lend.Home
	now  *time.Duration // the time, 0 if it was not read in this iteration

	level level
	ready list // coroutines that are to run
	rest  *aio.Deferred
	half  *aio.BottomHalf
	asked atomic.Pointer[Co]

	closing  bool     // Close has begun: waits fail
	stubborn []string // names of those that have gone on waiting nevertheless
	pool     pool
	lock     lockDepth
	chunk    *[chunkSize]Co
	used     int // of chunk

	mu      sync.Mutex
	workers map[*worker]struct{} // written by the home goroutine, which reads it without mu
}

// level is the innermost loop over the coroutines that are ready: 1 more than the depth of Polls there,
// 0 if there is none. One that a coroutine wakes waits for its turn there. A Poll inside a
// coroutine is deeper: what its callbacks wake runs in a loop of its own.
type level int32

// key is that of the attachment.
type key struct{}

// of returns the scheduler of a loop, and whether the caller is at home.
func of(loop *aio.Context, caller goroutine.ID) (s *scheduler, home bool, err error) {
	h := lend.Loop.Home(loop)
	home = h.Current() == uintptr(caller)
	if home {
		if s, ok := h.Slot.(*scheduler); ok {
			return s, true, nil
		}
	}
	a, err := loop.Attach(key{}, func() (aio.Attachment, error) { return newScheduler(loop, h), nil })
	if err != nil {
		return nil, home, err
	}
	s = a.(*scheduler)
	if home {
		h.Slot = s
	}
	return s, home, nil
}

func newScheduler(loop *aio.Context, h *lend.Home) *scheduler {
	s := &scheduler{loop: loop, home: h, now: lend.Loop.Clock(loop), workers: map[*worker]struct{}{}}
	s.half = loop.NewBottomHalf(s.turn).Named("coroutines")
	s.rest = loop.NewDeferred(s.runReady)
	return s
}

// mine reports whether the caller is at home. Any goroutine may call it.
func (s *scheduler) mine() bool { return s.home.Current() == uintptr(goroutine.Current()) }

// busy reports whether there is a loop over the coroutines at this depth of Polls, so that the caller is
// one of them.
func (s *scheduler) busy() bool { return s.level == level(s.home.Depth)+1 }

// chunkSize is how many coroutines are allocated together: 2 KB, less what the allocator needs.
const chunkSize = 15

// allocate returns a Co, which costs the home goroutine a fraction of an allocation.
func (s *scheduler) allocate(home bool) *Co {
	if !home {
		return new(Co)
	}
	if s.chunk == nil || s.used == chunkSize {
		s.chunk, s.used = new([chunkSize]Co), 0
	}
	co := &s.chunk[s.used]
	s.used++
	return co
}

// push makes co wait for its turn.
func (s *scheduler) push(co *Co) {
	if s.ready.empty() {
		s.later()
	}
	s.ready.append(co)
}

// later makes sure that what is ready runs even if the loop over the coroutines ends early, or if
// the coroutine that runs calls Poll.
func (s *scheduler) later() {
	switch {
	case !s.enterable():
		_ = s.half.ScheduleIdle() // the lock of the thread may be the old one then
	case s.home.Depth > 0:
		_ = s.rest.Schedule()
	default:
		_ = s.half.Schedule()
	}
}

// turn is the bottom half of the scheduler.
func (s *scheduler) turn() {
	s.takeAsked()
	s.runReady()
}

// runReady runs those that are ready.
func (s *scheduler) runReady() {
	if s.ready.empty() || s.busy() {
		return
	}
	if !s.enterable() {
		s.later()
		return
	}
	s.run(s.ready.pop())
}

// maxSwitches is how many coroutines run before the loop looks at something else.
const maxSwitches = 1 << 16

// A switch to a coroutine has three parts: the loop is lent to its worker, the worker's next, and the
// loop is taken back. One function calls all three, and few others are below it: the processor
// mispredicts the return from next and from each function that has begun before it, some 8 ns each.

// run runs co and then those that are ready; called by a coroutine, co alone: the loop that the caller is
// part of runs the others.
func (s *scheduler) run(co *Co) {
	nested := s.busy()
	for n := 0; ; n++ {
		if w := s.workerOf(co); w != nil {
			l := s.lend(w)
			w.next()
			s.takeBack(w, l)
		}
		if nested || s.ready.empty() {
			return
		}
		if n >= maxSwitches && s.home.Depth > 0 && !s.closing {
			_ = s.half.Schedule()
			return
		}
		co = s.ready.pop()
	}
}

// loan is what was so before the loop was lent to a worker.
type loan struct {
	owner uintptr
	level level
}

// lend lends the loop to w.
func (s *scheduler) lend(w *worker) loan {
	outer := s.level
	s.level = level(s.home.Depth) + 1
	return loan{s.home.Lend(w.id), outer}
}

// takeBack ends the loan. If the function of the Co has ended, it panics as that has.
func (s *scheduler) takeBack(w *worker, l loan) {
	s.home.Lend(l.owner)
	s.level = l.level
	if w.outcome != unfinished {
		s.settle(w)
	}
}

// plain reports whether the caller is the home goroutine, not in a coroutine, and may do without the
// questions that the other cases ask.
func (s *scheduler) plain(caller goroutine.ID) bool {
	return s.home.Claimed() == uintptr(caller) && s.lock.plain == s.home.Alone()
}

// leaveHome is lend where plain is true.
func (s *scheduler) leaveHome(w *worker) {
	s.level = level(s.home.Depth) + 1
	s.home.LendAlone(w.id)
}

// comeHome is takeBack after leaveHome, and runs those that are ready.
func (s *scheduler) comeHome(w *worker, caller goroutine.ID) {
	s.home.LendAlone(uintptr(caller))
	s.level = 0
	if w.outcome != unfinished {
		s.settle(w)
	}
	if !s.ready.empty() {
		s.run(s.ready.pop())
	}
}

// workerOf returns the worker of co, which has one from its beginning to its end. It returns nil if co
// has ended without beginning.
func (s *scheduler) workerOf(co *Co) *worker {
	switch {
	case co.w != nil:
		return co.w
	case co.distant && !co.claim():
		return nil
	}
	if co.distant = false; s.closing {
		co.fail(aio.ErrClosed)
		return nil
	}
	return s.assign(co)
}

// assign gives co, which begins, a worker.
func (s *scheduler) assign(co *Co) *worker {
	w := s.pool.get()
	if w == nil {
		w = s.newWorker()
	}
	w.co, w.outcome, co.w, co.phase = co, unfinished, w, running
	co.waits.Set(uint64(inFunction))
	w.shown.Store(co)
	return w
}

// settle is the end of the function that w has run. If that has panicked, it panics, too.
func (s *scheduler) settle(w *worker) {
	co, how := w.co, w.outcome
	co.w, w.co, w.held = nil, nil, w.held[:0]
	if how == exited {
		w.discard()
		co.err = ErrGoexit
	} else if !s.pool.put(w, s.lock.callbacks == 0 && !s.closing) {
		w.end()
	}
	if w.holds {
		w.holds = false
		s.loop.Release()
	}
	co.finish()
	if how == panicked {
		s.panics(co.err.(*PanicError))
	}
}

// panics goes on with a panic. Others that are ready run later.
func (s *scheduler) panics(p *PanicError) {
	if !s.busy() && !s.ready.empty() && !s.closing {
		_ = s.half.Schedule()
	}
	panic(p.Value)
}

// readClock is called for the first wait in an iteration.
func (s *scheduler) readClock() {
	lend.Loop.Now(s.loop) // and now is what it was
	s.lock.look()
}
