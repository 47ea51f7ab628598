//go:build linux

package aio

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// ClockID names a clock. A point on a clock is a
// time.Duration since the clock's own beginning.
type ClockID int32

// The clocks.
const (
	// Realtime is CLOCK_MONOTONIC, counted from the start of the process. It never
	// jumps. It stands still while the machine is suspended (clock_gettime(2)).
	Realtime ClockID = iota
	// Virtual runs with Realtime but can be stopped and moved, see VirtualClock.
	Virtual
	// Host is the wall clock, counted from 1970-01-01 UTC. It may jump. A loop that
	// is asleep takes notice of a jump when it wakes up.
	Host
	// VirtualRT runs and stops with Virtual and is not moved with it.
	VirtualRT
	// Boottime is CLOCK_BOOTTIME, counted from the start of the machine: like Realtime, and it
	// goes on while the machine is suspended. A timer whose time comes then runs when the machine
	// wakes up; it does not wake the machine. While one is pending the loop has one descriptor
	// more, a timerfd(2); if there is none left, it takes notice as of a jump of Host.
	Boottime

	clocks = iota
)

var clockNames = [clocks]string{"realtime", "virtual", "host", "virtual-rt", "boottime"}

// String returns the clock's name, "virtual-rt" for example.
func (id ClockID) String() string {
	if id < 0 || id >= clocks {
		return fmt.Sprintf("ClockID(%d)", int(id))
	}
	return clockNames[id]
}

// Now returns the time on one of the Context's clocks. Any goroutine may call it.
// It panics if there is no such clock.
func (c *Context) Now(id ClockID) time.Duration {
	c.checkClock("Now", id)
	return c.nowAt(id, sys.Monotonic())
}

func (c *Context) checkClock(caller string, id ClockID) {
	if id < 0 || id >= clocks {
		panic(fmt.Sprintf("aio: %s: there is no clock %v: use Realtime, Virtual, Host, VirtualRT or Boottime", caller, id))
	}
}

// nowAt returns the time of a clock at the given Realtime.
func (c *Context) nowAt(id ClockID, mono time.Duration) time.Duration {
	switch id {
	case Realtime:
		return mono
	case Host:
		return sys.WallClock()
	case Boottime:
		return sys.Boottime()
	default:
		return c.virtual.at(id, mono)
	}
}

// VirtualClock is a clock that a program stops and moves, for a guest that is
// paused or a simulation that jumps from event to event. It runs when it is new,
// from 0. Its methods may be called from any goroutine and take effect in each
// Context that uses it, also while that is asleep.
type VirtualClock struct {
	mu       sync.Mutex // guards the rest
	stopped  bool
	anchor   time.Duration // Realtime when base and baseRT were valid
	base     time.Duration
	baseRT   time.Duration
	contexts []*Context
}

// NewVirtualClock returns a clock for WithVirtualClock.
func NewVirtualClock() *VirtualClock {
	return &VirtualClock{anchor: sys.Monotonic()}
}

// VirtualClock returns the clock that the Context's Virtual and VirtualRT timers
// run on.
func (c *Context) VirtualClock() *VirtualClock { return c.virtual }

// Now returns the time of the Virtual clock.
func (v *VirtualClock) Now() time.Duration { return v.at(Virtual, sys.Monotonic()) }

func (v *VirtualClock) at(id ClockID, mono time.Duration) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.read(id, mono)
}

// reached reports whether the clock runs and has come to a point.
func (v *VirtualClock) reached(id ClockID, mono, point time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.stopped && v.read(id, mono) >= point
}

// read is called with mu held. mono was taken before that, perhaps before the clock was
// stopped and started: it is not to go back then.
func (v *VirtualClock) read(id ClockID, mono time.Duration) time.Duration {
	now := v.base
	if id == VirtualRT {
		now = v.baseRT
	}
	if !v.stopped {
		now = moved(now, max(0, mono-v.anchor))
	}
	return now
}

// moved returns the point d after t, which lies between the beginning and the end of time.
func moved(t, d time.Duration) time.Duration {
	switch {
	case d > 0 && t > endOfTime-d:
		return endOfTime
	case d < 0 && t < beginningOfTime-d:
		return beginningOfTime
	}
	return t + d
}

// Running reports whether the clock runs.
func (v *VirtualClock) Running() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.stopped
}

// Stop halts the clock. Until Start no timer on it runs, not even one whose
// deadline is over or that the clock is moved past: a paused guest stays paused.
func (v *VirtualClock) Stop() { v.change(func() { v.stopped = true }) }

// Start lets the clock run on from where it stopped.
func (v *VirtualClock) Start() { v.change(func() { v.stopped = false }) }

// Set moves the Virtual clock, running or stopped, to now. VirtualRT stays.
func (v *VirtualClock) Set(now time.Duration) {
	v.change(func() { v.base = min(now, endOfTime) })
}

// Advance moves the Virtual clock by d. VirtualRT stays.
func (v *VirtualClock) Advance(d time.Duration) {
	v.change(func() { v.base = moved(v.base, d) })
}

// change brings the bases up to date, applies f and lets every loop look again.
func (v *VirtualClock) change(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	mono := sys.Monotonic()
	if !v.stopped {
		v.base = moved(v.base, mono-v.anchor)
		v.baseRT = moved(v.baseRT, mono-v.anchor)
	}
	v.anchor = mono
	f()
	for _, c := range v.contexts {
		c.Notify()
	}
}

func (v *VirtualClock) join(c *Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.contexts = append(v.contexts, c)
}

func (v *VirtualClock) leave(c *Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.contexts = slices.DeleteFunc(v.contexts, func(other *Context) bool { return other == c })
}

const (
	// never is the deadline of a timer that is not armed.
	never time.Duration = math.MaxInt64
	// endOfTime is the last point of a clock. A virtual clock that comes to it stays.
	endOfTime       = never - 1
	beginningOfTime = time.Duration(math.MinInt64)
)
