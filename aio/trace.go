//go:build linux

package aio

import (
	"fmt"
	"time"
)

// TracePoint is a place in the loop that can be observed with WithTrace.
type TracePoint int

// The trace points.
const (
	TracePollBegin  TracePoint = iota // polling in user space begins; Value: the window in ns
	TracePollEnd                      // it ends; Value: ns spent
	TracePollGrow                     // the window of polling grows; Value: the new one in ns
	TracePollShrink                   // it shrinks; Value: the new one in ns
	TraceSleep                        // the loop is about to block; Value: the timeout in ns, -1 forever
	TraceWake                         // Wait has returned; Value: the number of events
	TraceBottomHalf                   // a bottom half runs
	TraceHandler                      // a handler's callbacks run; Value: its fd
	TraceTimer                        // a timer runs
	TraceReentrant                    // a guarded bottom half was held back
	TraceCompletion                   // a native operation has completed; Value: its result
	TraceUnwatched                    // an event without a callback ended the watch; Value: its fd
)

var traceNames = [...]string{"poll-begin", "poll-end", "poll-grow", "poll-shrink", "sleep", "wake",
	"bottom-half", "handler", "timer", "reentrant", "completion", "unwatched"}

// String returns the point's name, "poll-begin" for example.
func (p TracePoint) String() string {
	if p < 0 || int(p) >= len(traceNames) {
		return fmt.Sprintf("TracePoint(%d)", int(p))
	}
	return traceNames[p]
}

// TraceEvent is what a trace hook is called with. A callback, which is a bottom half, a handler, a
// timer or a completion, has two events of one Point: End is set in the second one. For the time
// between poll-begin and poll-end, and between sleep and wake, that is the later point.
type TraceEvent struct {
	Loop     string // the name of the loop, see WithName
	Point    TracePoint
	End      bool
	At       time.Duration // Realtime clock
	Duration time.Duration // with End: how long it has taken
	Name     string        // of the bottom half, handler or timer
	Value    int64
}
