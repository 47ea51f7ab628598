//go:build linux

package main

import (
	"math/rand/v2"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// timers are on all clocks; they arm, move and disarm each other.
func timers(s *station) {
	for _, id := range []aio.ClockID{aio.Realtime, aio.Virtual, aio.Host, aio.VirtualRT} {
		clock := s.newClock(id)
		for i := range 6 {
			clock.add(i)
		}
		clock.fromOutside()
		s.resumers = append(s.resumers, clock.armAll)
	}
	s.movedClock()
}

// clock is a group of timers; it belongs to the home goroutine.
type clock struct {
	*station
	id     aio.ClockID
	timers []*alarm
}

// alarm is a timer and what is known about it.
type alarm struct {
	timer    *aio.Timer
	debt     *debt // each arming ends by a call, another arming or a Stop
	armed    bool
	deadline time.Duration
}

func (s *station) newClock(id aio.ClockID) *clock { return &clock{station: s, id: id} }

func (c *clock) add(i int) {
	a := &alarm{debt: c.newDebt("timer %d on %v", i, c.id)}
	a.timer = c.loop.NewTimer(c.id, func() { c.expired(a) }).Named(a.debt.name)
	c.timers = append(c.timers, a)
}

func (c *clock) armAll() {
	for _, a := range c.timers {
		c.arm(a)
	}
}

// arm is also for a timer that is armed.
func (c *clock) arm(a *alarm) {
	c.end(a)
	a.debt.sent.Add(1) // how late it is, is not known before it expires
	a.armed = true
	a.deadline = c.loop.Now(c.id) + c.distance(c.random)
	if c.random.IntN(4) == 0 { // not pending, so this is the same
		a.timer.Stop()
		c.rep.must(a.debt.name, a.timer.SetEarlier(a.deadline))
		return
	}
	c.rep.must(a.debt.name, a.timer.Set(a.deadline))
	if c.cfg.fault == faultEarlyTimer {
		_ = a.timer.Set(a.deadline - time.Second)
	}
}

// distance is into the past now and then.
func (c *clock) distance(r *rand.Rand) time.Duration {
	switch r.IntN(10) {
	case 0:
		return -time.Duration(r.IntN(int(time.Millisecond)))
	case 1, 2:
		return time.Duration(r.IntN(int(50 * time.Millisecond)))
	}
	return time.Duration(r.IntN(int(3 * time.Millisecond)))
}

// end notes that an arming has had its end.
func (c *clock) end(a *alarm) {
	if a.armed {
		a.armed = false
		a.debt.seen.Add(1)
	}
}

func (c *clock) expired(a *alarm) {
	c.called(a.debt.name)
	if !a.armed {
		c.rep.fail("%s: %s: called, but it was not armed", c.name, a.debt.name)
	}
	late := c.loop.Now(c.id) - a.deadline
	if late < 0 {
		c.rep.fail("%s: %s: %v early", c.name, a.debt.name, -late)
	}
	if c.id == aio.Realtime && c.random.IntN(8) == 0 { // one armed into the past is not late
		c.rep.latest.note(late)
	}
	if late > c.cfg.bound && c.id == aio.Realtime { // the others may have been moved
		c.rep.fail("%s: %s: %v late", c.name, a.debt.name, late)
	}
	c.end(a)
	c.rep.counts.timers.Add(1)
	if c.paused.Load() {
		return
	}
	c.arm(a)
	c.disturb(c.timers[c.random.IntN(len(c.timers))])
	c.pollInside()
}

// disturb does something to any timer of the group.
func (c *clock) disturb(a *alarm) {
	switch c.random.IntN(8) {
	case 0:
		c.arm(a)
	case 1:
		c.disarm(a)
		c.arm(a)
	case 2: // only if that is sooner
		deadline := c.loop.Now(c.id) + c.distance(c.random)
		if a.armed && deadline < a.deadline {
			a.deadline = deadline
		}
		if a.armed {
			c.rep.must(a.debt.name, a.timer.SetEarlier(deadline))
		}
	case 3:
		if pending := a.timer.Pending(); pending != a.armed {
			c.rep.fail("%s: %s: Pending is %v", c.name, a.debt.name, pending)
		}
	}
}

func (c *clock) disarm(a *alarm) {
	a.timer.Stop()
	c.end(a)
}

// fromOutside is a timer that a producer arms, and waits for.
func (c *clock) fromOutside() {
	d := c.newDebt("timer from outside on %v", c.id)
	var deadline time.Duration // the producer waits before it changes
	t := c.loop.NewTimer(c.id, func() {
		c.called(d.name)
		if early := deadline - c.loop.Now(c.id); early > 0 {
			c.rep.fail("%s: %s: %v early", c.name, d.name, early)
		}
		c.rep.counts.timers.Add(1)
		d.seen.Add(1)
	}).Named(d.name)
	arm := func(distance time.Duration) {
		deadline = c.loop.Now(c.id) + distance
		c.rep.must(d.name, t.Set(deadline))
	}
	c.producer(func(r *rand.Rand) {
		d.sent.Add(1)
		arm(c.distance(r))
		c.await(d)
	})
	c.singles = append(c.singles, single{d, func() { arm(50 * time.Microsecond) }})
}

// movedClock stops the virtual clock for a moment and moves it forward.
func (s *station) movedClock() {
	v := s.loop.VirtualClock()
	s.producer(func(r *rand.Rand) {
		switch r.IntN(16) {
		case 0:
			v.Stop()
			time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
			v.Start()
		case 1:
			v.Advance(time.Duration(r.IntN(10)) * time.Millisecond)
		case 2:
			v.Stop() // or it might be set back a little, and timers would have been early
			v.Set(v.Now() + time.Duration(r.IntN(5))*time.Millisecond)
			v.Start()
		}
		if !v.Running() {
			s.rep.fail("%s: the virtual clock does not run after Start", s.name)
		}
	})
}
