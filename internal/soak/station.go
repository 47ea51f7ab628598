//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
)

// station is one Context, the goroutine that runs it, and the actors that keep it
// busy. Actors come in two sorts: producers on goroutines of their own, which the
// gate holds up, and functions on the home goroutine that begin nothing new while
// the station is paused.
type station struct {
	name string
	cfg  *config
	rep  *report
	loop *aio.Context

	home   atomic.Uintptr // 0 until the first callback
	closed atomic.Bool
	paused atomic.Bool

	gate      sync.RWMutex // held by producers for each step, and by the run while they pause
	quit      atomic.Bool
	producers sync.WaitGroup
	random    *rand.Rand // of the home goroutine
	seeds     *rand.Rand // of the goroutine that sets up

	debts    []*debt
	visits   *debt    // what do has asked for
	resumers []func() // on the home goroutine, after each pause
	pausers  []func() // on the home goroutine, at the beginning of each pause
	helpers  []func() // called again and again until all debts are paid
	closers  []func() // on the home goroutine, at the end, the last one first
	singles  []single
}

// single brings about one event while nothing else happens.
type single struct {
	debt *debt
	act  func()
}

func newStation(name string, cfg *config, rep *report, loop *aio.Context, seeds *rand.Rand) *station {
	s := &station{name: name, cfg: cfg, rep: rep, loop: loop, seeds: seeds}
	s.random = s.newRandom()
	s.visits = s.newDebt("Do")
	s.paused.Store(true)
	s.gate.Lock()
	return s
}

func (s *station) newRandom() *rand.Rand {
	return rand.New(rand.NewPCG(s.seeds.Uint64(), s.seeds.Uint64()))
}

// newDebt is called before the station starts.
func (s *station) newDebt(format string, args ...any) *debt {
	d := &debt{name: fmt.Sprintf(format, args...), latest: &s.rep.latest}
	s.debts = append(s.debts, d)
	return d
}

// called is the first thing in each callback: it must be on the home goroutine, and
// before Close.
func (s *station) called(what string) {
	if s.closed.Load() {
		s.rep.fail("%s: %s: a callback after Close", s.name, what)
	}
	g := uintptr(goroutine.Current())
	if !s.home.CompareAndSwap(0, g) && s.home.Load() != g {
		s.rep.fail("%s: %s: a callback on a strange goroutine", s.name, what)
	}
}

// nest polls from within a callback, now and then. The caller does not assume that
// anything is as it was.
func (s *station) pollInside() {
	if s.random.IntN(500) != 0 {
		return
	}
	s.rep.counts.nested.Add(1)
	if s.random.IntN(2) == 0 {
		_, err := s.loop.TryPoll()
		s.rep.must("nested TryPoll", err)
		return
	}
	ran := false
	s.once("a nested Poll", func() { ran = true })
	for !ran && !s.rep.failed() {
		_, err := s.loop.Poll()
		s.rep.must("nested Poll", err)
	}
}

// producer calls step again and again on a goroutine of its own.
func (s *station) producer(step func(r *rand.Rand)) {
	r := s.newRandom()
	s.producers.Go(func() {
		for !s.quit.Load() && !s.rep.failed() {
			s.gate.RLock()
			if !s.quit.Load() {
				step(r)
			}
			s.gate.RUnlock()
			s.breathe(r)
		}
	})
}

// breathe lets the loop come close to sleep, fall asleep, or neither.
func (s *station) breathe(r *rand.Rand) {
	switch r.IntN(8) {
	case 0, 1:
	case 2:
		runtime.Gosched()
	case 3, 4, 5:
		time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
	default:
		time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
	}
}

