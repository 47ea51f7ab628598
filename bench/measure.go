package bench

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
)

// phase is the size of one round of one case.
type phase struct {
	warm, run time.Duration // for as long as this
	least     int64         // but at least so many operations each
	ops       int64         // instead of run: exactly so many

	begin, end func() // called around what is measured; may be nil
}

// warmLeast is how many operations a warm-up makes at least: adaptive polling has
// grown its window by then.
const warmLeast = 20

// tally is what the rounds of one case add up to.
type tally struct {
	rec    *report.Recorder
	ops    int64
	cpu    time.Duration
	allocs uint64
	notes  []string
	rounds []time.Duration // the median of each
	// figures are what else the case says; that of the last round counts.
	figures map[string]float64
	// elapsed is how long all of it took, and times how long an operation took in each round; only
	// of a case with overlap.
	elapsed time.Duration
	times   []time.Duration
	files   *fileStore // nil if there are none
	// raw gets the samples of each round, if it is not nil.
	raw func([]time.Duration) error
}

func newTally(c *testCase) *tally {
	t := &tally{rec: report.NewRecorder(), notes: append([]string(nil), c.notes...)}
	t.rec.Reset() // touches the memory, so that no sample contains a page fault
	return t
}

// round sets a case up, measures it and takes it down again. scratch is where the
// samples go at first, those of the warm-up too.
func (t *tally) round(c *testCase, where cpus, p phase, scratch *report.Recorder) error {
	s := newFixture(where)
	s.files = t.files
	done := make(chan error)
	s.start(c.driver, func() {
		err := t.onDriver(s, c, p, scratch)
		done <- errors.Join(err, s.leave())
	})
	if err := <-done; err != nil {
		return err
	}
	if t.raw != nil {
		if err := t.raw(scratch.Raw()); err != nil {
			return err
		}
	}
	t.rec.Merge(scratch)
	t.rounds = append(t.rounds, scratch.Percentile(50))
	t.addNotes(s.notes)
	if len(s.figures) > 0 {
		t.figures = s.figures
	}
	return nil
}

// onDriver runs on the goroutine that drives the case.
func (t *tally) onDriver(s *fixture, c *testCase, p phase, scratch *report.Recorder) error {
	run, err := c.setup(s)
	if err != nil {
		return err
	}
	if c.driver != anywhere {
		s.pin(c.driver) // again: setup may have confined all threads
	}
	if c.outside {
		scratch.Reset()
		return t.measure(s, c, p, run, scratch)
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if _, err := run(budget{until: now() + p.warm, least: warmLeast}, scratch); err != nil {
		return err
	}
	scratch.Reset()
	return t.measure(s, c, p, run, scratch)
}

// soundTries is how often a measurement is made that is not sound.
const soundTries = 3

// measure makes the measurement that counts: the first one that is sound, or the last of them.
func (t *tally) measure(s *fixture, c *testCase, p phase, run runFunc, scratch *report.Recorder) error {
	for try := 1; ; try++ {
		part, err := measureOnce(s, c, p, run, scratch)
		if err != nil {
			return err
		}
		sound := true
		if s.sound != nil {
			if sound, err = s.sound(); err != nil {
				return err
			}
		}
		if sound || try == soundTries {
			if !sound {
				s.note(s.unsound)
			}
			t.add(&part, c.overlap)
			return nil
		}
		scratch.Reset()
	}
}

// add counts one measurement.
func (t *tally) add(part *tally, overlap bool) {
	t.ops += part.ops
	t.cpu += part.cpu
	t.allocs += part.allocs
	if overlap && part.ops > 0 {
		t.elapsed += part.elapsed
		t.times = append(t.times, part.elapsed/time.Duration(part.ops))
	}
}

func measureOnce(s *fixture, c *testCase, p phase, run runFunc, scratch *report.Recorder) (part tally, err error) {
	if s.ready != nil {
		if err := s.ready(); err != nil {
			return part, err
		}
	}
	call(p.begin)
	s.cpu, s.elapsed = 0, 0
	before := readUsage(c.aside)
	part.ops, err = run(budget{ops: p.ops, until: now() + p.run, least: p.least, warm: p.warm}, scratch)
	after := readUsage(c.aside)
	call(p.end)
	part.elapsed = s.elapsed
	if c.outside {
		part.cpu = s.cpu
		return part, err
	}
	part.cpu, part.allocs = after.cpu-before.cpu, after.allocs-before.allocs
	return part, err
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (t *tally) addNotes(notes []string) {
	for _, n := range notes {
		t.notes = appendNew(t.notes, n)
	}
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// usage is what the process has used since its start.
type usage struct {
	cpu    time.Duration
	allocs uint64
}

// readUsage reads the clock of the CPU last, so that the cost of the first reading
// is not counted, only that of the second. With aside, the calling thread, which is
// locked, does not count.
func readUsage(aside bool) usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{allocs: m.Mallocs, cpu: cpuTime(unix.RUSAGE_SELF)}
	if aside {
		u.cpu -= cpuTime(unix.RUSAGE_THREAD)
	}
	return u
}

// results turns a tally into what the report shows.
func (t *tally) results(scenario string, c *testCase) []report.Result {
	var list []report.Result
	for _, params := range append([][]param{c.params}, c.again...) {
		r := report.Result{
			Scenario: scenario, Backend: c.row, Params: paramMap(params),
			CPUNSPerOp:  max(0, float64(t.cpu)/float64(t.ops)),
			AllocsPerOp: float64(t.allocs) / float64(t.ops),
			Rounds:      slices.Clone(t.rounds),
			Figures:     maps.Clone(t.figures),
			Notes:       append([]string(nil), t.notes...),
		}
		if t.elapsed > 0 {
			r.TimeNSPerOp = float64(t.elapsed) / float64(t.ops)
			r.RoundsTime = slices.Clone(t.times)
		}
		if c.othersCompute {
			r.CPUNSPerOp = 0 // not measured
		}
		if c.batch > 1 {
			r.Params[meanOf] = fmt.Sprint(c.batch)
			r.Notes = append(r.Notes, batchNote)
		}
		t.rec.Summarize(&r)
		list = append(list, r)
	}
	return list
}
