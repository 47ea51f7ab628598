package backendtest

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/aioloop/aioloop/backend"
)

// Test runs the suite on the Pollers that open returns: one new Poller for each
// subtest. If the first one fails with backend.ErrUnavailable the test is skipped,
// with that error as the reason.
func Test(t *testing.T, open func() (backend.Poller, error)) {
	run(t, open, testing.Short())
}

// TestBriefly is Test with the durations of -short. It is for variants of a Poller
// that passes Test.
func TestBriefly(t *testing.T, open func() (backend.Poller, error)) {
	run(t, open, true)
}

func run(t *testing.T, open func() (backend.Poller, error), brief bool) {
	if !inChild() { // a child opens its first Poller under the limits that it tests
		available(t, open)
	}
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread()
			t.Cleanup(runtime.UnlockOSThread)
			h := &home{T: t, open: open, brief: brief, ready: make([]backend.Ready, 64)}
			if !c.bare {
				h.start()
			}
			c.run(h)
		})
	}
}

func available(t *testing.T, open func() (backend.Poller, error)) {
	t.Helper()
	p, err := open()
	switch {
	case errors.Is(err, backend.ErrUnavailable):
		t.Skipf("skipped: %v", err)
	case err != nil:
		t.Fatalf("open: %v", err)
	}
	logCapabilities(t, p)
	if err := p.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// logCapabilities says which subtests have nothing to do.
func logCapabilities(t *testing.T, p backend.Poller) {
	_, edge := p.(backend.EdgeTriggered)
	_, binder := p.(backend.Binder)
	_, stayer := p.(backend.Stayer)
	_, peeker := p.(backend.Peeker)
	_, pollable := p.(backend.Pollable)
	_, submitter := p.(backend.Submitter)
	t.Logf("%s: EdgeTriggered %v, Binder %v, Stayer %v, Peeker %v, Pollable %v, Submitter %v",
		p.Name(), edge, binder, stayer, peeker, pollable, submitter)
}

// check is one subtest.
type check struct {
	name string
	run  func(*home)
	bare bool // it opens its Pollers itself
}

// checks lists the subtests in the order in which they run: what a Poller does at
// all, then what it does with bad input, then the traps, then what takes time.
func checks() []check {
	var all []check
	for _, group := range [][]check{
		contractChecks, errorChecks, closeChecks, kindChecks, fairnessChecks,
		trapChecks, threadChecks, edgeChecks, capabilityChecks, operationChecks, registrarChecks,
		environmentChecks, scaleChecks,
	} {
		all = append(all, group...)
	}
	return all
}

// childVariable is set in the environment of a test binary that was started by
// inNewProcess.
const childVariable = "AIOLOOP_BACKENDTEST_CHILD"

func inChild() bool { return os.Getenv(childVariable) != "" }
