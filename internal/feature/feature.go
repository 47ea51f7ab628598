// Package feature finds out what the running kernel can do, by doing it. Versions
// are never compared: distributions backport, and filters take away.
package feature

import (
	"errors"
	"fmt"
	"sync"
)

// Outcome is what a probe found.
type Outcome int

// The three outcomes. Only the first two are remembered.
const (
	Inconclusive Outcome = iota // the probe failed for a reason that may pass, no descriptor left for example
	Works
	NotSupported
)

func (o Outcome) String() string {
	return [...]string{"inconclusive", "works", "not supported"}[o]
}

// Feature is one ability of the kernel. Check may be called from any goroutine.
type Feature struct {
	Name  string
	Since string // the first kernel of the main line that has it, for people

	probe func() error // nil: works; wraps errNotSupported; anything else: inconclusive

	mu      sync.Mutex // guards the rest
	outcome Outcome
	err     error
}

// errNotSupported is what a probe returns when the kernel has said no for good.
var errNotSupported = errors.New("not supported")

// notSupported marks err as a final answer.
func notSupported(err error) error { return fmt.Errorf("%w: %w", errNotSupported, err) }

// Check probes, or remembers. The error, nil if the feature works, wraps the errno.
func (f *Feature) Check() (Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outcome == Inconclusive {
		f.outcome, f.err = f.run()
	}
	return f.outcome, f.err
}

// Works reports whether Check's outcome is Works.
func (f *Feature) Works() bool {
	o, _ := f.Check()
	return o == Works
}

func (f *Feature) run() (Outcome, error) {
	switch err := f.probe(); {
	case err == nil:
		return Works, nil
	case errors.Is(err, errNotSupported):
		return NotSupported, fmt.Errorf("%s (Linux %s): %w", f.Name, f.Since, err)
	default:
		return Inconclusive, fmt.Errorf("%s (Linux %s): probe was inconclusive: %w", f.Name, f.Since, err)
	}
}

// All lists every feature that aioloop looks for, oldest first.
func All() []*Feature {
	return []*Feature{IOUring, EpollPwait2, ExtArg, MultishotPoll, TaskrunFlag, SingleIssuer, DeferTaskrun, NoIowait}
}
