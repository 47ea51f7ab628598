//go:build linux

package aio

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// observer is what was asked for with WithTrace, WithTimings, WithSlowCallback and WithDebug. A
// Context without any has none, and pays for a look at a nil pointer.
type observer struct {
	loop  string
	trace func(TraceEvent)
	slow  func(SlowCallback)
	limit time.Duration // of slow
	debug *debugger     // nil without WithDebug
	times timings

	mu      sync.Mutex // guards running
	running []running  // callbacks that have not returned, the outermost first

	slept time.Duration // when the loop fell asleep; the home goroutine's
}

// running is a callback that has not returned.
type running struct {
	kind  TracePoint
	name  string
	since time.Duration // Realtime
}

// timings are what Stats reports of an observed loop. The home goroutine writes them.
type timings struct{ busy, idle, longest, late atomic.Int64 }

func (s *Stats) add(t *timings) {
	s.Busy, s.Idle = time.Duration(t.busy.Load()), time.Duration(t.idle.Load())
	s.LongestCallback, s.LatestTimer = time.Duration(t.longest.Load()), time.Duration(t.late.Load())
}

// SlowCallback is what the function of WithSlowCallback is called with.
type SlowCallback struct {
	Loop     string        // the name of the loop
	Kind     TracePoint    // TraceBottomHalf, TraceHandler, TraceTimer or TraceCompletion
	Name     string        // of the bottom half, handler or timer
	Duration time.Duration // callbacks of nested iterations included
}

func (s SlowCallback) String() string {
	return fmt.Sprintf("loop %q: %v %s took %v", s.Loop, s.Kind, s.Name, s.Duration)
}

// WithTimings makes the loop measure its time: see the last fields of Stats. It reads the clock
// twice for each callback.
func WithTimings() Option {
	return func(o *options) error {
		o.observed = true
		return o.once("WithTimings")
	}
}

// WithSlowCallback calls f, on the home goroutine, after each callback that took longer than
// limit: all others have waited for it. f must not block. For one that does not return at all see
// Snapshot. It reads the clock twice for each callback.
func WithSlowCallback(limit time.Duration, f func(SlowCallback)) Option {
	return func(o *options) error {
		switch {
		case f == nil:
			return fmt.Errorf("aio: WithSlowCallback: the function is nil")
		case limit <= 0:
			return fmt.Errorf("aio: WithSlowCallback: the limit is %v: use one that is longer than 0", limit)
		}
		o.observed, o.slow, o.limit = true, f, limit
		return o.once("WithSlowCallback")
	}
}

// observer returns nil if nothing was asked for.
func (o *options) observer() *observer {
	if !o.observed {
		return nil
	}
	return &observer{loop: o.name, trace: o.trace, slow: o.slow, limit: o.limit, debug: o.debug}
}

// emit tells the trace hook of what takes no time.
func (o *observer) emit(point TracePoint, name string, value int64) {
	if o != nil && o.trace != nil { // inlined; the rest is not
		o.send(TraceEvent{Point: point, At: sys.Monotonic(), Name: name, Value: value})
	}
}

func (o *observer) send(e TraceEvent) {
	e.Loop = o.loop
	o.trace(e)
}

// sleeps and woken are called around each sleep.
func (o *observer) sleeps(timeout time.Duration) {
	o.slept = sys.Monotonic()
	o.emit(TraceSleep, "", int64(timeout))
}

func (o *observer) woken(events int) {
	now := sys.Monotonic()
	idle := now - o.slept
	o.times.idle.Add(int64(idle))
	if o.trace != nil {
		o.send(TraceEvent{Point: TraceWake, At: now, Value: int64(events), End: true, Duration: idle})
	}
}

// looked is called when the loop has looked for events in user space.
func (o *observer) looked(spun time.Duration) {
	if o.trace != nil {
		o.send(TraceEvent{Point: TracePollEnd, At: sys.Monotonic(), Value: int64(spun), End: true, Duration: spun})
	}
}

// expired is called for a timer that is late by so much.
func (o *observer) expired(late time.Duration) {
	o.times.late.Store(max(o.times.late.Load(), int64(late)))
}

// begin is called before a callback, end after it, even if that panics.
func (o *observer) begin(kind TracePoint, name string, value int64) {
	now := sys.Monotonic()
	o.mu.Lock()
	o.running = append(o.running, running{kind, name, now})
	o.mu.Unlock()
	if o.trace != nil {
		o.send(TraceEvent{Point: kind, At: now, Name: name, Value: value})
	}
}

func (o *observer) end(value int64) {
	now := sys.Monotonic()
	o.mu.Lock()
	outer := len(o.running) - 1
	r := o.running[outer]
	o.running = o.running[:outer]
	o.mu.Unlock()
	took := now - r.since
	o.times.longest.Store(max(o.times.longest.Load(), int64(took)))
	if outer == 0 {
		o.times.busy.Add(int64(took))
	}
	if o.trace != nil {
		o.send(TraceEvent{Point: r.kind, At: now, Name: r.name, Value: value, End: true, Duration: took})
	}
	if o.slow != nil && took > o.limit {
		o.slow(SlowCallback{o.loop, r.kind, r.name, took})
	}
}

// call calls f, which is a callback.
func (o *observer) call(kind TracePoint, name string, value int64, f func()) {
	o.begin(kind, name, value)
	defer o.end(value)
	f()
}

// now returns what runs, the outermost first.
func (o *observer) now() []running {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.running)
}