// await waits until d is paid. The watchdog sees to it that it ends.
func (s *station) await(d *debt) {
	for i := 0; !d.settled() && !s.rep.failed(); i++ {
		if i < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// do runs f on the home goroutine.
func (s *station) do(what string, f func()) bool {
	s.visits.publish()
	err := s.loop.Do(s.rep.ctx, func() error {
		s.called(what)
		s.visits.pay(1)
		f()
		return nil
	})
	return s.rep.must(s.name+": "+what, err)
}

// once runs f on the home goroutine, some time.
func (s *station) once(what string, f func()) {
	s.rep.must(s.name+": "+what, s.loop.ScheduleOnce(func() {
		s.called(what)
		f()
	}))
}

// resume lets the actors go.
func (s *station) resume() {
	s.paused.Store(false)
	s.do("resume", func() {
		for _, f := range s.resumers {
			f()
		}
	})
	s.gate.Unlock()
}

// pause holds them up, once what is under way is over.
func (s *station) pause() {
	s.gate.Lock()
	s.paused.Store(true)
	s.do("pause", func() {
		for _, f := range s.pausers {
			f()
		}
	})
}

// drain waits until everything that was sent has been seen.
func (s *station) drain() {
	for _, d := range s.debts {
		for end := now() + s.cfg.bound; !d.settled() && !s.rep.failed(); {
			for _, help := range s.helpers {
				help()
			}
			time.Sleep(50 * time.Microsecond)
			if now() > end {
				s.lost(d, s.cfg.bound)
			}
		}
	}
	// What is one too many has had time to come.
	for _, d := range s.debts {
		if !d.settled() && !s.rep.failed() {
			s.rep.fail("%s: %v", s.name, d)
		}
	}
}

// rest checks that a loop with nothing to do does nothing.
func (s *station) rest() {
	iterations := func() (n uint64) {
		s.do("count iterations", func() { n = s.loop.Stats().Iterations })
		return n
	}
	before := iterations()
	time.Sleep(50 * time.Millisecond) // an emulated CPU spins slowly
	if n := iterations() - before; n > 200 && !s.rep.failed() {
		s.rep.fail("%s: %d iterations in 50 ms without an event", s.name, n)
	}
}

// solo brings about events one by one while nothing else wakes the loop: each of
// them has to do that by itself, wherever on its way to sleep the loop is.
func (s *station) solo(r *rand.Rand) {
	for _, who := range s.singles {
		end := now() + s.cfg.solo
		for now() < end && !s.rep.failed() {
			who.debt.publish()
			who.act()
			s.spin(who.debt)
			s.await(who.debt)
			s.rep.counts.singles.Add(1)
			hesitate(r)
		}
	}
}

// spin waits for a moment without giving the CPU away, so that the next event comes
// while the loop is still on its way from this one to sleep.
func (s *station) spin(d *debt) {
	for end := now() + time.Millisecond; !d.settled() && now() < end; {
	}
}

// hesitate takes about as long as the loop needs from a callback to its sleep, or
// much longer.
func hesitate(r *rand.Rand) {
	if r.IntN(20) == 0 {
		time.Sleep(time.Duration(r.IntN(200)) * time.Microsecond)
		return
	}
	for end := now() + time.Duration(r.IntN(256<<r.IntN(8))); now() < end; {
	}
}

// retire ends the actors of a paused station, on the home goroutine as far as they
// live there. The loop goes on.
func (s *station) retire() {
	s.quit.Store(true)
	s.gate.Unlock()
	s.producers.Wait()
	s.do("retire", func() {
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closers[i]()
		}
	})
}

// close ends the Context, which is to have nothing left in it. It is called on the
// home goroutine.
func (s *station) close(what string, end func() error) {
	err := end()
	s.rep.must(s.name+": "+what, err)
	s.closed.Store(true)
	s.loop.Notify()
	if err := s.loop.ScheduleOnce(func() { s.called("closed") }); err != aio.ErrClosed {
		s.rep.fail("%s: ScheduleOnce after Close: %v", s.name, err)
	}
}

// run is the home goroutine of a station that waits by itself: in Run, or in Poll
// with a TryPoll now and then.
func (s *station) run(ctx context.Context, byHand bool, r *rand.Rand) {
	defer s.close("Close", s.loop.Close)
	var err error
	if byHand {
		defer context.AfterFunc(ctx, s.loop.Notify)()
		for err == nil && ctx.Err() == nil {
			if !s.paused.Load() && r.IntN(4) == 0 {
				_, err = s.loop.TryPoll()
			} else {
				_, err = s.loop.Poll()
			}
		}
	} else {
		err = s.loop.Run(ctx)
	}
	s.rep.must(s.name+": Poll", err)
}
