package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

// Config says what to measure.
type Config struct {
	// Scenarios and Rows are names; nil means all.
	Scenarios, Rows []string
	// Quick measures for an eighth of the time or less, in fewer rounds, and fewer
	// settings of the parameters.
	Quick bool
	// Rounds is how often each row gets its turn; 0 means 5, or 2 for a quick run.
	Rounds int
	// CPUs are the two to pin to, of the loop and of who wakes it. nil means the
	// first two that the process may use.
	CPUs []int
	// FileDir is the folder in which the files of the file scenarios are made, and removed again;
	// empty for the working folder.
	FileDir string
	// Raw, if not nil, gets the samples of each round of each case, in the order of time. The
	// name is scenario, row and parameters, as in the name of a benchmark. The samples are
	// valid until it returns. An error ends the run.
	Raw func(name string, samples []time.Duration) error
	// Progress, if not nil, is called before each round of each case, and when a
	// group is finished. Nothing is being measured while it runs.
	Progress func(Step)
}

// Step is how far a run has got.
type Step struct {
	Group         string // scenario and parameters
	Row           string // what is measured next, empty when the group is finished
	Round, Rounds int
	Done, Groups  int           // finished groups, of how many
	Left          time.Duration // estimated
	Finished      string        // the scenario that ended with this group
}

// size is how much is measured.
type size struct {
	rounds int
	scale  float64 // of the time that a group asks for
	warm   time.Duration
}

var (
	fullSize  = size{rounds: 5, scale: 1, warm: 20 * time.Millisecond}
	quickSize = size{rounds: 2, scale: 0.06, warm: 3 * time.Millisecond}
)

// roundLeast is how many operations a round consists of at least: as many as in a
// batch.
const roundLeast = 10

// Run measures. If ctx ends, it returns the groups that are finished together with
// the reason. A row that the machine refuses something to in the middle of the run (memory,
// descriptors, a privilege, a program) is left out of that group, and so is a peer that fails. Any
// other error of a row is a bug: it is left out too, and the error names it at the end.
func Run(ctx context.Context, c Config) ([]report.Result, []report.Absence, error) {
	r, err := newRunner(c)
	if err != nil {
		return nil, nil, err
	}
	fixProcs()
	defer func() {
		if err := r.files.remove(); err != nil {
			r.bugs = append(r.bugs, err)
		}
	}()
	for i := range r.groups {
		results, err := r.group(ctx, i)
		if err != nil {
			return r.results, r.absent, err
		}
		r.results = append(r.results, results...)
	}
	return r.results, r.absent, errors.Join(r.bugs...)
}

// runner is one call of Run.
type runner struct {
	size
	progress func(Step)
	raw      func(string, []time.Duration) error
	where    cpus
	files    *fileStore
	groups   []group
	started  time.Time
	results  []report.Result
	absent   []report.Absence
	bugs     []error
	scratch  *report.Recorder
}

func newRunner(c Config) (*runner, error) {
	r := &runner{size: fullSize, progress: c.Progress, raw: c.Raw, started: time.Now(), scratch: report.NewRecorder()}
	if c.Quick {
		r.size = quickSize
	}
	if c.Raw != nil {
		r.scratch.KeepRaw()
	}
	if c.Rounds < 0 {
		return nil, fmt.Errorf("%d rounds: there has to be at least one", c.Rounds)
	}
	if c.Rounds > 0 {
		r.rounds = c.Rounds
	}
	if r.progress == nil {
		r.progress = func(Step) {}
	}
	var err error
	if r.where, err = chooseCPUs(c.CPUs); err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(c.FileDir)
	if err != nil {
		return nil, err
	}
	r.files = newFileStore(folder)
	r.groups, err = c.groups()
	return r, err
}

// groups are those that a run measures.
func (c Config) groups() ([]group, error) {
	groups, err := plan(c.Chosen(), c.Rows)
	if c.Quick {
		groups = quickGroups(groups, c.Scenarios != nil)
	}
	return groups, err
}

// quickGroups leaves out those that only a full run has, or one whose scenarios are named, unless
// there are no others.
func quickGroups(groups []group, named bool) []group {
	quick := slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.full || g.named && !named })
	if len(quick) == 0 {
		return groups
	}
	return quick
}

// Chosen are the names of the scenarios that a run has; nil means all. A quick run has some only
// if they are named.
func (c Config) Chosen() (names []string) {
	if c.Scenarios != nil || !c.Quick {
		return c.Scenarios
	}
	for _, s := range Scenarios() {
		if !s.named {
			names = append(names, s.Name)
		}
	}
	return names
}

// HasFiles reports whether a run measures something with files.
func (c Config) HasFiles() bool {
	groups, _ := c.groups()
	return slices.ContainsFunc(groups, func(g group) bool { return g.needs != nil })
}

// Check returns what is wrong with the names and numbers in a Config.
func (c Config) Check() error {
	_, err := newRunner(c)
	return err
}

