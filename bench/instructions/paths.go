//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// path is something that the library does often. prepare returns a function that
// does it n times.
type path struct {
	name    string
	backend aio.Backend
	mode    aio.Mode
	prepare func(*fixture) func(n int) error
}

var paths = slices.Concat(
	on(aio.ModeThread, "schedule and run a bottom half", scheduleAndRun, aio.Ppoll, aio.Epoll, aio.IOUring),
	on(aio.ModeThread, "schedule and run beside a descriptor", scheduleWatched, aio.Ppoll, aio.Epoll, aio.IOUring),
	on(aio.ModeThread, "notify an awake loop 100 times", notifyAwake, aio.Epoll),
	on(aio.ModeThread, "re-arm a timer and run it", timerRun, aio.Epoll, aio.IOUring),
	on(aio.ModeThread, "re-arm one of 1000 timers", timerAmongMany, aio.Epoll),
	on(aio.ModeThread, "set a notifier and dispatch it", setNotifier, aio.Ppoll, aio.Epoll, aio.IOUring),
	on(aio.ModeThread, "level-triggered event", levelTriggered, aio.Ppoll, aio.Epoll, aio.IOUring),
	on(aio.ModePark, "parked ping-pong", pingpong, aio.Epoll, aio.IOUring),
	on(aio.ModePark, "Do on a parked loop", doParked, aio.Epoll, aio.IOUring),
)

// on makes a path of each backend.
func on(mode aio.Mode, name string, prepare func(*fixture) func(n int) error, backends ...aio.Backend) (all []path) {
	for _, b := range backends {
		all = append(all, path{name + ", " + b.String(), b, mode, prepare})
	}
	return all
}

// fixture is where a path is gone through.
type fixture struct {
	path *path
	ends []func()
}

// runPath is the command that is counted; it returns the exit status.
func runPath(name string, n int) (status int) {
	for i := range paths {
		if paths[i].name == name {
			return paths[i].run(n)
		}
	}
	fmt.Printf("there is no path %q\n", name)
	return 2
}

func (p *path) run(n int) (status int) {
	here := &fixture{path: p}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			status = complain(v)
		default:
			panic(v)
		}
	}()
	defer func() {
		for i := len(here.ends) - 1; i >= 0; i-- {
			here.ends[i]()
		}
	}()
	check(p.prepare(here)(n))
	return 0
}

func complain(err error) (status int) {
	if errors.Is(err, backend.ErrUnavailable) {
		fmt.Println(absentPrefix + err.Error())
		return absentStatus
	}
	fmt.Println(err)
	return 1
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// loop opens a Context that this goroutine drives.
func (p *fixture) loop() *aio.Context {
	c, err := aio.New(aio.WithBackend(p.path.backend), aio.WithMode(p.path.mode))
	check(err)
	p.ends = append(p.ends, func() { check(c.Close()) })
	_, err = c.TryPoll()
	check(err)
	return c
}

// running opens a Context that a goroutine of its own drives.
func (p *fixture) running() *aio.Context {
	thread, err := aio.StartIOThread("", aio.WithBackend(p.path.backend), aio.WithMode(p.path.mode))
	check(err)
	p.ends = append(p.ends, func() { check(thread.Stop(context.Background())) })
	return thread.Context()
}

// turns makes n iterations, before each of which begin gives the loop something to do.
func turns(c *aio.Context, begin func() error) func(n int) error {
	return func(n int) error {
		for range n {
			if err := begin(); err != nil {
				return err
			}
			if progress, err := c.TryPoll(); err != nil || !progress {
				return errors.Join(err, errors.New("an iteration without progress"))
			}
		}
		return nil
	}
}

func scheduleAndRun(p *fixture) func(n int) error {
	c := p.loop()
	return turns(c, c.NewBottomHalf(func() {}).Schedule)
}

// scheduleWatched is scheduleAndRun where the Poller may have events.
func scheduleWatched(p *fixture) func(n int) error {
	c := p.loop()
	n, err := aio.NewEventNotifier()
	check(err)
	h, err := c.Watch(n.FD(), aio.Callbacks{Read: func(*aio.Handler) {}})
	check(err)
	p.ends = append(p.ends, func() { check(n.Close()) }, func() { check(h.Close()) })
	return turns(c, c.NewBottomHalf(func() {}).Schedule)
}

func notifyAwake(p *fixture) func(n int) error {
	c := p.loop()
	return func(n int) error {
		for range 100 * n {
			c.Notify()
		}
		return nil
	}
}

func timerRun(p *fixture) func(n int) error {
	c := p.loop()
	timer := c.NewTimer(aio.Realtime, func() {})
	return turns(c, func() error { return timer.Set(0) })
}

// timerAmongMany puts off one timer after the other, which is what time-outs do.
func timerAmongMany(p *fixture) func(n int) error {
	c := p.loop()
	timers := make([]*aio.Timer, 1000)
	for i := range timers {
		timers[i] = c.NewTimer(aio.Realtime, func() {})
		check(timers[i].Reset(time.Hour))
	}
	p.ends = append(p.ends, func() {
		for _, t := range timers {
			t.Stop()
		}
	})
	return func(n int) error {
		for i := range n {
			if err := timers[i%len(timers)].Reset(time.Hour + time.Duration(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func setNotifier(p *fixture) func(n int) error {
	c := p.loop()
	n, err := aio.NewEventNotifier()
	check(err)
	h, err := c.WatchNotifier(n, aio.Callbacks{Read: func(*aio.Handler) {}})
	check(err)
	p.ends = append(p.ends, func() { check(n.Close()) }, func() { check(h.Close()) })
	_, err = c.TryPoll()
	check(err)
	return turns(c, n.Set)
}

func levelTriggered(p *fixture) func(n int) error {
	c := p.loop()
	n, err := aio.NewEventNotifier()
	check(err)
	h, err := c.Watch(n.FD(), aio.Callbacks{Read: func(*aio.Handler) { _, err := n.TestAndClear(); check(err) }})
	check(err)
	p.ends = append(p.ends, func() { check(n.Close()) }, func() { check(h.Close()) })
	_, err = c.TryPoll()
	check(err)
	return turns(c, n.Set)
}

// pingpong is one round trip of two loops.
func pingpong(p *fixture) func(n int) error {
	ping, pong := p.running(), p.running()
	return func(n int) error {
		over := make(chan struct{})
		var there, back *aio.BottomHalf
		there = pong.NewBottomHalf(func() { check(back.Schedule()) })
		back = ping.NewBottomHalf(func() {
			if n--; n == 0 {
				close(over)
				return
			}
			check(there.Schedule())
		})
		if err := back.Schedule(); err != nil {
			return err
		}
		<-over
		return nil
	}
}

func doParked(p *fixture) func(n int) error {
	c := p.running()
	return func(n int) error {
		for range n {
			if err := c.Do(context.Background(), func() error { return nil }); err != nil {
				return err
			}
		}
		return nil
	}
}
