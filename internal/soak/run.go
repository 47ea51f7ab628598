//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/mainloop"
)

// config is what a run is like.
type config struct {
	backend  aio.Backend
	duration time.Duration
	bound    time.Duration // the longest that a dispatch may take
	seed     int64
	log      io.Writer
	only     string // onlyFiles, onlyEvents, "" is everything
	engine   string // of files, "" is all that the backend can have

	// All actors are at work for a phase, then they pause and the accounts are
	// compared. After so many phases, everything is closed and made again.
	phase  time.Duration
	phases int
	solo   time.Duration // for each kind of event
	linger time.Duration // how long a descriptor or a goroutine may take to go away

	fault fault
}

// fault is what a test does wrong on purpose, to see that it is found.
type fault int

const (
	faultNone           fault = iota
	faultLostNotify           // a notify is published, and never happens
	faultDroppedByte          // a stream loses a byte
	faultLeakedFD             // a descriptor is opened in each phase
	faultStuckWorker          // a goroutine is left behind in each phase
	faultLeftHandler          // a handler is not closed
	faultStaleEvent           // a callback is called after its handler was closed
	faultEarlyTimer           // a timer is called too soon
	faultDoubleDelivery       // a bottom half is run twice
	faultSpinning             // the loop goes round and round
	faultWrongByte            // a byte that is read from a file is changed
	faultLeftFile             // a file is not closed
)

func defaults() config {
	return config{duration: time.Minute, bound: 5 * time.Second, linger: 3 * time.Second, log: os.Stderr}
}

// shaped fills in what depends on the duration: at least six comparisons.
func (c config) shaped() config {
	c.phase = min(max(c.duration/10, 50*time.Millisecond), time.Second)
	c.phases = 3
	c.solo = min(c.phase/50, 10*time.Millisecond)
	return c
}

// soak runs everything on one backend.
func soak(cfg config) verdict {
	cfg = cfg.shaped()
	rep := newReport()
	defer rep.stop()
	v := verdict{backend: cfg.backend, duration: cfg.duration, counts: &rep.counts, vitals: trend{linger: cfg.linger}}
	seeds := rand.New(rand.NewPCG(uint64(cfg.seed), uint64(cfg.backend)))
	end := now() + cfg.duration
	quiet := pressure(rep)
	for n := 0; n == 0 || now() < end && !rep.failed(); n++ {
		v.hung = !ends(rep, func() { round(&cfg, rep, &v.vitals, seeds, n, end) })
		if !rep.failed() {
			v.vitals.add(&v.vitals.closed, "with everything closed", rep)
		}
	}
	quiet()
	if !rep.failed() {
		v.vitals.checkMemory(rep)
	}
	v.problems, v.latest = rep.list(), rep.latest.get()
	return v
}

// ends runs f to its end or, if an invariant is violated, until it is clear that it
// does not get there: a loop may hang.
func ends(rep *report, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-rep.ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(2 * time.Second):
		return false
	}
}

// round makes Contexts, keeps them busy for two phases at least, so that there is
// something to compare, and closes them.
func round(cfg *config, rep *report, t *trend, seeds *rand.Rand, n int, end time.Duration) {
	set, err := open(cfg, rep, seeds, n)
	if !rep.must("open", err) {
		return
	}
	watched := make(chan struct{})
	var watchdogs sync.WaitGroup
	for _, s := range set.stations {
		watchdogs.Go(func() { s.watch(watched) })
	}
	for i := 0; i < cfg.phases && (i < 2 || now() < end) && !rep.failed(); i++ {
		set.phase(t)
	}
	for _, s := range set.stations {
		s.retire()
	}
	close(watched)
	watchdogs.Wait()
	set.close()
}

// stations is what is open in a round.
type stations struct {
	cfg      *config
	rep      *report
	stations []*station
	random   *rand.Rand
	stop     context.CancelFunc
	homes    sync.WaitGroup
}

// phase lets all actors work, makes them pause and compares the accounts.
func (o *stations) phase(t *trend) {
	restore := shorten(o.rep)
	for _, s := range o.stations {
		s.resume()
	}
	select {
	case <-time.After(o.cfg.phase):
	case <-o.rep.ctx.Done():
	}
	o.misbehave()
	for _, s := range o.stations {
		s.pause()
	}
	for _, s := range o.stations {
		s.drain()
	}
	restore()
	for _, s := range o.stations {
		s.rest()
		s.solo(o.random)
	}
	if !o.rep.failed() {
		t.add(&t.open, "with all actors paused", o.rep)
	}
}

// misbehave is what a test has asked for. It leaks until the end of the run.
func (o *stations) misbehave() {
	switch o.cfg.fault {
	case faultLeakedFD:
		if fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			context.AfterFunc(o.rep.ctx, func() { unix.Close(fd) })
		}
	case faultStuckWorker:
		go func() { <-o.rep.ctx.Done() }()
	}
}

