package aio

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio/internal/park"
)

// syscallOperation is a line of docs/syscalls.md. run does it again and again, and
// calls tick in between.
type syscallOperation struct {
	name   string
	run    func(*stage)
	parked bool // there is no such thing in thread mode
}

var syscallOperations = []syscallOperation{
	{name: "bottom half scheduled on the loop, TryPoll", run: scheduleHere},
	{name: "bottom half that schedules itself, Poll", run: scheduleFromCallback},
	{name: "notify of a loop that is awake", run: notifyAwake},
	{name: "TryPoll with nothing to do, nothing watched", run: tryNothing},
	{name: "TryPoll with nothing to do, a descriptor watched", run: tryWatching},
	{name: "bottom half for a sleeping loop, the notifier goes on", run: notifySleeping},
	{name: "bottom half for a sleeping loop, two loops in turn", run: pingpong},
	{name: "Do on a sleeping loop", run: doSleeping},
	{name: "event of a descriptor, the loop sleeps", run: eventSleeping},
	{name: "event of a descriptor, TryPoll", run: eventHere},
	{name: "Set and dispatch of a notifier, TryPoll", run: notifierHere},
	{name: "Set and dispatch of a notifier, the loop sleeps", run: notifierSleeping},
	{name: "timer that is due, TryPoll", run: timerDue},
	{name: "timer that the loop sleeps for", run: timerSleeping},
	{name: "timer put off, TryPoll", run: timerPutOff},
	{name: "Watch", run: watchHere},
	{name: "Watch, Close, nothing in between", run: watchAndClose},
	{name: "Close of a handler that the loop has waited for", run: closeWatched},
	{name: "Change to Edge and back, TryPoll after each", run: changeHere},
	{name: "Want of Read, of the same again, and of Write, TryPoll after two", run: wantHere},
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// loop opens a Context that this goroutine drives, from now on.
func (s *stage) loop() *Context {
	c, err := New(WithBackend(s.backend), WithMode(s.mode))
	check(err)
	s.ends = append(s.ends, c.Close)
	try(c)
	return c
}

// running opens a Context that a goroutine of its own drives.
func (s *stage) running() *Context {
	c, err := New(WithBackend(s.backend), WithMode(s.mode))
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	threads, ended := make(chan int), make(chan error)
	go func() {
		if s.mode == ModeThread {
			runtime.LockOSThread()
			threads <- s.openThread()
		} else {
			threads <- -1
		}
		err := c.Run(ctx)
		ended <- errors.Join(err, c.Close())
	}()
	s.threads[c] = <-threads
	s.ends = append(s.ends, func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	waitFor(watchersWait)
	return c
}

// watchersWait reports whether the watchers of all parked loops are where they stay,
// see parker. The first thing they do is to wake up their loops.
func watchersWait() bool {
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		// By who has started it: one that has not begun yet has no function of its own.
		if strings.Contains(stack, "(*Parker).startWatcher in goroutine") && !strings.Contains(stack, "[IO wait") {
			return false
		}
	}
	return true
}

// openThread opens a file that tells what the calling thread does. Its number is
// one of the test's.
func (s *stage) openThread() int {
	fd, err := unix.Open("/proc/thread-self/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	check(err)
	own := s.own[len(s.threads)]
	check(unix.Dup3(fd, own, unix.O_CLOEXEC))
	check(unix.Close(fd))
	return own
}

// untilAsleep waits until c sleeps in the kernel, in park mode until nothing is left
// to be done before it is parked.
func (s *stage) untilAsleep(c *Context) {
	waitFor(func() bool { return !c.gate.Kicked() })
	if c.port.parker != nil {
		home := c.home.who.Current()
		waitFor(func() bool { return !park.IsMarked(home) })
		return
	}
	waitFor(func() bool {
		var stat [256]byte
		n, err := unix.Pread(s.threads[c], stat[:], 0)
		check(err)
		_, state, _ := strings.Cut(string(stat[:n]), ") ")
		return strings.HasPrefix(state, "S")
	})
}

func waitFor(done func() bool) {
	for begin := time.Now(); !done(); runtime.Gosched() {
		if time.Since(begin) > patience {
			panic("it does not happen")
		}
	}
}

func try(c *Context) {
	_, err := c.TryPoll()
	check(err)
}

func poll(c *Context) {
	_, err := c.Poll()
	check(err)
}

func scheduleHere(s *stage) {
	c := s.loop()
	b := c.NewBottomHalf(func() {})
	s.repeat(func() { check(b.Schedule()); try(c) })
}

func scheduleFromCallback(s *stage) {
	c := s.loop()
	var b *BottomHalf
	b = c.NewBottomHalf(func() { check(b.Schedule()) })
	check(b.Schedule())
	s.repeat(func() { poll(c) })
	b.Close()
}

func notifyAwake(s *stage) {
	c := s.loop()
	s.repeat(func() { c.Notify(); try(c) })
}

func tryNothing(s *stage) {
	c := s.loop()
	s.repeat(func() { try(c) })
}

func tryWatching(s *stage) {
	c := s.loop()
	defer s.watchPipe(c, func() {})()
	s.repeat(func() { try(c) })
}

// watchPipe watches the test's pipe. f is called for each byte that is written
// there.
func (s *stage) watchPipe(c *Context, f func()) (closeIt func()) {
	h, err := c.Watch(s.r, Callbacks{Read: func(*Handler) { s.takeByte(); f() }})
	check(err)
	return func() { check(h.Close()) }
}

func (s *stage) putByte() {
	_, err := unix.Write(s.w, []byte{0})
	check(err)
}

func (s *stage) takeByte() {
	var b [1]byte
	_, err := unix.Read(s.r, b[:])
	check(err)
}

// fromOutside does f while c sleeps, again and again; c ticks.
func (s *stage) fromOutside(c *Context, ran *atomic.Int64, f func()) {
	for n := range int64(syscallWarmUp + syscallRepeats) {
		s.untilAsleep(c)
		f()
		waitFor(func() bool { return ran.Load() == n+1 })
	}
}

func notifySleeping(s *stage) {
	c := s.running()
	var ran atomic.Int64
	b := c.NewBottomHalf(func() { s.tick(); ran.Add(1) })
	s.fromOutside(c, &ran, func() { check(b.Schedule()) })
}

// pingpong counts round trips, so two notifies. Both loops are asleep before each:
// a loop that has no time to fall asleep needs no waking.
func pingpong(s *stage) {
	ping, pong := s.running(), s.running()
	var ran atomic.Int64
	over := make(chan struct{})
	var there, back *BottomHalf
	there = pong.NewBottomHalf(func() { s.untilAsleep(ping); check(back.Schedule()) })
	back = ping.NewBottomHalf(func() {
		s.untilAsleep(pong)
		s.tick()
		if ran.Add(1) == syscallWarmUp+syscallRepeats {
			close(over)
			return
		}
		check(there.Schedule())
	})
	check(back.Schedule())
	<-over
}

func doSleeping(s *stage) {
	c := s.running()
	s.untilAsleep(c)
	for range syscallWarmUp + syscallRepeats {
		s.untilAsleep(c)
		check(c.Do(context.Background(), func() error { s.tick(); return nil }))
	}
}

func eventSleeping(s *stage) {
	c := s.running()
	var ran atomic.Int64
	closeIt := s.watchPipe(c, func() { s.tick(); ran.Add(1) })
	defer closeIt()
	s.fromOutside(c, &ran, s.putByte)
}

func eventHere(s *stage) {
	c := s.loop()
	ran := 0
	defer s.watchPipe(c, func() { ran++ })()
	s.repeat(func() { s.putByte(); tryUntil(c, &ran) })
}

// tryUntil tries until the callback has run once more. That is the first time, but
// in park mode on io_uring: the event comes by another thread, a moment later.
func tryUntil(c *Context, ran *int) {
	before := *ran
	waitFor(func() bool { try(c); return *ran > before })
}

// watchANotifier watches a new one, whose descriptor counts.
func watchANotifier(c *Context, f func()) (n *EventNotifier, closeIt func()) {
	n, err := NewEventNotifier()
	check(err)
	h, err := c.WatchNotifier(n, Callbacks{Read: ignoring(f)})
	check(err)
	return n, func() { check(h.Close()); check(n.Close()) }
}

func notifierHere(s *stage) {
	c := s.loop()
	ran := 0
	n, closeIt := watchANotifier(c, func() { ran++ })
	defer closeIt()
	s.repeat(func() { check(n.Set()); tryUntil(c, &ran) })
}

func notifierSleeping(s *stage) {
	c := s.running()
	var ran atomic.Int64
	n, closeIt := watchANotifier(c, func() { s.tick(); ran.Add(1) })
	defer closeIt()
	s.fromOutside(c, &ran, func() { check(n.Set()) })
}

func timerDue(s *stage) {
	c := s.loop()
	timer := c.NewTimer(Realtime, func() {})
	s.repeat(func() { check(timer.Set(0)); try(c) })
}

func timerSleeping(s *stage) {
	c := s.loop()
	ran := 0
	timer := c.NewTimer(Realtime, func() { ran++ })
	const times = syscallWarmUp + syscallRepeats - 1 // repeat ticks once more
	for after := 20 * time.Millisecond; after < time.Second; after *= 2 {
		ran = 0
		before := c.Stats().Sleeps
		s.repeat(func() { check(timer.Reset(after)); poll(c) })
		if ran == times && c.Stats().Sleeps-before == times {
			return
		}
		s.again() // on a busy machine it was due before the loop had gone to sleep, or a Poll ended early
	}
	panic("it ran some other number of times")
}

func timerPutOff(s *stage) {
	c := s.loop()
	timer := c.NewTimer(Realtime, func() {})
	s.repeat(func() { check(timer.Reset(time.Hour)); try(c) })
	timer.Stop()
}

// part marks f alone, which repeat is to leave out of account.
func (s *stage) part(measured bool, f func()) {
	if measured {
		s.begin()
		defer s.end()
	}
	f()
}

// parts calls f with true syscallRepeats times, after the warm-up.
func (s *stage) parts(f func(measured bool)) {
	for i := range syscallWarmUp + syscallRepeats {
		f(i >= syscallWarmUp)
	}
}

func watchHere(s *stage) {
	c := s.loop()
	s.parts(func(measured bool) {
		var closeIt func()
		s.part(measured, func() { closeIt = s.watchPipe(c, func() {}) })
		try(c)
		closeIt()
		try(c)
	})
}

func watchAndClose(s *stage) {
	c := s.loop()
	try(c)
	s.repeat(func() { s.watchPipe(c, func() {})() })
}

func closeWatched(s *stage) {
	c := s.loop()
	s.parts(func(measured bool) {
		closeIt := s.watchPipe(c, func() {})
		try(c)
		s.part(measured, closeIt)
		try(c)
	})
}

func changeHere(s *stage) {
	c := s.loop()
	h, err := c.Watch(s.r, Callbacks{Read: func(*Handler) {}})
	check(err)
	s.repeat(func() {
		check(h.Change(Callbacks{Read: func(*Handler) {}, Edge: true}))
		try(c)
		check(h.Change(Callbacks{Read: func(*Handler) {}}))
		try(c)
	})
	check(h.Close())
}

func wantHere(s *stage) {
	c := s.loop()
	h, err := c.Watch(s.r, Callbacks{Read: func(*Handler) {}, Write: func(*Handler) {}})
	check(err)
	check(h.Want(false, true))
	try(c)
	s.repeat(func() {
		check(h.Want(true, false))
		try(c)
		check(h.Want(true, false))
		try(c)
		check(h.Want(false, true))
	})
	check(h.Close())
}
