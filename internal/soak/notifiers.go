//go:build linux

package main

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/aioloop/aioloop/aio"
)

// notifiers are set by two producers each.
func notifiers(s *station) error {
	for i := range 4 {
		if err := s.notified(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *station) notified(i int) error {
	n, err := aio.NewEventNotifier()
	if err != nil {
		return err
	}
	d := s.newDebt("notifier %d", i)
	h, err := s.loop.WatchNotifier(n, func() {
		s.called(d.name)
		d.arrive()
		s.rep.counts.notifies.Add(1)
		s.nest()
	})
	if err != nil {
		return err
	}
	set := func() {
		if s.cfg.fault == faultLostNotify && d.sent.Load() > 2 {
			return
		}
		s.rep.must(d.name, n.Set())
	}
	for range 2 {
		s.producer(func(r *rand.Rand) {
			for range 1 + r.IntN(3) {
				d.publish()
				set()
			}
		})
	}
	s.soloists = append(s.soloists, soloist{d, set})
	s.closers = append(s.closers, func() {
		if s.cfg.fault != faultLeftHandler {
			s.rep.must(d.name, h.Close())
		}
		s.rep.must(d.name, n.Close())
	})
	return nil
}

// doorbells can be polled in user space: a device that writes to its eventfd only
// while no goroutine polls.
func doorbells(s *station) error {
	for i := range 2 {
		if err := s.doorbell(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *station) doorbell(i int) error {
	n, err := aio.NewEventNotifier()
	if err != nil {
		return err
	}
	d := s.newDebt("doorbell %d", i)
	var silent atomic.Bool // the loop polls
	arrive := func() {
		s.called(d.name)
		d.arrive()
		s.rep.counts.notifies.Add(1)
	}
	pair := func(polling bool) func() {
		return func() {
			s.called(d.name)
			if silent.Swap(polling) == polling {
				s.rep.fail("%s: %s: PollBegin and PollEnd do not come in pairs", s.name, d.name)
			}
		}
	}
	h, err := s.loop.Watch(n.FD(), aio.Callbacks{
		Name: d.name,
		Read: func() {
			_, err := n.TestAndClear()
			s.rep.must(d.name, err)
			arrive()
		},
		Poll:      func() bool { return !d.settled() },
		PollReady: arrive,
		PollBegin: pair(true), PollEnd: pair(false),
	})
	if err != nil {
		return err
	}
	ring := func() {
		if !silent.Load() {
			s.rep.must(d.name, n.Set())
		}
	}
	s.producer(func(*rand.Rand) {
		d.publish()
		ring()
	})
	s.soloists = append(s.soloists, soloist{d, ring})
	s.closers = append(s.closers, func() {
		s.rep.must(d.name, h.Close())
		s.rep.must(d.name, n.Close())
	})
	return nil
}
