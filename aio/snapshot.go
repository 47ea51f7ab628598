//go:build linux

package aio

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

// Snapshot is what a Context has to do at one moment, for people: see its String.
type Snapshot struct {
	Name    string
	Backend BackendInfo
	Mode    Mode
	State   LoopState
	Stats   Stats

	Running      []RunningCallback // that have not returned, the outermost first; of an observed loop
	Handlers     []HandlerState
	Timers       []TimerState // the earliest of each clock first
	BottomHalves []string     // the names of those that are scheduled
	Operations   []string     // native ones that are under way, what and fd, and the work of attachments
	Waits        []string     // calls of WaitWhile, for this loop or polling it: where, and since when

	// Partial says why BottomHalves and Operations are missing, else it is empty.
	Partial string
}

// LoopState is what a loop does.
type LoopState string

// The states of a loop.
const (
	NotPolled LoopState = "not polled" // no goroutine is in Poll or Run
	Asleep    LoopState = "asleep"     // or about to be
	Awake     LoopState = "awake"      // it polls, or runs callbacks
)

// RunningCallback is a callback that has not returned.
type RunningCallback struct {
	Kind TracePoint
	Name string
	For  time.Duration // since it was called
}

// HandlerState is a handler that is open.
type HandlerState struct {
	FD      int
	Name    string
	Events  Events // what it waits for
	Watched bool   // see Handler.Watched
}

// TimerState is a timer that is pending.
type TimerState struct {
	Name     string
	Clock    ClockID
	Deadline time.Duration // on the clock
	In       time.Duration // time left; negative if it is over
}

// Snapshot names every handler, timer, bottom half, operation and call of WaitWhile, and what the loop does. Any
// goroutine may call it, also while a callback hangs: it neither waits for the loop nor wakes it.
//
// The bottom halves and the operations are the home goroutine's: Snapshot names them there, as long
// as there is none, and always of a loop with WithDebug. Otherwise Partial says that they are
// missing. Running is known of a loop with WithTimings, WithSlowCallback, WithTrace or
// WithDebug. It fails with ErrClosed.
func (c *Context) Snapshot() (*Snapshot, error) {
	if c.home.closed() {
		return nil, ErrClosed
	}
	s := &Snapshot{Name: c.name, Backend: c.Backend(), Mode: c.Mode(), State: c.state(), Stats: c.Stats()}
	if o := c.observer; o != nil {
		now := sys.Monotonic()
		for _, r := range o.now() {
			s.Running = append(s.Running, RunningCallback{r.kind, r.name, now - r.since})
		}
	}
	for _, h := range c.table.open() {
		if cb := h.cb.Load(); cb != nil {
			s.Handlers = append(s.Handlers, HandlerState{int(h.fd), cb.title(), cb.interest(h.wanted(cb)), h.Watched()})
		}
	}
	for id := range clocks {
		if l := c.timers.of(id); l != nil {
			s.Timers = append(s.Timers, l.states()...)
		}
	}
	s.Waits = waiters.about(c)
	work := c.attached.work()
	if c.observer.debugs() {
		s.BottomHalves, s.Operations = c.observer.debug.lists()
		s.Operations = append(s.Operations, work...)
		return s, nil
	}
	borrowed, err := c.home.hold()
	if err != nil {
		s.Operations = work
		s.Partial = "bottom halves and operations: they are known on the home goroutine; WithDebug makes them known elsewhere"
		return s, nil
	}
	defer c.home.release(borrowed)
	s.BottomHalves, s.Operations = c.halves.names(), append(c.operations.names(&c.port), work...)
	return s, nil
}

func (c *Context) state() LoopState {
	switch {
	case !c.home.polling():
		return NotPolled
	case c.gate.Kicked():
		return Awake
	}
	return Asleep
}

// lists returns what is known, sorted.
func (d *debugger) lists() (halves, operations []string) {
	d.Lock()
	defer d.Unlock()
	for p := range d.halves {
		if b := p.Value(); b == nil {
			delete(d.halves, p)
		} else if b.Scheduled() && !b.closed.Load() {
			halves = append(halves, nameOf(b.name, b.fn))
		}
	}
	for _, name := range d.onces {
		halves = append(halves, name)
	}
	for _, what := range d.operations {
		operations = append(operations, what)
	}
	slices.Sort(halves)
	slices.Sort(operations)
	return halves, operations
}

// String returns a line for the loop, and one for each thing that it has to do.
func (s *Snapshot) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "loop %q: %v, %v mode, %s\n", s.Name, s.Backend, s.Mode, s.State)
	for _, r := range s.Running {
		fmt.Fprintf(&b, "  runs %v %s for %v\n", r.Kind, r.Name, r.For)
	}
	for _, h := range s.Handlers {
		note := ""
		if !h.Watched {
			note = ", not watched any more"
		}
		fmt.Fprintf(&b, "  handler %s of fd %d waits for %v%s\n", h.Name, h.FD, h.Events, note)
	}
	for _, t := range s.Timers {
		fmt.Fprintf(&b, "  timer %s runs in %v (%v clock)\n", t.Name, t.In, t.Clock)
	}
	for _, name := range s.BottomHalves {
		fmt.Fprintf(&b, "  bottom half %s is scheduled\n", name)
	}
	for _, what := range s.Operations {
		fmt.Fprintf(&b, "  operation under way: %s\n", what)
	}
	for _, what := range s.Waits {
		fmt.Fprintf(&b, "  %s\n", what)
	}
	if s.Partial != "" {
		fmt.Fprintf(&b, "  unknown: %s\n", s.Partial)
	}
	return b.String()
}
