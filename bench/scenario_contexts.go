package bench

import (
	"fmt"
	"runtime/metrics"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

var contextsScenario = Scenario{
	Scenario: report.Scenario{
		Name:       "contexts",
		About:      "Many Contexts sleep, each on a goroutine of its own, and are woken one after the other. Time from waking one to its answer.",
		Params:     []string{"contexts"},
		Sweep:      "contexts",
		SweepLabel: "Contexts",
		Typical: []map[string]string{
			{"contexts": "100"},
		},
	},
	Short:  "wake one of many Contexts that sleep, each on a goroutine of its own",
	Varied: "1 to 1000 Contexts",
	groups: contextsGroups,
}

var contextCounts = []int{1, 10, 100, 1000}

// fdsPerContext is more than a Context has open.
const fdsPerContext = 8

// threadsPerContext is the figure of the scenario.
const threadsPerContext = "threads/context"

const contextsNote = "one after the other is woken, the others sleep; a thread is a goroutine that is in a system call"

func contextsGroups() []group {
	var groups []group
	for _, n := range contextCounts {
		g := group{scenario: "contexts", label: fmt.Sprintf("contexts=%d", n), took: 400 * time.Millisecond, full: n == 10 || n == 1000}
		if g.refused = fewFiles(n * fdsPerContext); g.refused != "" {
			g.label += " and more"
			return append(groups, g)
		}
		for _, row := range append(Backends(), GoroutineChannel) {
			c := testCase{row: row, params: []param{{"contexts", fmt.Sprint(n)}}, notes: []string{contextsNote}}
			c.setup = func(s *fixture) (runFunc, error) { return contextsSetup(s, row, n) }
			g.cases = append(g.cases, c)
		}
		groups = append(groups, g)
	}
	return groups
}

func contextsSetup(s *fixture, row string, n int) (runFunc, error) {
	s.atLeastProcs(2)
	over := make(chan struct{}, 1)
	wakes := make([]func(int), n)
	threads := busyThreads()
	for i := range wakes {
		var err error
		if wakes[i], err = s.waker(row, anywhere, 1, func(int) { over <- struct{}{} }); err != nil {
			return nil, err
		}
	}
	s.atExit(func() error { // before the Contexts are closed
		s.figure(threadsPerContext, max(0, float64(busyThreads()-threads))/float64(n))
		return nil
	})
	return func(b budget, rec *report.Recorder) (done int64, err error) {
		for at := now(); !b.spent(done, at); done++ {
			wakes[int(done)%n](0)
			if err := s.await(over); err != nil {
				return done, err
			}
			end := now()
			rec.Record(end - at)
			at = end
		}
		return done, nil
	}, nil
}

// inSystemCalls is how many goroutines are in one, as far as the runtime knows.
const inSystemCalls = "/sched/goroutines/not-in-go:goroutines"

// busyThreads is how many threads the goroutines of the process occupy while nothing
// runs. The number of its threads would not do: those of the rounds before are kept.
func busyThreads() int {
	sample := []metrics.Sample{{Name: inSystemCalls}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int(sample[0].Value.Uint64())
}
