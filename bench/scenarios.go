package bench

import (
	"slices"
	"strings"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

// Scenario is one question, and the groups of cases that answer it.
type Scenario struct {
	report.Scenario // its name, and how a report shows it
	// Short says what is measured, Varied what is varied, in one line each.
	Short, Varied string

	// named is set if a quick run has it only if it is asked for by name.
	named  bool
	groups func() []group
}

// Scenarios returns all scenarios in the order of the report.
func Scenarios() []Scenario {
	return []Scenario{
		wakeScenario, openLoopScenario, latenessScenario, pingpongScenario, mainloopScenario, selfBHScenario, selfNotifierScenario, selfTimerScenario,
		coroutineScenario, idleFDsScenario, producersScenario, timersScenario, contextsScenario, busyScenario,
		fileReadScenario, fileWriteScenario, fileDirectScenario,
	}
}

// group is a set of cases that are compared with each other: their rounds take
// turns. A case in it may stand for several settings of a parameter.
type group struct {
	scenario string
	label    string        // the parameters that all cases share
	took     time.Duration // measured per case, all rounds together, at full size
	cases    []testCase
	// refused is why none of it can be measured here, or empty.
	refused string
	// needs is why none of it can be measured with the files of a run; nil if it has no files.
	needs func(*fileStore) error
	// full is set if a quick run leaves the group out, and named if it does so unless the scenario
	// is asked for by name.
	full, named bool
}

// testCase is one row at one setting of the parameters.
type testCase struct {
	row    string
	params []param
	// again are further settings under which the same result is listed, because
	// they make no difference to this row.
	again [][]param

	// driver is where setup and run are called.
	driver pinning
	// aside is set if the driver is not part of what is measured: its CPU time is
	// subtracted.
	aside bool
	// outside is set if another process is measured: run adds its CPU time to the
	// fixture, and what this process uses does not count.
	outside bool
	// batch is of how many operations each sample is the mean; 0 and 1 mean that it is of one.
	batch int64
	// overlap is set if several operations are under way at a time, so that the latency of one
	// is not what it costs. run adds to the fixture's elapsed then.
	overlap bool
	// othersCompute is set if others compute in this process, so that its CPU time says
	// nothing about the case.
	othersCompute bool
	// setup makes the case ready to run on the driver's goroutine.
	setup func(*fixture) (runFunc, error)
	// notes say what the row does, where that is not plain.
	notes []string
}

// param is one setting. Several are a list, because their order matters in the
// names of benchmarks.
type param struct{ key, value string }

func paramMap(params []param) map[string]string {
	m := make(map[string]string, len(params))
	for _, p := range params {
		m[p.key] = p.value
	}
	return m
}

// name is that of a benchmark: backend=epoll/polling=off/gap_us=20.
func (c *testCase) name() string {
	return strings.Join(append([]string{"backend=" + c.row}, c.pairs()...), "/")
}

func (c *testCase) pairs() (list []string) {
	for _, p := range c.params {
		list = append(list, p.key+"="+p.value)
	}
	return list
}

// label is that of a group with the parameters of the case.
func (c *testCase) label() string { return strings.Join(c.pairs(), " ") }

// only returns the group without the cases of other rows.
func (g group) only(rows []string) group {
	g.cases = slices.DeleteFunc(slices.Clone(g.cases), func(c testCase) bool { return !slices.Contains(rows, c.row) })
	return g
}

// suitable returns the group without the rows that are for another scenario.
func (g group) suitable() group {
	g.cases = slices.DeleteFunc(slices.Clone(g.cases), func(c testCase) bool {
		r, _ := loopRowOf(c.row)
		return r.scenarios != nil && !slices.Contains(r.scenarios, g.scenario)
	})
	return g
}

func (g group) String() string { return strings.TrimSpace(g.scenario + " " + g.label) }

// unlockedNote is for rows in plain Go in scenarios that pin the loop.
const unlockedNote = "goroutines are not locked to threads; all threads of the process are kept on the CPU of the loop"
