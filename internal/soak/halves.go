//go:build linux

package main

import (
	"math/rand/v2"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/mainloop"
)

// bottomHalves are producers of all that goes through the queue of bottom halves.
func bottomHalves(s *station) {
	for i := range 3 {
		s.scheduled(i)
		s.oneShot(i)
	}
	s.cancelled()
	s.asked()
	if s.cfg.fault == faultSpinning {
		var again *aio.BottomHalf
		again = s.loop.NewBottomHalf(func() { s.rep.must("spin", again.Schedule()) })
		s.resumers = append(s.resumers, func() { s.rep.must("spin", again.Schedule()) })
		s.closers = append(s.closers, func() { again.Close() })
	}
}

// scheduled is a bottom half that is scheduled more often than it runs. Each run
// pays for what was published before it.
func (s *station) scheduled(i int) {
	d := s.newDebt("bottom half %d", i)
	var runs, schedules uint64
	b := s.loop.NewBottomHalf(func() {
		s.called(d.name)
		d.arrive()
		runs++
		s.rep.counts.halves.Add(1)
		s.pollInside()
	}).Named(d.name)
	s.producer(func(r *rand.Rand) {
		for range 1 + r.IntN(8) {
			d.publish()
			schedules++
			if r.IntN(8) == 0 {
				s.rep.must(d.name, b.ScheduleIdle())
			} else {
				s.rep.must(d.name, b.Schedule())
			}
		}
	})
	s.singles = append(s.singles, single{d, func() {
		schedules++
		s.rep.must(d.name, b.Schedule())
	}})
	s.closers = append(s.closers, func() {
		b.Close()
		if runs > schedules {
			s.rep.fail("%s: %s: %d runs, scheduled %d times", s.name, d.name, runs, schedules)
		}
		if b.Schedule() != aio.ErrClosed {
			s.rep.fail("%s: %s: scheduled after Delete", s.name, d.name)
		}
	})
}

// oneShot hands the loop functions that run once each, in order.
func (s *station) oneShot(i int) {
	d := s.newDebt("one-shot bottom half %d", i)
	one := func() {
		seq := d.sent.Load()
		run := func() {
			s.called(d.name)
			if n := d.pay(1); n != seq {
				s.rep.fail("%s: %s: number %d is the %d. to run", s.name, d.name, seq, n)
			}
			s.rep.counts.halves.Add(1)
		}
		s.rep.must(d.name, s.loop.ScheduleOnce(run))
		if s.cfg.fault == faultDoubleDelivery && seq == 100 {
			s.rep.must(d.name, s.loop.ScheduleOnce(run))
		}
	}
	s.producer(func(r *rand.Rand) {
		for range 1 + r.IntN(8) {
			d.publish()
			one()
		}
	})
	s.singles = append(s.singles, single{d, one})
}

// cancelled is scheduled and cancelled on the home goroutine, and so never runs.
func (s *station) cancelled() {
	d := s.newDebt("cancelled bottom half")
	b := s.loop.NewBottomHalf(func() { s.rep.fail("%s: a cancelled bottom half runs", s.name) }).Named(d.name)
	s.producer(func(*rand.Rand) {
		d.publish()
		s.once(d.name, func() {
			s.rep.must(d.name, b.Schedule())
			b.Cancel()
			d.pay(1)
		})
	})
}

// asked is Do and Call, whose callers wait.
func (s *station) asked() {
	d := s.newDebt("Call")
	s.producer(func(r *rand.Rand) {
		question := d.publish()
		answer, err := aio.Call(s.rep.ctx, s.loop, func() (uint64, error) {
			s.called(d.name)
			return question + d.pay(1), nil
		})
		if s.rep.must(s.name+": Call", err) && answer != 2*question {
			s.rep.fail("%s: Call: %d, not %d", s.name, answer, 2*question)
		}
		s.rep.counts.calls.Add(1)
	})
}

// mainHalves are bottom halves of the main loop itself.
func mainHalves(s *station, main *mainloop.Loop) {
	d := s.newDebt("ScheduleBH")
	act := func() {
		s.rep.must(d.name, main.ScheduleBH(func() {
			s.called(d.name)
			d.pay(1)
			s.rep.counts.halves.Add(1)
		}))
	}
	s.producer(func(*rand.Rand) {
		d.publish()
		act()
		main.NotifyEvent()
	})
	s.singles = append(s.singles, single{d, act})
}
