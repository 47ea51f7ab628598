package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

// runFunc does what a budget says and records it. It returns the number of
// operations.
type runFunc func(b budget, rec *report.Recorder) (ops int64, err error)

// fixture is where one case is set up for one round: what has to be undone, and what
// has to be said about it.
type fixture struct {
	cpus   cpus
	broken chan struct{} // closed when a loop has failed: no goroutine waits for it any more

	mu    sync.Mutex // guards the rest; goroutines of the case write it too
	err   error
	undo  []func() error
	notes []string

	files *fileStore // nil if there are none

	ready   func() error         // called right before what counts; may be nil
	sound   func() (bool, error) // called right after it: whether it may count; may be nil
	unsound string               // what to say of a measurement that is not sound

	elapsed time.Duration      // of a case with overlap, written by run
	cpu     time.Duration      // of another process, written by run
	figures map[string]float64 // other than latency, by name
}

func newFixture(c cpus) *fixture { return &fixture{cpus: c, broken: make(chan struct{})} }

// atExit has f called when the fixture is left, before what was given to it earlier.
func (s *fixture) atExit(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undo = append(s.undo, f)
}

// leave undoes everything.
func (s *fixture) leave() error {
	s.mu.Lock()
	undo := s.undo
	s.undo = nil
	s.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(undo) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// note adds a sentence to the result.
func (s *fixture) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// figure adds one that is not a latency.
func (s *fixture) figure(name string, value float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.figures == nil {
		s.figures = map[string]float64{}
	}
	s.figures[name] = value
}

// fail ends the waiting for a part of the case that has ended too early.
func (s *fixture) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.broken)
	}
}

// failure returns what fail was called with.
func (s *fixture) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// await waits until the case is over, or broken.
func (s *fixture) await(over <-chan struct{}) error {
	select {
	case <-over:
		return nil
	case <-s.broken:
		return s.failure()
	}
}

// atLeastProcs lets two loop threads run in turn also where the runtime would use one P,
// which each of them would hold while it sleeps; and a thread compute and one sleep beside a P that is
// idle, see package timeslice.
func (s *fixture) atLeastProcs(n int) {
	if before := runtime.GOMAXPROCS(0); before < n {
		runtime.GOMAXPROCS(n)
		s.atExit(func() error { runtime.GOMAXPROCS(before); return nil })
		s.note(fmt.Sprint("GOMAXPROCS raised to ", n))
	}
}
