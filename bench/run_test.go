package bench

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestRunSaysWhatItDoes(t *testing.T) {
	var steps []Step
	results, _, err := Run(t.Context(), Config{
		Scenarios: []string{"self-bh"}, Rows: []string{"epoll", GoroutineChannel}, Quick: true,
		Progress: func(s Step) { steps = append(steps, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || results[0].Backend != "epoll" || results[1].Backend != GoroutineChannel {
		t.Fatalf("results: %+v", results)
	}
	for _, r := range results {
		if len(r.Rounds) != quickSize.rounds || r.Rounds[0] <= 0 {
			t.Errorf("%s: medians of the rounds are %v", r.Backend, r.Rounds)
		}
	}
	if n := len(steps); n != 2*quickSize.rounds+1 || steps[0].Row != "epoll" || steps[2].Row != GoroutineChannel {
		t.Errorf("steps: %+v", steps)
	}
	if last := steps[len(steps)-1]; last.Done != 1 || last.Left != 0 || last.Finished != "self-bh" || last.Group != "self-bh" {
		t.Errorf("last step: %+v", last)
	}
}

// What was finished before the end of the context is not lost.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	results, _, err := Run(ctx, Config{
		Scenarios: []string{"self-bh", "self-timer"}, Rows: []string{"ppoll"}, Quick: true, Rounds: 3,
		Progress: func(s Step) {
			if s.Group == "self-timer" && s.Round == 2 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].Scenario != "self-bh" {
		t.Errorf("%v, %+v", err, results)
	}
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{}, ""},
		{Config{Scenarios: []string{"wake", "ping"}}, `unknown scenario "ping"`},
		{Config{Rows: []string{"kqueue"}}, `unknown backend "kqueue"`},
		{Config{Rows: []string{Netpoller}, Scenarios: []string{"self-timer"}}, "none of the backends"},
		{Config{CPUs: []int{0, 1 << 20}}, "CPU 1048576"},
		{Config{CPUs: []int{-1, 0}}, "CPU -1"},
		{Config{Rounds: -1}, "-1 rounds"},
	} {
		err := c.config.Check()
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.says)
		}
	}
}

// Every scenario has every backend of the library, and parameters that tell its
// cases apart.
func TestPlanIsComplete(t *testing.T) {
	groups, err := plan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var total, files time.Duration // of files apart: a quick run has none
	for _, g := range groups {
		var names, rows []string
		for _, c := range g.cases {
			names, rows = append(names, c.name()), append(rows, c.row)
			if g.needs != nil {
				files += g.took
			} else {
				total += g.took
			}
		}
		if g.refused != "" || g.needs != nil {
			continue // the rows of files are others
		}
		if g.scenario == "coroutine" && !strings.Contains(g.label, bottomHalf) {
			continue // the backend makes no difference
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != len(g.cases) {
			t.Errorf("%v: two cases have one name", g)
		}
		for _, b := range Backends() {
			if r, _ := loopRowOf(b); g.scenario == "mainloop" && r.mode == aio.ModePark || r.scenarios != nil && !slices.Contains(r.scenarios, g.scenario) {
				continue
			}
			if !slices.Contains(rows, b) {
				t.Errorf("%v lacks %s", g, b)
			}
		}
	}
	if limit := 6*time.Minute + 50*time.Second; total > limit {
		t.Errorf("all measurements without files together take %v, want at most %v", total, limit)
	}
	if limit := 90 * time.Second; files > limit {
		t.Errorf("all measurements with files together take %v, want at most %v", files, limit)
	}
}

// Confining the process to one CPU is undone.
func TestConfineIsUndone(t *testing.T) {
	fixProcs()
	where, _ := chooseCPUs(nil)
	if where.other < 0 {
		t.Skip("one CPU only: there is nothing to confine")
	}
	affinities := func() (sets []unix.CPUSet) {
		err := sys.EachThread(func(tid int) error {
			var set unix.CPUSet
			err := unix.SchedGetaffinity(tid, &set)
			sets = append(sets, set)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return sets
	}
	s := newFixture(where)
	s.confine()
	for _, set := range affinities() {
		if set.Count() != 1 || !set.IsSet(where.home) {
			t.Errorf("a thread may run on %v", listCPUs(&set))
		}
	}
	if err := s.leave(); err != nil {
		t.Fatal(err)
	}
	for _, set := range affinities() {
		if set != allowed {
			t.Errorf("a thread is left on %v", listCPUs(&set))
		}
	}
}

// A row that fails in the middle of a run is left out with its reason, and the others are
// measured. If it is not the machine that refuses, the run ends with an error as well.
func TestRowThatFailsIsLeftOut(t *testing.T) {
	c := func(row string, err error) testCase {
		rounds := 0
		return testCase{row: row, params: []param{{"n", "1"}}, setup: func(*fixture) (runFunc, error) {
			return func(_ budget, rec *report.Recorder) (int64, error) {
				rec.Record(time.Microsecond)
				if rounds++; rounds < 3 { // a warm-up and a round that counts
					return 1, nil
				}
				return 1, err
			}, nil
		}}
	}
	outside := c("peer", errors.New("exit status 1"))
	outside.outside = true
	r := &runner{size: size{rounds: 4}, progress: func(Step) {}, where: cpus{-1, -1}, scratch: report.NewRecorder(), groups: []group{{scenario: "test", cases: []testCase{
		c("good", nil), c("refused", os.NewSyscallError("mmap", unix.ENOMEM)), outside, c("wrong", errors.New("a callback was lost")),
	}}}}
	results, err := r.group(t.Context(), 0)
	if err != nil || len(results) != 1 || results[0].Backend != "good" || results[0].N != 4 {
		t.Errorf("%v, %+v", err, results)
	}
	slices.SortFunc(r.absent, func(a, b report.Absence) int { return strings.Compare(a.Row, b.Row) })
	want := []report.Absence{
		{Row: "peer", Where: "test n=1", Why: "exit status 1"},
		{Row: "refused", Where: "test n=1", Why: "mmap: cannot allocate memory"},
		{Row: "wrong", Where: "test n=1", Why: "a callback was lost"},
	}
	if !slices.Equal(r.absent, want) {
		t.Errorf("left out: %+v", r.absent)
	}
	if bugs := errors.Join(r.bugs...); bugs == nil || bugs.Error() != "test backend=wrong/n=1: a callback was lost" {
		t.Errorf("bugs: %v", bugs)
	}
}
