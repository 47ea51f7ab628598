//go:build linux

package coroutine

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// What another goroutine asks the home goroutine for: a set in Co.asked. The one that finds it
// empty puts the coroutine into the scheduler's list, and schedules the bottom half.
const (
	askBegin uint32 = 1 << iota // to start it
	askWake                     // to Wake it
	askCheck                    // to look whether its Wait or its context has ended
)

// ask asks for what, and returns what was asked for before. It fails with aio.ErrClosed.
func (co *Co) ask(what uint32) (before uint32, err error) {
	if before = co.asked.Or(what); before != 0 {
		return before, nil // the one that was first schedules
	}
	s := co.s
	for {
		first := s.asked.Load()
		co.nextAsked = first
		if s.asked.CompareAndSwap(first, co) {
			return 0, s.half.Schedule()
		}
	}
}

// claim reports whether the caller is the first to begin co, or to end it unbegun: the loop, or
// the goroutine that has made it and hears that the loop is closed.
func (co *Co) claim() bool {
	co.s.mu.Lock()
	defer co.s.mu.Unlock()
	first := !co.claimed
	co.claimed = true
	return first
}

func (co *Co) wakeFromElsewhere(at goroutine.Place) error {
	if co.is(hasEnded) {
		return co.gone()
	}
	first := co.place()
	if co.token.Load() != 0 || co.asked.Load()&askWake != 0 {
		return co.misuse("woken twice", first, at)
	}
	co.wokenAt.Set(uint64(at))
	before, err := co.ask(askWake)
	if before&askWake != 0 { // by another goroutine, just now
		return co.misuse("woken twice", first, at)
	}
	return err
}

// takeAsked makes those ready that other goroutines have asked for, the first one first.
func (s *scheduler) takeAsked() {
	var first *Co
	for co := s.asked.Swap(nil); co != nil; {
		next := co.nextAsked
		co.nextAsked, first, co = first, co, next
	}
	for co := first; co != nil; {
		next := co.nextAsked // from the next line on it may be asked for again
		co.answer(co.asked.Swap(0))
		co = next
	}
}

// answer does what was asked for, except that nothing runs yet.
func (co *Co) answer(asked uint32) {
	if asked&askWake != 0 && (co.distant || co.phase != over) {
		co.token.Set(1)
	}
	if co.distant { // whether it has ended is for claim to say
		if asked&askBegin != 0 {
			co.s.ready.append(co)
		}
		return
	}
	if !co.phase.waits() {
		return
	}
	switch {
	case co.phase == yielding && co.token.Own() != 0:
	case co.w.pending != nil && co.w.pending.state.is(pendingDone):
	case co.bound != nil && co.bound.ctx.Err() != nil && !co.is(inRelock):
		co.w.result = context.Cause(co.bound.ctx)
	default:
		return
	}
	co.phase = ready
	co.s.ready.append(co)
}

// atomicState is the state of a pending.
type atomicState struct{ n atomic.Uint32 }

const (
	pendingBegun     uint32 = iota
	pendingSettling         // the goroutine that ends it notes where
	pendingDone             // it was ended
	pendingAbandoned        // its Wait has failed
	pendingLate             // and then it was ended
)

func (s *atomicState) is(n uint32) bool            { return s.n.Load() == n }
func (s *atomicState) set(n uint32)                { s.n.Store(n) }
func (s *atomicState) change(from, to uint32) bool { return s.n.CompareAndSwap(from, to) }

// yieldThread lets another goroutine run which has a few instructions to go.
func yieldThread() { runtime.Gosched() }
