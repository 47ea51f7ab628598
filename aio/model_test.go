package aio

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit/draw"
)

// Random programs, run in lockstep on the backends, in both modes, and on a model that is
// as simple as its subject allows: lists that are searched, no queues shared with anybody, no
// kernel. A program is made of steps; the functions of bottom halves, handlers and
// timers are programs as well, so that everything can happen from within
// everything, and in nested Polls.
//
// Idle bottom halves are left out, because they depend on how much time goes by.

// step is one operation on the object with index i, with an argument.
type step struct {
	op  string
	i   int
	arg int
}

func (s step) String() string { return fmt.Sprintf("%s(%d,%d)", s.op, s.i, s.arg) }

const (
	modelObjects = 4 // of each kind
	modelDepth   = 3 // of nested Polls
	// After so many entries in the journal callbacks do nothing any more: those that
	// schedule two others would go on growing.
	modelBudget = 500
)

// stepOps are the steps that a program is made of. Those named twice come twice as often.
var stepOps = []string{
	"poll", "schedule", "set", "set timer", "close", "watch", "change", "cancel", "once", "advance", "poll", "set", "schedule",
	"set timer earlier", "stop timer", "clear", "start", "stop", "notify", "set timer", "close half",
}

func drawStep(t *draw.T) step {
	return step{
		op:  draw.From(t, stepOps),
		i:   draw.Int(t, 0, modelObjects-1),
		arg: draw.Int(t, 0, 6),
	}
}

// scripts are what the callbacks do, by "bh 2", "timer 0", "fd 1", "once 3".
type scripts map[string][]step

func drawScripts(t *draw.T) scripts {
	all := scripts{}
	for _, kind := range []string{"bh", "timer", "fd", "once"} {
		for i := range modelObjects {
			all[fmt.Sprint(kind, " ", i)] = draw.Slice(t, 0, 4, drawStep)
		}
	}
	return all
}

// world is what a program acts on: a Context or the model.
type world interface {
	do(s step)
	log() *journal
}

// callback runs the script of one object.
func callback(w world, scripts scripts, name, label string) {
	w.log().add(label)
	if len(*w.log()) < modelBudget {
		for _, s := range scripts[name] {
			w.do(s)
		}
	}
	w.log().add("end " + name)
}

// Virtual time is counted in hours, so that the real time that goes by does not
// matter. Deadlines lie between two hours, so that none is met exactly.
func modelDeadline(hours int) time.Duration {
	return time.Duration(hours)*time.Hour - 30*time.Minute
}

func TestRandomProgramsAgainstTheModel(t *testing.T) {
	checkDescriptors(t)
	draw.Check(t, 100, func(t *draw.T) {
		all := drawScripts(t)
		program := draw.Slice(t, 40, 120, drawStep)
		pairs := openPairs(t, all)
		defer closePairs(pairs)
		for n, s := range append(program, step{op: "poll"}, step{op: "poll"}) {
			for _, p := range pairs {
				p.do(t, n, s)
			}
		}
	})
}

// pair is a Context and the model, which go through the same steps.
type pair struct {
	name  string
	real  *realWorld
	model *model
}

// openPairs makes one for each backend in each mode that is there.
func openPairs(t *draw.T, all scripts) (pairs []*pair) {
	for _, b := range realBackends {
		for _, mode := range []Mode{ModeThread, ModePark} {
			real, err := newRealWorld(b, mode, all)
			if errors.Is(err, backend.ErrUnavailable) || errors.Is(err, errors.ErrUnsupported) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			m := &model{scripts: all, spurious: b == IOUring}
			pairs = append(pairs, &pair{fmt.Sprint(b, " ", mode), real, m})
		}
	}
	return pairs
}

func closePairs(pairs []*pair) {
	for _, p := range pairs {
		p.real.close()
	}
}

func (p *pair) do(t *draw.T, n int, s step) {
	p.real.do(s)
	p.model.observed = p.real.journal // tells in which order handlers ran: no order is promised
	p.model.do(s)
	if !slices.Equal(p.real.journal, p.model.journal) {
		t.Fatalf("%s, step %d, %v:\nran  %q\nwant %q", p.name, n, s, []string(p.real.journal), []string(p.model.journal))
	}
}

// The model. It knows the time only as a number of hours.
type model struct {
	scripts  scripts
	journal  journal
	observed journal
	spurious bool // the backend may call a handler for what was true for a moment, see nextHandler

	queue, batch []modelBH
	bhQueued     [modelObjects]bool // it has a place in one of them
	bhWanted     [modelObjects]bool
	bhClosed     [modelObjects]bool

	set, open, pending [modelObjects]bool
	wasSet, may        [modelObjects]bool // since the last collection; it may be called for that
	version            [modelObjects]int  // counts Change, so that an old callback is recognised

	timers         []modelTimer // armed, in the order of arming
	late           []modelTimer // put off to the next run
	hours, runNow  int
	stopped        bool
	running, depth int
}

// modelBH is a bottom half, or a one-shot one.
type modelBH struct {
	i    int
	once bool
}

type modelTimer struct{ i, deadline int }

func (m *model) log() *journal { return &m.journal }

