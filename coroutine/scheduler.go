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
	now  *time.Duration // see stamp

	level level
	ready list // coroutines that are to run
	rest  *aio.Deferred
	half  *aio.BottomHalf
	asked atomic.Pointer[Co]

	closing  bool     // Close has begun: waits fail
	stubborn []string // names of those that have gone on waiting nevertheless
	pool     pool
	lock     lockDepth
	chunk    []Co

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
func of(loop *aio.Context) (s *scheduler, home bool, err error) {
	h := lend.Loop.Home(loop)
	home = h.Current() == uintptr(goroutine.Current())
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

// chunkSize is how many coroutines are allocated together.
const chunkSize = 16

// allocate returns a Co, which costs the home goroutine a fraction of an allocation.
func (s *scheduler) allocate(home bool) *Co {
	if !home {
		return new(Co)
	}
	if len(s.chunk) == 0 {
		s.chunk = make([]Co, chunkSize)
	}
	co := &s.chunk[0]
	s.chunk = s.chunk[1:]
	return co
}

// begin starts co, on the home goroutine.
func (s *scheduler) begin(co *Co) {
	switch {
	case !s.enterable():
		s.push(co)
	case s.busy():
		s.nest(co)
	default:
		s.run(co)
	}
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

// run runs co, and then those that are ready.
func (s *scheduler) run(co *Co) {
	outer := s.level
	s.level = level(s.home.Depth) + 1
	if w := co.w; w != nil {
		before := s.home.Current()
		w.next()
		s.home.Lend(before)
		if w.outcome == unfinished && s.ready.empty() { // most often
			s.level = outer
			return
		}
		s.runOn(s.after(co, w), outer)
		return
	}
	s.runOn(s.switchTo(co), outer)
}

// runOn runs those that are ready after one that may have panicked.
func (s *scheduler) runOn(p *PanicError, outer level) {
	for n := 0; p == nil && !s.ready.empty(); n++ {
		if n >= maxSwitches && s.home.Depth > 0 {
			break
		}
		p = s.switchTo(s.ready.pop())
	}
	s.level = outer
	if !s.ready.empty() && !s.closing {
		_ = s.half.Schedule()
	}
	if p != nil {
		panic(p.Value)
	}
}

// nest runs co inside the coroutine that runs.
func (s *scheduler) nest(co *Co) {
	if p := s.switchTo(co); p != nil {
		panic(p.Value)
	}
}

// switchTo runs co to its next wait or its end, and returns its panic.
func (s *scheduler) switchTo(co *Co) *PanicError {
	if co.w == nil && !s.assign(co) {
		return nil
	}
	w := co.w
	before := s.home.Current()
	w.next()
	s.home.Lend(before)
	return s.after(co, w)
}

// after is what follows a switch to co.
func (s *scheduler) after(co *Co, w *worker) *PanicError {
	if w.outcome == unfinished {
		return nil
	}
	return s.settle(co, w)
}

// assign gives co a worker, unless it has ended without.
func (s *scheduler) assign(co *Co) bool {
	if !co.claim() {
		return false
	}
	if s.closing {
		co.finish(aio.ErrClosed)
		return false
	}
	w := s.pool.get()
	if w == nil {
		w = s.newWorker()
	}
	w.co, w.outcome, co.w, co.phase = co, unfinished, w, running
	co.waits.Set(uint64(inFunction))
	w.shown.Store(co)
	return true
}

// settle is the end of co.
func (s *scheduler) settle(co *Co, w *worker) (p *PanicError) {
	err := w.err
	co.w, w.co, w.err, w.held = nil, nil, nil, w.held[:0]
	if w.outcome == exited {
		w.discard()
		err = ErrGoexit
	} else if !s.pool.put(w, s.lock.callbacks == 0 && !s.closing) {
		w.end()
	}
	if w.outcome == panicked {
		p = err.(*PanicError)
	}
	if co.entered {
		s.loop.Release()
	}
	co.finish(err)
	return p
}

// stamp returns the time in the upper bits of Co.waits, in units of 1024 ns.
func (s *scheduler) stamp() uint64 {
	now := *s.now
	if now == 0 { // once in an iteration
		now = lend.Loop.Now(s.loop)
		s.lock.pure = s.lock.pure && goroutine.CallsToC() == 0
	}
	return uint64(now) >> 10 << activityBits
}
