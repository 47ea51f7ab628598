package aio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio/internal/park"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Everything else is tested in park mode by the suite, driven by byPark. This is
// what there is in park mode only.

// eachParked runs a test on the backends that can be parked on.
func eachParked(t *testing.T, test func(t *testing.T, newLoop maker)) {
	for _, b := range []Backend{Epoll, IOUring} {
		eachLoop(t, b, byPark, test)
	}
}

// Two parked loops wake each other a thousand times, and make no system call.
func TestParkedLoopsWakeEachOtherWithoutSystemCalls(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		const rounds = 1000
		ping, pong := newLoop(), newLoop()
		var calls atomic.Int64
		first, over := make(chan struct{}), make(chan struct{})
		n := 0
		var there, back *BottomHalf
		there = pong.NewBottomHalf(func() { _ = back.Schedule() })
		back = ping.NewBottomHalf(func() {
			switch n++; n {
			case 10:
				close(first)
			case rounds:
				close(over)
				return
			}
			_ = there.Schedule()
		})
		start(t, ping)
		start(t, pong)
		asleep(t, ping)
		asleep(t, pong)
		must(t, back.Schedule()) // this one costs a write, and what follows from it
		<-first
		restore := sys.Inject(func(c sys.Call) sys.Fault {
			if c != sys.CallMonotonic {
				calls.Add(1)
			}
			return sys.Fault{}
		})
		<-over
		restore()
		if calls.Load() > rounds/10 { // a few are spent on events of the beginning
			t.Errorf("%d system calls for %d round trips", calls.Load(), rounds)
		}
	})
}

// A notifier that goes on computing writes to the eventfd: the loop runs while it
// does, on another P.
func TestBusyNotifierWritesToTheEventfd(t *testing.T) {
	procs(t, 2)
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran atomic.Bool
		b := c.NewBottomHalf(func() { ran.Store(true) })
		start(t, c)
		asleep(t, c)
		var writes atomic.Int64
		defer sys.Inject(func(c sys.Call) sys.Fault {
			if c == sys.CallEventfdWrite {
				writes.Add(1)
			}
			return sys.Fault{}
		})()
		must(t, b.Schedule())
		for begin := time.Now(); !ran.Load(); {
			if time.Since(begin) > patience {
				t.Fatal("it does not run")
			}
		}
		if writes.Load() != 1 {
			t.Errorf("%d writes", writes.Load())
		}
	})
}

// A caller that waits in Do makes way for the loop, and needs no system call for it.
func TestDoOnAParkedLoopMakesNoSystemCall(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		nothing := func() error { return nil }
		must(t, c.Do(context.Background(), nothing))
		var writes atomic.Int64
		defer sys.Inject(func(c sys.Call) sys.Fault {
			if c == sys.CallEventfdWrite {
				writes.Add(1)
			}
			return sys.Fault{}
		})()
		for range 100 {
			asleep(t, c)
			must(t, c.Do(context.Background(), nothing))
		}
		if n := writes.Load(); n > 10 { // another goroutine with the same hash can get in between
			t.Errorf("%d writes", n)
		}
	})
}

// An alarm that has been set for later, or earlier, than what is due now.
func TestAlarmMoves(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		early := c.NewTimer(Realtime, ran.note("early"))
		late := c.NewTimer(Realtime, ran.note("late"))
		must(t, late.Reset(time.Hour))
		b := c.NewBottomHalf(ran.note("bh"))
		go func() { asleep(t, c); _ = b.Schedule() }()
		pollUntil(t, c, func() bool { return len(ran) == 1 }) // the alarm is an hour away
		must(t, early.Reset(2*time.Millisecond))
		pollUntil(t, c, func() bool { return len(ran) == 2 }) // and has come nearer
		must(t, early.Reset(time.Millisecond))
		early.Stop()
		must(t, late.Reset(5*time.Millisecond)) // it goes off for nothing, and once more
		pollUntil(t, c, func() bool { return len(ran) == 3 })
		ran.expect(t, "bh", "early", "late")
	})
}

// The watcher follows when epoll's instance is replaced, see trap 10.
func TestParkedLoopFollowsANewInstance(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		h, err := c.Watch(r, Callbacks{Read: func(*Handler) { t.Error("called after Close") }})
		must(t, err)
		turn(t, c)
		owned(t, dupOf(t, r), nil)
		must(t, unix.Dup3(w, r, unix.O_CLOEXEC)) // closed too early, and used again
		must(t, h.Close())
		write(t, w, "x")
		settle(t, c)
		other := notifier(t)
		ran := 0
		watchNotifier(t, c, other, func() { ran++ })
		for i := range 10 { // the first may be found by the look before the sleep
			go func() { asleep(t, c); _ = other.Set() }()
			pollUntil(t, c, func() bool { return ran > i })
		}
	})
}

// Nor does it take one for the one before last, whose number it has.
func TestParkedLoopFollowsAnInstanceWithAnOldNumber(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		first := c.port.pollable.PollFD()
		var r, w [2]int
		for i := range r { // all of them now, before there are numbers to take
			r[i], w[i] = pipe(t)
			owned(t, dupOf(t, r[i]), nil)
		}
		for i := range r { // without a sleep in between
			h, err := c.Watch(r[i], Callbacks{Read: func(*Handler) { t.Error("called after Close") }})
			must(t, err)
			turn(t, c)
			must(t, unix.Dup3(w[i], r[i], unix.O_CLOEXEC)) // closed too early, and used again
			must(t, h.Close())
			write(t, w[i], "x")
			occupyBelow(t, first)
			settle(t, c)
		}
		reader, writer := pipe(t)
		ran := false
		watch(t, c, reader, Callbacks{Read: func(*Handler) { read(reader, 1); ran = true }})
		go func() { asleep(t, c); write(t, writer, "x") }()
		pollUntil(t, c, func() bool { return ran })
	})
}

