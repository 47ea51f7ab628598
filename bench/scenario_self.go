package bench

import (
	"fmt"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var selfBHScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "self-bh",
		About:  "One thread schedules a bottom half and polls without blocking. Time until its callback has run.",
		Params: []string{meanOf},
	},
	Short:  "schedule a bottom half and run it, on one thread",
	groups: selfBHGroups,
}

var selfNotifierScenario = Scenario{
	Scenario: report.Scenario{
		Name:  "self-notifier",
		About: "One thread sets an event notifier and polls. Time until its handler has run.",
	},
	Short:  "set an event notifier and run its handler, on one thread",
	groups: selfNotifierGroups,
}

var selfTimerScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "self-timer",
		About:  "One thread re-arms a timer that is due and polls. Time until its callback has run.",
		Params: []string{meanOf},
	},
	Short:  "re-arm a timer that is due and run it, on one thread",
	groups: selfTimerGroups,
}

// selfBatch is how many operations are timed together where one takes not much
// longer than to read the clock.
const selfBatch = 100

// meanOf is the parameter that says so, where a result says what its samples are.
const meanOf = "mean_of"

const batchNote = "mean_of: a sample is the mean of so many operations in a row, because the clock would weigh; percentiles of means are closer together than those of single operations"

// selfGroup is a scenario without parameters. rows makes the setup of each row
// that the scenario makes sense for.
func selfGroup(scenario string, batch int64, setup func(row string) func(*fixture) (runFunc, error), peers map[string]string, programs ...testCase) []group {
	g := group{scenario: scenario, took: 600 * time.Millisecond}
	for _, row := range goRows() {
		c := testCase{row: row, driver: driverOf(row), batch: batch, setup: setup(row)}
		note, ok := peers[row]
		if !ok && !isBackend(row) {
			continue
		}
		if !isLocked(row) {
			c.notes = append(c.notes, unlockedNote)
		}
		if ok {
			c.notes = append(c.notes, note)
		}
		g.cases = append(g.cases, c)
	}
	g.cases = append(g.cases, programs...)
	return []group{g}
}

func selfBHGroups() []group {
	return selfGroup("self-bh", selfBatch, func(row string) func(*fixture) (runFunc, error) {
		if row == GoroutineChannel {
			return selfChannel
		}
		return func(s *fixture) (runFunc, error) { return selfBH(s, row) }
	}, map[string]string{GoroutineChannel: "one goroutine sends a function to a buffered channel, receives it and calls it"}, selfPeers(loopPeers(), "self-bh", selfBatch)...)
}

func selfNotifierGroups() []group {
	return selfGroup("self-notifier", 1, func(row string) func(*fixture) (runFunc, error) {
		return func(s *fixture) (runFunc, error) { return selfNotifier(s, row, 0) }
	}, map[string]string{Netpoller: netpollerNote}, selfPeers(append(loopPeers(), fdFloors()...), "self-notifier", 1)...)
}

// selfPeers does on one thread what the scenario of that name does.
func selfPeers(rows []string, scenario string, batch int64) []testCase {
	cases := peerCases(rows, nil, pinnedTogether, "-scenario", scenario, "-batch", fmt.Sprint(batch))
	for i := range cases {
		cases[i].batch = batch
	}
	return cases
}

const netpollerNote = "one goroutine is parked in the poller, another writes the eventfd and waits on a channel until the first has run"

func selfTimerGroups() []group {
	return selfGroup("self-timer", selfBatch, func(row string) func(*fixture) (runFunc, error) {
		if row == GoroutineChannel {
			return selfGoTimer
		}
		return func(s *fixture) (runFunc, error) { return selfTimer(s, row) }
	}, map[string]string{GoroutineChannel: "a time.Timer is reset to 0 and its channel received from, on one goroutine"}, selfPeers(loopPeers(), "self-timer", selfBatch)...)
}

// loopHere opens a loop that the calling goroutine, the driver, polls itself.
func (s *fixture) loopHere(row string) (*aio.Context, error) {
	if !isLocked(row) {
		s.confine()
	}
	loop, err := openLoop(row, s.cpus)
	if err == nil {
		s.atExit(loop.Close)
	}
	return loop, err
}

func selfBH(s *fixture, row string) (runFunc, error) {
	loop, err := s.loopHere(row)
	if err != nil {
		return nil, err
	}
	var runs int64
	bh := loop.NewBottomHalf(func() { runs++ })
	return batched(selfBatch, &runs, func() error {
		_ = bh.Schedule() // fails only if the loop is closed, and then so does TryPoll
		_, err := loop.TryPoll()
		return err
	}), nil
}

func selfChannel(s *fixture) (runFunc, error) {
	s.confine()
	var runs int64
	f, ch := func() { runs++ }, make(chan func(), 1)
	return batched(selfBatch, &runs, func() error {
		ch <- f
		(<-ch)()
		return nil
	}), nil
}

func selfTimer(s *fixture, row string) (runFunc, error) {
	loop, err := s.loopHere(row)
	if err != nil {
		return nil, err
	}
	var runs int64
	timer := loop.NewTimer(aio.Realtime, func() { runs++ })
	return batched(selfBatch, &runs, func() error {
		_ = timer.Set(0)
		_, err := loop.TryPoll()
		return err
	}), nil
}

func selfGoTimer(s *fixture) (runFunc, error) {
	s.confine()
	var runs int64
	timer := time.NewTimer(time.Hour)
	s.atExit(func() error { timer.Stop(); return nil })
	return batched(selfBatch, &runs, func() error {
		timer.Reset(0)
		<-timer.C
		runs++
		return nil
	}), nil
}

// batched times op in batches and checks that each op has made one run.
func batched(size int64, runs *int64, op func() error) runFunc {
	return func(b budget, rec *report.Recorder) (n int64, err error) {
		before := *runs
		for at := now(); !b.spent(n, at); {
			ops := b.batch(size, n)
			for range ops {
				if err := op(); err != nil {
					return n, err
				}
			}
			end := now()
			recordBatch(rec, end-at, ops)
			at, n = end, n+ops
		}
		if ran := *runs - before; ran != n {
			return n, fmt.Errorf("the callback ran %d times for %d operations", ran, n)
		}
		return n, nil
	}
}