func (m *model) do(s step) {
	i := s.i
	switch s.op {
	case "schedule":
		if m.bhClosed[i] {
			return
		}
		m.bhWanted[i] = true
		if !m.bhQueued[i] { // one that was cancelled has kept its place
			m.bhQueued[i] = true
			m.queue = append(m.queue, modelBH{i: i})
		}
	case "once":
		m.queue = append(m.queue, modelBH{i: i, once: true})
	case "cancel":
		m.bhWanted[i] = false
	case "close half":
		m.bhWanted[i] = false
		m.bhClosed[i] = m.bhClosed[i] || s.arg == 0 // rarely, or soon all are gone
	case "set", "clear":
		m.set[i] = s.op == "set"
		m.wasSet[i] = m.wasSet[i] || m.set[i]
	case "watch":
		if !m.open[i] {
			m.open[i], m.pending[i], m.wasSet[i], m.may[i] = true, false, false, false
		}
	case "change":
		if m.open[i] {
			m.version[i]++
		}
	case "close":
		m.open[i] = false
	case "set timer", "set timer earlier", "stop timer":
		m.doTimer(s)
	case "advance":
		m.hours += s.arg % 3
	case "stop", "start":
		m.stopped = s.op == "stop"
	case "poll":
		m.poll()
	}
}

func (m *model) doTimer(s step) {
	deadline := m.hours + s.arg - 2
	if at, armed := m.deadline(s.i); s.op == "set timer earlier" && armed && at <= deadline {
		return
	}
	gone := func(t modelTimer) bool { return t.i == s.i }
	m.timers, m.late = slices.DeleteFunc(m.timers, gone), slices.DeleteFunc(m.late, gone)
	switch {
	case s.op == "stop timer":
	case m.running > 0 && deadline <= m.runNow:
		m.late = append(m.late, modelTimer{s.i, deadline})
	default:
		m.timers = append(m.timers, modelTimer{s.i, deadline})
	}
}

func (m *model) deadline(i int) (int, bool) {
	for _, t := range append(slices.Clone(m.timers), m.late...) {
		if t.i == i {
			return t.deadline, true
		}
	}
	return 0, false
}

func (m *model) poll() {
	if m.depth == modelDepth {
		return
	}
	m.depth++
	defer func() { m.depth-- }()
	for i := range m.open {
		m.pending[i] = m.pending[i] || m.open[i] && m.set[i]
		m.may[i] = m.may[i] || m.spurious && m.open[i] && m.wasSet[i]
		m.wasSet[i] = false
	}
	m.batch, m.queue = append(m.batch, m.queue...), nil
	progress := m.runBottomHalves()
	progress = m.runHandlers() || progress
	progress = m.runTimers() || progress
	m.journal.add(fmt.Sprint("progress ", progress))
}

func (m *model) runBottomHalves() (progress bool) {
	for len(m.batch) > 0 {
		b := m.batch[0]
		m.batch = m.batch[1:]
		if b.once {
			progress = true
			name := fmt.Sprint("once ", b.i)
			callback(m, m.scripts, name, name)
			continue
		}
		wanted := m.bhWanted[b.i]
		m.bhQueued[b.i], m.bhWanted[b.i] = false, false
		if wanted {
			progress = true
			name := fmt.Sprint("bh ", b.i)
			callback(m, m.scripts, name, name)
		}
	}
	return progress
}

// runHandlers runs those with events, in the order that was observed.
func (m *model) runHandlers() (progress bool) {
	for {
		i := m.nextHandler()
		if i < 0 {
			m.may = [modelObjects]bool{} // all that was collected has run
			return progress
		}
		label := m.label(i)
		m.pending[i], m.may[i] = false, false
		m.set[i] = false // the callback reads it
		progress = true
		callback(m, m.scripts, fmt.Sprint("fd ", i), label)
	}
}

// label is what the handler writes into the journal: whose it is, which of its
// callbacks this is, and whether it finds what it was called for.
func (m *model) label(i int) string { return handlerLabel(i, m.version[i], m.set[i]) }

func handlerLabel(i, version int, set bool) string {
	label := fmt.Sprint("fd ", i, " version ", version)
	if !set {
		label += " for nothing" // another goroutine has cleared it after it was collected
	}
	return label
}

// nextHandler returns the one that was observed, if it may run, or one that must.
//
// A poll request of io_uring is completed by whatever wakes it up: a notifier that
// was set and cleared since the last Wait is reported by the next one all the same.
func (m *model) nextHandler() int {
	must := -1
	for i := range m.open {
		m.pending[i] = m.pending[i] && m.open[i]
		at := len(m.journal)
		observed := at < len(m.observed) && m.observed[at] == m.label(i)
		if observed && (m.pending[i] || m.open[i] && m.may[i]) {
			return i
		}
		if m.pending[i] && must < 0 {
			must = i
		}
	}
	return must
}

func (m *model) runTimers() (progress bool) {
	if m.stopped || !slices.ContainsFunc(slices.Concat(m.timers, m.late), func(t modelTimer) bool { return t.deadline <= m.hours }) {
		return false
	}
	m.requeue()
	m.running++
	m.runNow = m.hours
	for {
		t, ok := m.expired()
		if !ok {
			break
		}
		progress = true
		name := fmt.Sprint("timer ", t.i)
		callback(m, m.scripts, name, name)
	}
	if m.running--; m.running == 0 {
		m.requeue()
	}
	return progress
}

func (m *model) requeue() { m.timers, m.late = append(m.timers, m.late...), nil }

// expired removes the earliest timer that is over; of equal ones the first armed.
func (m *model) expired() (modelTimer, bool) {
	if m.stopped || len(m.timers) == 0 {
		return modelTimer{}, false
	}
	least := slices.MinFunc(m.timers, func(a, b modelTimer) int { return cmp.Compare(a.deadline, b.deadline) })
	if least.deadline > m.runNow {
		return modelTimer{}, false
	}
	m.timers = slices.DeleteFunc(m.timers, func(t modelTimer) bool { return t.i == least.i })
	return least, true
}
