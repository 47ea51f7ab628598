package bench

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/mainloop"
)

var mainloopScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "mainloop",
		About:  "Two main loops wake each other in turn. Time of a round trip: two notifications, and two whole turns of prepare, query, ppoll, check and dispatch.",
		Params: []string{"pinned"},
		Typical: []map[string]string{
			{"pinned": "yes"},
			{"pinned": "no"},
		},
	},
	Short:  "round trip of two main loops, whole turns of their four phases, beside GLib's in C",
	Varied: "both on one CPU, and free",
	groups: mainloopGroups,
}

const (
	mainloopNote = "each loop is a mainloop.MainContext with one source, an aio.Context; a bottom half wakes it, and a turn is prepare, query, ppoll, check, dispatch"
)

func mainloopGroups() []group {
	var groups []group
	for _, pinned := range []string{"yes", "no"} {
		g := group{scenario: "mainloop", label: "pinned=" + pinned, took: 1200 * time.Millisecond}
		for _, row := range goRows() {
			if r, ok := loopRowOf(row); ok && r.mode == aio.ModePark {
				continue // it is the main loop that sleeps, in a system call
			}
			g.cases = append(g.cases, mainloopCase(row, pinned))
		}
		g.cases = append(g.cases, mainloopPeer(pinned)...)
		groups = append(groups, g)
	}
	return groups
}

// mainloopPeer is GLib, whose main loop has the same phases.
func mainloopPeer(pinned string) []testCase {
	return slices.DeleteFunc(pingpongPeers(pinned), func(c testCase) bool { return c.row != "glib (C)" })
}

// mainloopCase is pingpongCase with main loops instead of Contexts.
func mainloopCase(row, pinned string) testCase {
	c := pingpongCase(row, pinned)
	at := anywhere
	if pinned == "yes" {
		at = atHome
	}
	if isBackend(row) {
		c.notes = append(c.notes, mainloopNote)
		c.setup = func(s *fixture) (runFunc, error) {
			if at == atHome && !isLocked(row) {
				s.confine()
			}
			s.atLeastProcs(2)
			return s.roundTrips(func(handle func(int)) (func(int), error) { return s.mainloopWaker(row, at, handle) })
		}
	}
	return c
}

// mainloopWaker is loopWaker with a single slot and a main loop around it.
func (s *fixture) mainloopWaker(row string, at pinning, handle func(int)) (func(int), error) {
	loop, err := openLoop(row, s.cpus)
	if err != nil {
		return nil, err
	}
	main, err := mainloop.NewMainContext()
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	if err := mainloop.NewAIOSource(row, loop).Attach(main); err != nil {
		return nil, errors.Join(err, main.Close(), loop.Close())
	}
	bh := loop.NewBottomHalf(func() { handle(0) })
	var over atomic.Bool
	ended := make(chan error, 1)
	if !isLocked(row) {
		at = anywhere
	}
	s.start(at, func() { ended <- s.runMain(main, loop, &over) })
	s.atExit(func() error { over.Store(true); main.Wakeup(); return <-ended })
	return func(int) { _ = bh.Schedule() }, nil // it fails only on a closed loop, which s.broken tells
}

// runMain runs and closes a main loop on the calling goroutine.
func (s *fixture) runMain(main *mainloop.MainContext, loop *aio.Context, over *atomic.Bool) error {
	var err error
	for err == nil && !over.Load() {
		_, err = main.Iterate()
	}
	if err != nil {
		err = fmt.Errorf("the main loop has ended: %w", err)
		s.fail(err)
	}
	return errors.Join(err, main.Close(), loop.Close())
}
