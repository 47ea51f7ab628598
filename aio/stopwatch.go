//go:build linux

package aio

import (
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// stopwatch reads Realtime once for each time that the loop has slept. It belongs to the
// home goroutine.
type stopwatch struct {
	now time.Duration // 0 if there is no reading
}

// read returns the time of the latest reading, and takes one if there is none.
func (s *stopwatch) read() time.Duration {
	if s.now == 0 {
		return s.readAgain()
	}
	return s.now
}

func (s *stopwatch) readAgain() time.Duration {
	s.now = sys.Monotonic()
	return s.now
}

// reading is where the latest reading is, 0 if there is none.
func (s *stopwatch) reading() *time.Duration { return &s.now }

// expire makes the next read take a reading.
func (s *stopwatch) expire() { s.now = 0 }
