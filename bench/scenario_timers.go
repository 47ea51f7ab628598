package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var timersScenario = Scenario{
	Scenario: report.Scenario{
		Name:       "timers",
		About:      "One of many timers is moved (rearm), or becomes due and its callback runs (fire). Time of one operation.",
		Params:     []string{"do", "timers", meanOf},
		Sweep:      "timers",
		SweepLabel: "timers",
		Typical: []map[string]string{
			{"do": "rearm", "timers": "100000"},
			{"do": "fire", "timers": "100000"},
		},
	},
	Short:  "move one of many timers, or let it fire",
	Varied: "1 to 100,000 timers; rearm and fire",
	groups: timersGroups,
}

var timerCounts = []int{1, 1000, 100_000}

// timersBatch is small because GLib looks at every timer in each turn.
const timersBatch = 10

// distant is when timers are due that are not to fire.
const distant = 1000 * time.Second

func timersGroups() []group {
	var groups []group
	for _, do := range []string{"rearm", "fire"} {
		for _, n := range timerCounts {
			params := []param{{"do", do}, {"timers", fmt.Sprint(n)}}
			g := group{scenario: "timers", label: fmt.Sprintf("do=%s timers=%d", do, n), took: 400 * time.Millisecond, full: n == 1000 || do == "fire" && n > 1}
			for _, row := range append(Backends(), GoroutineChannel) {
				g.cases = append(g.cases, timersCase(row, params, do, n))
			}
			g.cases = append(g.cases, timersPeers(params, do, n)...)
			groups = append(groups, g)
		}
	}
	return groups
}

const timersNote = "rearm: one timer, chosen at random, is moved to another time that is far away; fire: it is moved to now, the loop makes a turn, and it is moved away again"

func timersCase(row string, params []param, do string, n int) testCase {
	c := testCase{row: row, params: params, driver: driverOf(row), batch: timersBatch, notes: []string{timersNote}}
	c.setup = func(s *fixture) (runFunc, error) { return timersSetup(s, row, do, n) }
	if !isLocked(row) {
		c.notes = append(c.notes, unlockedNote)
	}
	if row == GoroutineChannel {
		c.notes = append(c.notes, "each timer is a time.Timer; its channel is received from")
	}
	return c
}

func timersPeers(params []param, do string, n int) []testCase {
	scenario := "rearm-timer"
	if do == "fire" {
		scenario = "self-timer"
	}
	cases := peerCases(loopPeers(), params, pinnedTogether, "-scenario", scenario, "-timers", fmt.Sprint(n), "-batch", fmt.Sprint(timersBatch))
	for i := range cases {
		cases[i].batch, cases[i].notes = timersBatch, append(cases[i].notes, timersNote)
	}
	return cases
}

// timerSet is a number of timers.
type timerSet struct {
	runs  int64
	rng   *rand.Rand
	count int
	move  func(which int, after time.Duration)
	turn  func(which int) error // lets those fire that are due
}

func timersSetup(s *fixture, row, do string, n int) (runFunc, error) {
	w := &timerSet{rng: rand.New(rand.NewPCG(1, 2)), count: n}
	var err error
	if row == GoroutineChannel {
		w.useGo(s)
	} else {
		err = w.useLoop(s, row)
	}
	if err != nil {
		return nil, err
	}
	if do == "rearm" {
		return batched(timersBatch, &w.runs, w.rearm), nil
	}
	return batched(timersBatch, &w.runs, w.fire), nil
}

// rearm counts itself as the run, for no timer fires.
func (w *timerSet) rearm() error {
	w.move(w.rng.IntN(w.count), distant+time.Duration(w.rng.Int64N(int64(distant))))
	w.runs++
	return nil
}

func (w *timerSet) fire() error {
	which, before := w.rng.IntN(w.count), w.runs
	w.move(which, 0)
	for w.runs == before {
		if err := w.turn(which); err != nil {
			return err
		}
	}
	if w.count > 1 {
		w.move(which, distant)
	}
	return nil
}

func (w *timerSet) useLoop(s *fixture, row string) error {
	loop, err := s.loopHere(row)
	if err != nil {
		return err
	}
	timers := make([]*aio.Timer, w.count)
	s.atExit(func() error {
		for _, t := range timers {
			t.Stop()
		}
		return nil
	})
	for i := range timers {
		timers[i] = loop.NewTimer(aio.Realtime, func() { w.runs++ })
	}
	for i, t := range timers {
		if err := t.Reset(distant + time.Duration(i)*time.Microsecond); err != nil {
			return err
		}
	}
	w.move = func(which int, after time.Duration) { _ = timers[which].Reset(after) }
	w.turn = func(int) error { _, err := loop.TryPoll(); return err }
	return nil
}

func (w *timerSet) useGo(s *fixture) {
	s.confine()
	timers := make([]*time.Timer, w.count)
	for i := range timers {
		timers[i] = time.NewTimer(distant + time.Duration(i)*time.Microsecond)
	}
	s.atExit(func() error {
		for _, t := range timers {
			t.Stop()
		}
		return nil
	})
	w.move = func(which int, after time.Duration) { timers[which].Reset(after) }
	w.turn = func(which int) error { <-timers[which].C; w.runs++; return nil }
}
