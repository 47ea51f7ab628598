package bench

import (
	"slices"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

var pingpongScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "pingpong",
		About:  "Two loops wake each other in turn and do nothing else. Time of a round trip: two notifications, two callbacks.",
		Params: []string{"pinned"},
		Typical: []map[string]string{
			{"pinned": "yes"},
			{"pinned": "no"},
		},
	},
	Short:  "round trip of two loops that wake each other",
	Varied: "both on one CPU, and free",
	groups: pingpongGroups,
}

func pingpongGroups() []group {
	var groups []group
	for _, pinned := range []string{"yes", "no"} {
		g := group{scenario: "pingpong", label: "pinned=" + pinned, took: 1200 * time.Millisecond}
		for _, row := range goRows() {
			g.cases = append(g.cases, pingpongCase(row, pinned))
		}
		g.cases = append(g.cases, pingpongPeers(pinned)...)
		groups = append(groups, g)
	}
	return groups
}

// freeNotes are for scenarios that are also measured without pinning, which makes no
// difference on the only CPU.
func freeNotes() []string {
	if len(listCPUs(&allowed)) == 1 {
		return nil
	}
	return []string{freeNote}
}

const freeNote = "with pinned=no the kernel decides whether the threads share a CPU; across CPUs a wake-up costs many times as much, so figures change from run to run"

// pingpongPeers leaves out two threads that spin on one CPU.
func pingpongPeers(pinned string) []testCase {
	params := []param{{"pinned", pinned}}
	rows := slices.Concat([]string{"gnet (Go)"}, loopPeers(), []string{"futex (C)"}, fdFloors())
	if pinned == "yes" {
		return peerCases(rows, params, pinnedTogether)
	}
	cases := peerCases(append(rows, "spin (C)"), params, unpinned)
	for i := range cases {
		cases[i].notes = append(cases[i].notes, freeNotes()...)
	}
	return cases
}

func pingpongCase(row, pinned string) testCase {
	c := testCase{row: row, params: []param{{"pinned", pinned}}}
	at := anywhere
	if pinned == "no" {
		c.notes = freeNotes()
	}
	if pinned == "yes" {
		at = atHome
		if !isLocked(row) {
			c.notes = []string{unlockedNote}
		}
	}
	c.setup = func(s *fixture) (runFunc, error) { return pingpongSetup(s, row, at) }
	return c
}

func pingpongSetup(s *fixture, row string, at pinning) (runFunc, error) {
	if at == atHome && !isLocked(row) {
		s.confine()
	}
	s.atLeastProcs(2)
	return s.roundTrips(func(handle func(int)) (func(int), error) { return s.waker(row, at, 1, handle) })
}

// roundTrips sets up two wakers that wake each other.
func (s *fixture) roundTrips(waker func(handle func(int)) (wake func(int), err error)) (runFunc, error) {
	r := &roundTrips{fixture: s, over: make(chan struct{}, 1)}
	var ping, pong func(int)
	ping, err := waker(func(int) {
		if r.tick() {
			pong(0)
		}
	})
	if err != nil {
		return nil, err
	}
	pong, err = waker(func(int) { ping(0) })
	r.serve = ping
	return r.run, err
}

// roundTrips counts round trips. Its fields belong to the first waker while a run is
// under way, and to the driver otherwise.
type roundTrips struct {
	fixture *fixture
	serve   func(slot int)
	over    chan struct{}

	budget  budget
	rec     *report.Recorder
	started bool
	n       int64
	last    time.Duration
}

func (r *roundTrips) run(b budget, rec *report.Recorder) (int64, error) {
	r.budget, r.rec, r.started, r.n = b, rec, false, 0
	r.serve(0)
	err := r.fixture.await(r.over)
	return r.n, err
}

// tick ends one round trip and begins the next, with one reading of the clock. It
// reports whether there is one.
func (r *roundTrips) tick() bool {
	at := now()
	if r.started {
		r.rec.Record(at - r.last)
		r.n++
	}
	r.started, r.last = true, at
	if r.budget.spent(r.n, at) {
		r.over <- struct{}{}
		return false
	}
	return true
}
