//go:build linux

package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// mark is the state of a debt at some time: what was sent by then has to be seen
// before the bound is over.
type mark struct {
	sent uint64
	at   time.Duration
}

// watch looks after the debts of a station until done is closed.
func (s *station) watch(done <-chan struct{}) {
	tick := time.NewTicker(max(s.cfg.bound/50, time.Millisecond))
	defer tick.Stop()
	marks := make([]mark, len(s.debts))
	for {
		select {
		case <-done:
			return
		case <-s.rep.ctx.Done():
			return
		case <-tick.C:
		}
		for i, d := range s.debts {
			s.look(&marks[i], d)
		}
	}
}

func (s *station) look(m *mark, d *debt) {
	if m.at == 0 || d.seen.Load() >= m.sent {
		*m = mark{sent: d.sent.Load(), at: now()}
		return
	}
	if late := now() - m.at; late > s.cfg.bound {
		s.lost(d, late)
	}
}

// lost reports a debt that was not paid in time, and all that may explain it.
func (s *station) lost(d *debt, late time.Duration) {
	problem := fmt.Sprintf("%s: not dispatched within %v: %v", s.name, late.Round(time.Millisecond), d)
	if !s.rep.failed() { // what follows the first is of no interest
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		fmt.Fprintf(s.cfg.log, "soak: %s\n%s\n%s\n", problem, s.statistics(), stacks)
	}
	s.rep.fail("%s", problem)
}

// statistics asks the loop, which may not be able to answer.
func (s *station) statistics() string {
	answer := make(chan aio.Stats, 1)
	go func() { answer <- s.loop.Stats() }()
	select {
	case stats := <-answer:
		return fmt.Sprintf("%+v", stats)
	case <-time.After(time.Second):
		return "the loop is inside Poll and gives no statistics"
	}
}