// occupyBelow leaves no descriptor number below limit to others.
func occupyBelow(t testing.TB, limit int) {
	for {
		fd := dupOf(t, 0)
		if fd >= limit {
			must(t, unix.Close(fd))
			return
		}
		owned(t, fd, nil)
	}
}

func dupOf(t testing.TB, fd int) int {
	t.Helper()
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return dup
}

func init() { children["parked"] = parkTenThousand }

// Ten thousand parked Contexts need no threads.
func TestTenThousandParkedContexts(t *testing.T) {
	needDescriptors(t, 3*manyContexts+100)
	runInChild(t, "parked")
}

var manyContexts = guest.Few(10_000)

func parkTenThousand() (err error) {
	ctx := context.Background()
	var started []*IOThread
	defer func() {
		for _, t := range started {
			err = errors.Join(err, t.Stop(ctx))
		}
	}()
	for range manyContexts {
		t, err := StartIOThread("", WithBackend(Epoll), WithMode(ModePark))
		if err != nil {
			return err
		}
		started = append(started, t)
	}
	for _, t := range started { // each of them is alive
		if err := t.Context().Do(ctx, func() error { return nil }); err != nil {
			return err
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err == nil && len(threads) > 12+runtime.GOMAXPROCS(0) {
		err = fmt.Errorf("%d threads for %d Contexts", len(threads), len(started))
	}
	return err
}

// A child of a parked loop inherits neither the alarm nor the duplicate that is watched.
func TestParkedLoopLeavesNothingToChildren(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		timer := c.NewTimer(Realtime, func() {})
		for c.Stats().Sleeps == 0 { // makes the alarm; on a busy machine the timer may be due before
			must(t, timer.Reset(time.Millisecond))
			_, err := c.Poll()
			must(t, err)
		}
		must(t, inherits(0))
	})
}

// deafToAlarms is a Poller to which the alarm's event never comes, as on io_uring while the
// thread that has asked for it does not run.
type deafToAlarms struct {
	backend.Poller
	backend.Pollable
}

func (deafToAlarms) Peek() bool { return false }

func (d deafToAlarms) Add(fd int, events backend.Events, tag backend.Tag) error {
	if tag == backend.MakeTag(0, 1) {
		events = 0
	}
	return d.Poller.Add(fd, events, tag)
}

// A timer of a parked loop fires though the Poller does not report the alarm.
func TestParkedTimerDoesWithoutTheAlarm(t *testing.T) {
	inner, _, err := Epoll.open(ModePark)
	must(t, err)
	c, err := New(WithPoller(deafToAlarms{inner, inner.(backend.Pollable)}), WithMode(ModePark))
	must(t, err)
	defer closeLoop(t, c)
	var tooLate atomic.Bool
	defer time.AfterFunc(patience, func() { tooLate.Store(true); c.Notify() }).Stop()
	for range 3 {
		timer := c.NewTimer(Realtime, func() {})
		must(t, timer.Reset(time.Millisecond))
		for timer.Pending() {
			_, err := c.Poll()
			must(t, err)
			if tooLate.Load() {
				t.Fatal("the timer has not fired")
			}
		}
	}
}

// A parked loop that runs inside a callback of another leaves that one's mark alone.
func TestInnerLoopLeavesTheOuterOneItsMark(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		outer, inner := newLoop(), newLoop()
		me := uintptr(goroutine.Current())
		for range 2 { // the second time the inner one has a home goroutine
			must(t, outer.ScheduleOnce(func() {
				_, err := inner.TryPoll()
				must(t, err)
				if !park.IsMarked(me) {
					t.Error("the callback of the outer loop is not about to stop any more")
				}
			}))
			_, err := outer.TryPoll()
			must(t, err)
		}
		if park.IsMarked(me) {
			t.Error("outside a callback it is taken for one")
		}
	})
}

// A loop that sleeps has no mark.
func TestSleepingLoopHasNoMark(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		asleep(t, c)
		eventually(t, "the mark is cleared", func() bool { return !park.IsMarked(c.home.who.Current()) })
	})
}

// A parked loop does not wait for what it has set itself: on one P, another goroutine would run
// while it does.
func TestParkedLoopDoesNotWaitForItsOwnNotifier(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	eachParked(t, func(t *testing.T, newLoop maker) {
		const rounds = 1000
		c := newLoop()
		n := notifier(t)
		calls := 0
		watchNotifier(t, c, n, func() { calls++ })
		turn(t, c)
		var others atomic.Int64
		var stop atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !stop.Load() {
				others.Add(1)
				runtime.Gosched()
			}
		}()
		for calls < rounds {
			before := calls
			must(t, n.Set())
			for calls == before {
				_, err := c.Poll()
				must(t, err)
			}
		}
		stop.Store(true)
		<-done
		if n := others.Load(); n > rounds/2 {
			t.Errorf("the loop slept about %d times in %d rounds", n, rounds)
		}
	})
}

// A notifier that outlives the loop that watched it can be set, and does not keep the loop.
func TestNotifierForgetsAParkedLoopThatIsClosed(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		n := notifier(t)
		c := newLoop()
		h := watchNotifier(t, c, n, func() {})
		turn(t, c)
		must(t, n.Set())
		must(t, h.Close())
		closeLoop(t, c)
		must(t, n.Set())
		if n.mirrored().parked.Load() != nil {
			t.Error("it still knows the loop")
		}
	})
}
