package bench

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/mainloop"
)

const (
	mainloopNote = "each loop is a mainloop.MainContext with one source, an aio.Context; a bottom half wakes it, and a turn is prepare, query, ppoll, check, dispatch"
	glibNote     = "two threads in C, each with a GMainContext and one GSource that g_source_set_ready_time triggers and that dispatches a callback, as a bottom half does; allocations are not counted"
)

func mainloopGroups() []group {
	var groups []group
	for _, pinned := range []string{"yes", "no"} {
		g := group{scenario: "mainloop", label: "pinned=" + pinned, took: 1500 * time.Millisecond}
		for _, row := range append(goRows(), GLib) {
			g.cases = append(g.cases, mainloopCase(row, pinned))
		}
		groups = append(groups, g)
	}
	return groups
}

// mainloopCase is pingpongCase with main loops instead of Contexts.
func mainloopCase(row, pinned string) testCase {
	c := pingpongCase(row, pinned)
	at := anywhere
	if pinned == "yes" {
		at = atHome
	}
	switch {
	case isBackend(row):
		c.notes = append(c.notes, mainloopNote)
		c.setup = func(s *site) (runFunc, error) {
			return s.rally(func(handle func(int)) (func(int), error) { return s.mainloopStation(row, at, handle) })
		}
	case row == GLib:
		c.outside = true
		c.notes = []string{glibNote}
		if pinned == "no" {
			c.notes = append(c.notes, freeNote)
		}
		c.setup = func(s *site) (runFunc, error) { return glibSetup(s, at) }
	}
	return c
}

// mainloopStation is loopStation with a single door and a main loop around it.
func (s *site) mainloopStation(row string, at place, handle func(int)) (func(int), error) {
	loop, err := openLoop(row)
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
	s.start(at, func() { ended <- s.runMain(main, loop, &over) })
	s.atExit(func() error { over.Store(true); main.Wakeup(); return <-ended })
	return func(int) { _ = bh.Schedule() }, nil // it fails only on a closed loop, which s.broken tells
}

// runMain runs and closes a main loop on the calling goroutine.
func (s *site) runMain(main *mainloop.MainContext, loop *aio.Context, over *atomic.Bool) error {
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

// glibProgram and its mode are explained in bench/peers.
const glibProgram, glibMode = "glib", "ready-time"

// Round trips of a peer that are made before the measured ones, and those that show
// how many fit into a time.
const (
	peerWarm  = 500
	peerProbe = 200
)

func glibSetup(s *site, at place) (runFunc, error) {
	path, err := findPeer(glibProgram)
	if err != nil {
		return nil, err
	}
	where := "none"
	if at == atHome {
		if cpu, err := s.cpus.of(at); err != nil {
			s.note("not pinned: " + err.Error())
		} else {
			where = fmt.Sprint(cpu)
		}
	}
	p := &peer{path: path, args: []string{glibMode, "-cpu", where}}
	return func(b budget, rec *report.Recorder) (int64, error) {
		n, err := p.count(b)
		if err != nil {
			return 0, err
		}
		samples, cpu, err := p.run(n)
		for _, sample := range samples {
			rec.Record(sample)
		}
		s.cpu += cpu
		return int64(len(samples)), err
	}, nil
}