// close ends the loops, which is an event like any other.
func (o *stations) close() {
	late := time.AfterFunc(o.cfg.bound, func() { o.rep.fail("a loop does not end within %v", o.cfg.bound) })
	defer late.Stop()
	o.stop()
	o.homes.Wait()
}

// open makes three stations: one that has everything and waits by itself, one that
// can poll in user space on every backend, and one that has everything, signals
// too, and is run by the main loop.
func open(cfg *config, rep *report, seeds *rand.Rand, n int) (*stations, error) {
	ctx, stop := context.WithCancel(context.Background()) // loops go on when the others are told to stop
	o := &stations{cfg: cfg, rep: rep, stop: stop, random: rand.New(rand.NewPCG(seeds.Uint64(), 0))}
	polling := aio.Polling{Max: 100 * time.Microsecond}
	for _, make := range []func() error{
		func() error { return o.own(ctx, seeds, n) },
		func() error { return o.polled(ctx, seeds, polling) },
		func() error { return o.guest(ctx, seeds) },
	} {
		if err := make(); err != nil {
			stop()
			return nil, err
		}
	}
	return o, nil
}

// own has the polling on and off in turns, and so Run and Poll.
func (o *stations) own(ctx context.Context, seeds *rand.Rand, n int) error {
	options := []aio.Option{aio.WithBackend(o.cfg.backend), aio.WithName("own")}
	if n%2 == 1 {
		options = append(options, aio.WithPolling(aio.Polling{Max: 32 * time.Microsecond}))
	}
	loop, err := aio.New(options...)
	if err != nil {
		return err
	}
	s := newStation("own", o.cfg, o.rep, loop, seeds)
	o.start(ctx, s, n/2%2 == 1)
	return everything(s)
}

func (o *stations) polled(ctx context.Context, seeds *rand.Rand, polling aio.Polling) error {
	loop, err := aio.New(aio.WithBackend(o.cfg.backend), aio.WithName("polled"), aio.WithPolling(polling))
	if err != nil {
		return err
	}
	s := newStation("polled", o.cfg, o.rep, loop, seeds)
	o.start(ctx, s, false)
	if s.cfg.only == onlyFiles {
		return nil
	}
	bottomHalves(s)
	timers(s)
	return doorbells(s)
}

func (o *stations) start(ctx context.Context, s *station, byHand bool) {
	o.stations = append(o.stations, s)
	r := s.newRandom()
	o.homes.Go(func() { s.run(ctx, byHand, r) })
}

// guest is a third AioContext in the program's main loop; the signals arrive beside
// it, in one of the other two.
func (o *stations) guest(ctx context.Context, seeds *rand.Rand) error {
	main, err := mainloop.Init(mainloop.WithAIO(aio.WithBackend(o.cfg.backend)), mainloop.WithSignals(signalNumbers...))
	if err != nil {
		return err
	}
	loop, err := aio.New(aio.WithBackend(o.cfg.backend), aio.WithName("guest"))
	if err != nil {
		return fmt.Errorf("%w (and %v)", err, main.Close())
	}
	source := mainloop.NewAIOSource("guest", loop)
	s := newStation("guest", o.cfg, o.rep, loop, seeds)
	o.stations = append(o.stations, s)
	if err := source.Attach(main.Context()); err != nil {
		return err
	}
	o.homes.Go(func() { s.serve(ctx, main, source) })
	if s.cfg.only == onlyFiles {
		return everything(s)
	}
	if err := signals(s, main); err != nil {
		return err
	}
	mainHalves(s, main)
	return everything(s)
}

// serve is the home goroutine of a station in a main loop.
func (s *station) serve(ctx context.Context, main *mainloop.Loop, source *mainloop.Source) {
	defer s.close("Close", func() error {
		source.Close()
		s.rep.must("main loop: Close", main.Close())
		return s.loop.Close()
	})
	s.rep.must("main loop: Run", main.Run(ctx))
}

// Parts of everything.
const (
	onlyFiles  = "files"  // files and the thread pool
	onlyEvents = "events" // all but these
)

// everything is all actors that any Context can have.
func everything(s *station) error {
	var actors []func(*station) error
	if s.cfg.only != onlyEvents {
		actors = append(actors, files, threadPool)
	}
	if s.cfg.only != onlyFiles {
		bottomHalves(s)
		timers(s)
		actors = append(actors, notifiers, streams, swaps, otherWatchers, natives)
	}
	for _, add := range actors {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// pressure makes garbage, and the collector work, until quiet is called.
func pressure(rep *report) (quiet func()) {
	before := debug.SetGCPercent(20)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var keep [64][]byte
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				keep[i%len(keep)] = make([]byte, 1+i*7919%65536)
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		debug.SetGCPercent(before)
	}
}
