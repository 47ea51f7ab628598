package bench

import (
	"slices"
	"strings"
	"time"
)

// Scenario is one question, and the groups of cases that answer it.
type Scenario struct {
	Name string
	// About says what is measured, Params what is varied, in one line each.
	About, Params string

	groups func() []group
}

// Scenarios returns all scenarios in the order of the report.
func Scenarios() []Scenario {
	return []Scenario{
		{"wake", "from a notification on one CPU to the callback on another", "gap between events 0 to 10,000 µs; polling off and on (32 µs)", wakeGroups},
		{"pingpong", "round trip of two loops that wake each other", "both on one CPU, and free", pingpongGroups},
		{"mainloop", "round trip of two main loops, whole turns of their four phases, beside GLib's in C", "both on one CPU, and free", mainloopGroups},
		{"self-bh", "schedule a bottom half and run it, on one thread", "", selfBHGroups},
		{"self-notifier", "set an event notifier and run its handler, on one thread", "", selfNotifierGroups},
		{"self-timer", "re-arm a timer that is due and run it, on one thread", "", selfTimerGroups},
		{"idle-fds", "self-notifier beside descriptors on which nothing happens", "1 to 100,000 idle descriptors", idleFDsGroups},
		{"producers", "from scheduling to the callback, several goroutines in parallel", "1, 2, 4, 8 goroutines; all on one CPU, and free", producersGroups},
		{"timers", "move one of many timers, or let it fire", "1 to 100,000 timers; rearm and fire", timersGroups},
		{"contexts", "wake one of many Contexts that sleep, each on a goroutine of its own", "1 to 1000 Contexts", contextsGroups},
		{"busy", "round trip to a loop from another loop, a goroutine or a process, while others compute", "GOMAXPROCS 1, 2, 4; 0, 1, 2 goroutines that compute, or the garbage collector", busyGroups},
	}
}

// group is a set of cases that are compared with each other: their rounds take
// turns. A case in it may stand for several settings of a parameter.
type group struct {
	scenario string
	label    string        // the parameters that all cases share
	took     time.Duration // measured per case, all rounds together, at full size
	cases    []testCase
	// full is set if a quick run leaves the group out.
	full bool
}

// testCase is one row at one setting of the parameters.
type testCase struct {
	row    string
	params []param
	// again are further settings under which the same result is listed, because
	// they make no difference to this row.
	again [][]param

	// driver is where setup and run are called.
	driver place
	// aside is set if the driver is not part of what is measured: its CPU time is
	// subtracted.
	aside bool
	// outside is set if another process is measured: run adds its CPU time to the
	// fixture, and what this process uses does not count.
	outside bool
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
	parts := []string{"backend=" + c.row}
	for _, p := range c.params {
		parts = append(parts, p.key+"="+p.value)
	}
	return strings.Join(parts, "/")
}

// only returns the group without the cases of other rows.
func (g group) only(rows []string) group {
	g.cases = slices.DeleteFunc(slices.Clone(g.cases), func(c testCase) bool { return !slices.Contains(rows, c.row) })
	return g
}

// suitable returns the group without the rows that are for another scenario.
func (g group) suitable() group {
	g.cases = slices.DeleteFunc(slices.Clone(g.cases), func(c testCase) bool {
		r, _ := loopRowOf(c.row)
		return r.scenario != "" && r.scenario != g.scenario
	})
	return g
}

func (g group) String() string { return strings.TrimSpace(g.scenario + " " + g.label) }

// unlockedNote is for rows in plain Go in scenarios that pin the loop.
const unlockedNote = "goroutines are not locked to threads; all threads of the process are kept on the CPU of the loop"
