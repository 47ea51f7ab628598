//go:build linux

package coroutine

import (
	"fmt"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// Semaphore counts permits for the coroutines of one loop. They are given in the order of Acquire,
// so one that wants many is not passed by. The zero value has none: Release adds them.
type Semaphore struct {
	owned   // by the loop that has used it first
	permits int
	waiters waiters // co.wants says how many
}

// Acquire waits for n permits and takes them. The coroutine itself calls it. It fails as Yield does,
// and takes none then. It panics if n is negative, and if the Semaphore belongs to another loop.
//
//go:noinline
func (s *Semaphore) Acquire(co *Co, n int) error {
	at := goroutine.CallerPC()
	if n < 0 {
		panic(fmt.Sprintf("coroutine: %s acquires %d permits", co.Name(), n))
	}
	if !co.runs() {
		return ErrNotRunning
	}
	s.claim(co, "acquires from", "a Semaphore")
	if s.waiters.head() == nil && s.permits >= n {
		s.permits -= n
		return nil
	}
	co.wants = n
	if err := co.queueUp(&s.waiters, inSemaphore, at); err != nil {
		s.serve() // those behind it may want less
		return err
	}
	return nil
}

// TryAcquire takes n permits if it need not wait, and reports whether it did. The home goroutine
// calls it.
func (s *Semaphore) TryAcquire(n int) bool {
	s.check("Semaphore.TryAcquire")
	if s.waiters.head() != nil || s.permits < n {
		return false
	}
	s.permits -= n
	return true
}

// Release adds n permits. The home goroutine calls it, in a coroutine or not. It panics if n is
// negative, and on another goroutine once a coroutine has called Acquire.
func (s *Semaphore) Release(n int) {
	if n < 0 {
		panic(fmt.Sprintf("coroutine: Release of %d permits", n))
	}
	s.check("Semaphore.Release")
	s.permits += n
	s.serve()
}

func (s *Semaphore) serve() {
	for co := s.waiters.head(); co != nil && s.permits >= co.wants; co = s.waiters.head() {
		s.waiters.drop()
		s.permits -= co.wants
		co.s.resume(co)
	}
}
