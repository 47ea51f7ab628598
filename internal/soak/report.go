//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// report collects what goes wrong in one run, and what was done.
type report struct {
	ctx  context.Context // ends with the first problem
	stop context.CancelFunc

	mu       sync.Mutex // guards the next two
	problems []string
	first    time.Duration // when the first one was noted

	counts counts
	latest longest
	phases atomic.Int32 // so far
	shorts atomic.Int32 // how transfers of files are cut short in this phase
}

// counts are the figures of the verdict.
type counts struct {
	halves, notifies, calls, timers, bytes, swaps, signals, natives, nested, singles, idle, held, floods,
	files, fileBytes, cancels, reopened, compared, jobs atomic.Uint64
}

func newReport() *report {
	r := &report{}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// aftermath is how long problems are noted after the first: the others are soon
// consequences of the run being broken off.
const aftermath = 5 * time.Millisecond

// fail notes a violated invariant and ends the run.
func (r *report) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	problem := fmt.Sprintf(format, args...)
	if len(r.problems) == 0 {
		r.first = now()
	}
	if now()-r.first < aftermath && !slices.Contains(r.problems, problem) {
		r.problems = append(r.problems, problem)
	}
	r.stop()
}

// must is for what cannot fail as long as the invariants hold.
func (r *report) must(what string, err error) bool {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.fail("%s: %v", what, err)
	}
	return err == nil
}

func (r *report) failed() bool { return r.ctx.Err() != nil }

func (r *report) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.problems)
}

// verdict is the outcome for one backend.
type verdict struct {
	backend  aio.Backend
	duration time.Duration
	problems []string
	counts   *counts
	latest   time.Duration
	hung     bool // something of it is still there
	vitals   trend
}

func (v *verdict) line() string {
	word := "PASS"
	if len(v.problems) > 0 {
		word = "FAIL"
	}
	c := v.counts
	figures := []string{
		thousands(&c.halves) + " bottom halves", thousands(&c.notifies) + " notifies",
		thousands(&c.calls) + " calls", thousands(&c.timers) + " timers",
		thousands(&c.bytes) + " bytes", thousands(&c.swaps) + " descriptors reused",
		thousands(&c.signals) + " signals", thousands(&c.natives) + " native operations",
		thousands(&c.nested) + " nested polls", thousands(&c.singles) + " events to a sleeping loop",
		thousands(&c.idle) + " calls for nothing", thousands(&c.held) + " files held late",
		thousands(&c.files) + " file requests", thousands(&c.fileBytes) + " bytes of files",
		thousands(&c.cancels) + " cancels", thousands(&c.reopened) + " files opened again",
		thousands(&c.compared) + " compared", thousands(&c.jobs) + " jobs",
		v.vitals.String(), fmt.Sprintf("latest dispatch %.1f ms", v.latest.Seconds()*1000),
	}
	return fmt.Sprintf("soak %v %v: %s  %s", v.backend, v.duration, word, strings.Join(figures, ", "))
}

// thousands formats a count like 1,234,567.
func thousands(n *atomic.Uint64) string {
	s := strconv.FormatUint(n.Load(), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
