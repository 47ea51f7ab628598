package aio

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// driver is one of the ways in which a Context is made to go round. The suite runs
// with all: eachBackend says which one, and turn, block and start follow it.
type driver string

const (
	byPoll   driver = "poll"   // it waits by itself, on its thread
	byPark   driver = "park"   // the same without a thread
	bySource driver = "source" // a foreign loop steps it: Prepare, Query, ppoll(2), Check, Dispatch
)

// pollOnly are the tests that make no sense with a foreign loop, and why.
var pollOnly = map[string]string{
	"TestStatsCountByKind":                   "it counts the iterations that Poll makes",
	"TestCloseIsRefusedThroughoutRun":        "it is about Run",
	"TestPanicWhilePolling":                  "it is about polling in user space",
	"TestForeignLoopAndPoll":                 "it puts a Poll between the phases",
	"TestForeignLoopSeesChangesAfterPrepare": "it puts a Poll between the phases",
	"TestCloseWhilePolling":                  "while a foreign loop waits nobody is inside the Context, and Close is not refused",
	"TestExplicitBackend":                    "it is about New alone, and finds the backend in its own name",
	"TestTracePoints":                        "a foreign loop's sleep is not the Context's, and is not traced",
	"TestStatsCountWakeUps":                  "a foreign loop's sleeps are not the Context's, and are not counted",
}

// turnFirst are the tests that begin with a native operation, or mix the drivers.
// With io_uring the foreign loop's first turn comes before: it exchanges the ring,
// which operations do not survive, and which tells each edge once more.
var turnFirst = map[string]bool{
	"TestSubmitWritesAndReadsAFile":             true,
	"TestSubmitReportsTheErrno":                 true,
	"TestNestedPollRunsTheRemainingCompletions": true,
	"TestSubmitFromACompletion":                 true,
	"TestTrap30_BufferStaysUntilTheCompletion":  true,
	"TestCloseWithAnOperationUnderWay":          true,
	"TestPanicInACallbackLosesNothing":          true,
	"TestPanicGoesThroughRun":                   true,
}

// runsWith reports whether a test runs with d.
func runsWith(t *testing.T, d driver) bool {
	return d != bySource || pollOnly[family(t)] == ""
}

// options are those that a Context needs to be driven by d.
func (d driver) options() []Option {
	mode := ModeThread
	if d == byPark {
		mode = ModePark
	}
	return []Option{WithMode(mode)}
}

// family returns the name of the function that t, or what t is a part of, is.
func family(t testing.TB) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// foreignDriven are the Contexts that bySource drives.
var foreignDriven sync.Map

func (d driver) drives(t testing.TB, c *Context) {
	if d == bySource {
		if c.spin.enabled() {
			t.Skip("it is about polling in user space, which there is none of while a foreign loop waits")
		}
		foreignDriven.Store(c, true)
		t.Cleanup(func() { foreignDriven.Delete(c) })
		if turnFirst[family(t)] {
			turn(t, c)
		}
	}
}

// iterate is Poll or TryPoll with the driver that c has.
func iterate(c *Context, blocking bool) (progress bool, err error) {
	if _, foreign := foreignDriven.Load(c); foreign {
		return stepForeign(c, blocking)
	}
	return c.poll(blocking)
}

func stepForeign(c *Context, blocking bool) (progress bool, err error) {
	timeout, err := c.Prepare()
	if err != nil {
		return false, err
	}
	if !blocking {
		timeout = 0
	}
	var room [8]unix.PollFd
	fds := c.Query(room[:0])
	if _, err := sys.PpollFor(fds, timeout); err != nil {
		return false, err
	}
	if _, err := c.Check(fds); err != nil {
		return false, err
	}
	return c.Dispatch()
}

// run is Run with the driver that c has.
func run(ctx context.Context, c *Context) error {
	if _, foreign := foreignDriven.Load(c); !foreign {
		return c.Run(ctx)
	}
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() {
		stop.Store(true)
		c.Notify()
	})()
	for !stop.Load() {
		if _, err := stepForeign(c, true); err != nil {
			return err
		}
	}
	return nil
}