// plan returns the groups that were asked for, in the order of the report.
func plan(scenarios, rows []string) (groups []group, err error) {
	if rows == nil {
		rows = Rows()
	}
	for _, row := range rows {
		if !slices.Contains(Rows(), row) {
			return nil, fmt.Errorf("unknown backend %q: choose from %s", row, strings.Join(Rows(), ", "))
		}
	}
	for _, name := range scenarios {
		if !slices.ContainsFunc(Scenarios(), func(s Scenario) bool { return s.Name == name }) {
			return nil, fmt.Errorf("unknown scenario %q: choose from %s", name, scenarioNames())
		}
	}
	for _, s := range Scenarios() {
		if scenarios != nil && !slices.Contains(scenarios, s.Name) {
			continue
		}
		for _, g := range s.groups() {
			if g = g.only(rows).suitable(); len(g.cases) > 0 || g.refused != "" {
				groups = append(groups, g)
			}
		}
	}
	if !slices.ContainsFunc(groups, func(g group) bool { return len(g.cases) > 0 }) {
		return nil, fmt.Errorf("none of the backends asked for takes part in the scenarios asked for")
	}
	return groups, nil
}

func scenarioNames() string {
	var names []string
	for _, s := range Scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// group measures the cases of a group in turns.
func (r *runner) group(ctx context.Context, index int) ([]report.Result, error) {
	g := &r.groups[index]
	r.refuse(g)
	tallies := make([]*tally, len(g.cases))
	for i := range tallies {
		tallies[i] = r.newTally(g, &g.cases[i])
	}
	p := phase{warm: r.warm, run: r.roundTime(g), least: roundLeast}
	for round := range r.rounds {
		for _, i := range turns(round, len(tallies)) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if tallies[i] == nil {
				continue
			}
			r.progress(r.step(index, round, g.cases[i].row))
			if err := tallies[i].round(&g.cases[i], r.where, p, r.scratch); errors.Is(err, errRaw) {
				return nil, err
			} else if err != nil {
				tallies[i] = nil
				r.leaveOut(g, &g.cases[i], err)
			}
		}
	}
	var results []report.Result
	for i, t := range tallies {
		if t == nil {
			continue
		}
		results = append(results, t.results(g.scenario, &g.cases[i])...)
	}
	s := r.step(index+1, 0, "")
	s.Group = g.String()
	if index+1 == len(r.groups) || r.groups[index+1].scenario != g.scenario {
		s.Finished = g.scenario
	}
	r.progress(s)
	return results, nil
}

// refuse notes why a group cannot be measured, if so: once for all of a scenario that have one reason.
func (r *runner) refuse(g *group) {
	const more = " and more"
	if g.needs != nil && len(g.cases) > 0 {
		if err := g.needs(r.files); err != nil {
			g.refused, g.cases = err.Error(), nil
		}
	}
	if g.refused == "" {
		return
	}
	for i := range r.absent {
		a := &r.absent[i]
		if a.Row == AllRows && a.Why == g.refused && strings.HasPrefix(a.Where, g.scenario+" ") {
			a.Where = strings.TrimSuffix(a.Where, more) + more
			return
		}
	}
	r.absent = append(r.absent, report.Absence{Row: AllRows, Where: g.String(), Why: g.refused})
}

// AllRows is in place of a row where none can be measured.
const AllRows = "all rows"

// errRaw is wrapped by what ends a run although the measurement went well.
var errRaw = errors.New("the samples cannot be kept")

func (r *runner) newTally(g *group, c *testCase) *tally {
	t := newTally(c)
	t.files = r.files
	if r.raw != nil {
		t.raw = func(samples []time.Duration) error {
			if err := r.raw(g.scenario+"/"+c.name(), samples); err != nil {
				return fmt.Errorf("%w: %w", errRaw, err)
			}
			return nil
		}
	}
	return t
}

// leaveOut notes that a case has failed in one of its rounds.
func (r *runner) leaveOut(g *group, c *testCase, err error) {
	r.absent = append(r.absent, report.Absence{Row: c.row, Where: strings.Join(append([]string{g.scenario}, c.pairs()...), " "), Why: err.Error()})
	var errno syscall.Errno
	if !c.outside && !errors.As(err, &errno) && !errors.Is(err, exec.ErrNotFound) {
		r.bugs = append(r.bugs, fmt.Errorf("%s %s: %w", g.scenario, c.name(), err))
	}
}

// turns is the order of n cases in a round: each has one turn, and none is always
// first.
func turns(round, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (i + round) % n
	}
	return order
}

func (r *runner) roundTime(g *group) time.Duration {
	return time.Duration(float64(g.took) * r.scale / float64(r.rounds))
}

// step describes the moment before a round of the group at index.
func (r *runner) step(index, round int, row string) Step {
	s := Step{Row: row, Round: round + 1, Rounds: r.rounds, Done: index, Groups: len(r.groups)}
	if index < len(r.groups) {
		s.Group = r.groups[index].String()
	}
	var left, all time.Duration
	for i := range r.groups {
		cost := time.Duration(len(r.groups[i].cases)*r.rounds) * (r.roundTime(&r.groups[i]) + r.warm)
		all += cost
		switch {
		case i > index:
			left += cost
		case i == index:
			left += cost * time.Duration(r.rounds-round) / time.Duration(r.rounds)
		}
	}
	s.Left = left
	// What rounds really take, with all their setting up, shows after a while.
	if spent := all - left; spent > all/20 {
		s.Left = time.Duration(float64(time.Since(r.started)) * float64(left) / float64(spent))
	}
	return s
}
