//go:build linux

// Package timeslice keeps a loop from being taken for a goroutine that computes without a break.
package timeslice

import (
	"runtime"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// Slice is the time that Go's scheduler has given to the goroutine of a loop. A goroutine has one from
// the moment at which it is scheduled, and keeps it in system calls. Go's monitor thread takes the P
// of one that is older than 10 ms in each system call that it sees, for others to run, and looks for
// the next one every 20 µs (sysmon and retake, runtime/proc.go, Go 1.26). For a loop, which does
// nothing but short work between system calls, that is of no use. It costs up to a quarter of a CPU, and
// the loop the way back to a P. So the loop has itself scheduled now and then, before it sleeps. The zero
// value is ready for use.
//
// It helps most while a P is idle: else the monitor thread takes the P of any goroutine that sleeps.
type Slice struct {
	left   uint8 // sleeps until the next look at the clock
	skip   uint8 // what left begins with
	off    bool
	looked time.Duration
	end    time.Duration // of what is left to the slice
}

const (
	length  = 9 * time.Millisecond // of a slice
	period  = 2 * time.Millisecond // of looks at the clock, or half of it, or longer between longer sleeps
	maxSkip = 63
	share   = 20 // a slice is so many times as long as its renewal took, or longer
)

// Off makes Renew do nothing: a thread that is to run before others would wait for one of them.
func (s *Slice) Off() { s.off = true }

// Renew has the caller scheduled if it is time for that. The goroutine of the loop calls it before a
// sleep. A renewal takes less than a microsecond, or two wake-ups of a thread if the goroutine is locked to
// its own, and more while all Ps are busy: the longer it took, the later is the next.
func (s *Slice) Renew() {
	if s.left > 0 {
		s.left--
		return
	}
	s.look()
}

func (s *Slice) look() {
	if s.off {
		s.left = maxSkip
		return
	}
	now := sys.Monotonic()
	if !s.isOld(now) {
		return
	}
	runtime.Gosched()
	s.renewed(now, sys.Monotonic()-now)
}

// isOld reports whether the slice may be over by the next look. It settles how many sleeps there are until
// then.
func (s *Slice) isOld(now time.Duration) bool {
	since := now - s.looked
	switch {
	case since < period/2:
		s.skip = min(2*s.skip+1, maxSkip)
	case since > period:
		s.skip /= 2
	}
	s.looked, s.left = now, s.skip
	return now+max(since, period) > s.end
}

// renewed takes notice of a renewal.
func (s *Slice) renewed(began, took time.Duration) { s.end = began + max(length, share*took+period) }
