//go:build linux

package coroutine

import (
	"fmt"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
)

// End implements aio.Attachment: each wait fails with aio.ErrClosed, until the functions have
// returned. It names those that have not, and what they have panicked with.
func (s *scheduler) End() (left []string) {
	s.closing, s.lock.plain = true, never
	_ = s.half.Close() // the rest is done here; a Wake that comes now fails, and leaves no bottom half
	if s.mayUnwind() {
		left = append(s.unwind(), s.stubborn...)
	}
	left = append(left, s.Work()...)
	if idle := s.pool.count; idle > 0 {
		left = append(left, fmt.Sprintf("%d idle coroutines, which only the home goroutine can end, inside as many calls from C as where they were started", idle))
	}
	return left
}

// mayUnwind reports whether coroutines can be entered where Close was called.
func (s *scheduler) mayUnwind() bool {
	if len(s.workers) == 0 || s.mine() {
		return s.enterable()
	}
	return !s.lock.locked && !goroutine.IsLocked()
}

func (s *scheduler) unwind() (panics []string) {
	before := s.home.Lend(uintptr(goroutine.Current())) // the home goroutine may have ended
	defer s.home.Lend(before)
	s.takeAsked()
	for s.failWaits(); !s.ready.empty(); s.failWaits() {
		for !s.ready.empty() {
			if p := s.runCaught(s.ready.pop()); p != "" {
				panics = append(panics, p)
			}
		}
	}
	s.endPooled()
	return panics
}

func (s *scheduler) endPooled() {
	for w := s.pool.get(); w != nil; w = s.pool.get() {
		w.end()
	}
}

// EndIdle is called before the home goroutine is locked to its thread once more, or once less.
func (s *scheduler) EndIdle() {
	if s.enterable() && s.lock.locked == goroutine.IsLocked() {
		s.endPooled()
	}
}

// failWaits makes the coroutines ready that wait. Those that take a lock back do so until its
// holder has let go of it.
func (s *scheduler) failWaits() {
	for w := range s.workers {
		if co := w.co; co != nil && co.phase.waits() && !co.is(inRelock) {
			w.result, co.phase = aio.ErrClosed, ready
			s.ready.append(co)
		}
	}
}

// runCaught runs co and others, and says how one has panicked.
func (s *scheduler) runCaught(co *Co) (trouble string) {
	defer func() {
		if p := recover(); p != nil {
			trouble = fmt.Sprintf("a coroutine panicked in Close: %v", p)
		}
	}()
	s.run(co)
	return ""
}
