package bench

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestRunSaysWhatItDoes(t *testing.T) {
	var steps []Step
	results, err := Run(t.Context(), Config{
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
	if last := steps[len(steps)-1]; last.Done != 1 || last.Left != 0 || len(last.Results) != 2 || last.Group != "self-bh" {
		t.Errorf("last step: %+v", last)
	}
}

// What was finished before the end of the context is not lost.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	results, err := Run(ctx, Config{
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
	var total time.Duration
	for _, g := range groups {
		var names, rows []string
		for _, c := range g.cases {
			names, rows = append(names, c.name()), append(rows, c.row)
			total += g.took
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
	if limit := 6*time.Minute + 30*time.Second; total > limit {
		t.Errorf("all measurements together take %v, want at most %v", total, limit)
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
