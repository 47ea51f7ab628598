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
	h, err := s.loop.WatchNotifier(n, aio.Callbacks{Read: func(*aio.Handler) {
		s.called(d.name)
		d.arrive()
		s.rep.counts.notifies.Add(1)
		s.pollInside()
	}})
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
	s.singles = append(s.singles, single{d, set})
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

// doorbell is one of them.
type doorbell struct {
	*station
	*debt
	notifier *aio.EventNotifier
	silent   atomic.Bool // the loop polls
}

func (s *station) doorbell(i int) error {
	n, err := aio.NewEventNotifier()
	if err != nil {
		return err
	}
	b := &doorbell{station: s, debt: s.newDebt("doorbell %d", i), notifier: n}
	name := b.debt.name
	h, err := s.loop.Watch(n.FD(), aio.Callbacks{
		Name: name, Read: b.read,
		Poll: func() bool { return !b.settled() }, PollReady: b.come,
		PollBegin: func() { b.silence(true) }, PollEnd: func() { b.silence(false) },
	})
	if err != nil {
		return err
	}
	s.producer(func(*rand.Rand) {
		b.publish()
		b.ring()
	})
	s.singles = append(s.singles, single{b.debt, b.ring})
	s.closers = append(s.closers, func() {
		s.rep.must(name, h.Close())
		s.rep.must(name, n.Close())
	})
	return nil
}

// ring tells the loop, unless that polls.
func (b *doorbell) ring() {
	if !b.silent.Load() {
		b.rep.must(b.debt.name, b.notifier.Set())
	}
}

func (b *doorbell) read(*aio.Handler) {
	_, err := b.notifier.TestAndClear()
	b.rep.must(b.debt.name, err)
	b.come()
}

func (b *doorbell) come() {
	b.called(b.debt.name)
	b.arrive()
	b.rep.counts.notifies.Add(1)
}

// silence is called when the loop begins to poll, and when it stops.
func (b *doorbell) silence(polling bool) {
	b.called(b.debt.name)
	if b.silent.Swap(polling) == polling {
		b.rep.fail("%s: %s: PollBegin and PollEnd do not come in pairs", b.station.name, b.debt.name)
	}
}
