package aio

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var allClocks = []ClockID{Realtime, Virtual, Host, VirtualRT, Boottime}

// eachClock runs one test on each backend and each clock.
func eachClock(t *testing.T, test func(t *testing.T, c *Context, id ClockID)) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, id := range allClocks {
			t.Run("clock="+id.String(), func(t *testing.T) { test(t, newLoop(), id) })
		}
	})
}

func TestTimersRunInTheOrderOfTheirDeadlines(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		const n = 50
		var ran, want journal
		for i := range n {
			at := i * 17 % n
			must(t, c.NewTimer(id, ran.note(fmt.Sprint(at))).Set(time.Duration(at)-n))
			want.add(fmt.Sprint(i))
		}
		if !turn(t, c) {
			t.Error("timers are no progress")
		}
		ran.expect(t, want...)
		if s := c.Stats(); s.Timers != n {
			t.Errorf("counted as %d", s.Timers)
		}
	})
}

func TestTimersWithOneDeadlineRunInTheOrderOfArming(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		var ran journal
		a, b := c.NewTimer(id, ran.note("a")), c.NewTimer(id, ran.note("b"))
		last := c.NewTimer(id, ran.note("last"))
		for _, timer := range []*Timer{a, b, last, a} { // a again: it goes behind
			must(t, timer.Set(-5))
		}
		turn(t, c)
		ran.expect(t, "b", "last", "a")
	})
}

func TestTimerFires(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		fired := false
		timer := c.NewTimer(id, func() { fired = true })
		begin := time.Now()
		must(t, timer.Reset(2*time.Millisecond))
		if turn(t, c); fired && time.Since(begin) < 2*time.Millisecond {
			t.Error("fired early")
		}
		within(t, "a timer of 2 ms", func() { pollUntil(t, c, func() bool { return fired }) })
		if id != Host && time.Since(begin) < 2*time.Millisecond {
			t.Error("fired early")
		}
		if timer.Pending() {
			t.Error("pending after it has fired")
		}
	})
}

func TestTimerStates(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		var ran journal
		timer := c.NewTimer(id, ran.note("ran"))
		state := func(pending, expired bool) {
			t.Helper()
			_, armed := timer.Deadline()
			if timer.Pending() != pending || armed != pending || timer.Expired() != expired {
				t.Fatalf("pending %v, armed %v, expired %v; want %v, %v, %v",
					timer.Pending(), armed, timer.Expired(), pending, pending, expired)
			}
		}
		state(false, false)
		far := c.Now(id) + time.Hour
		must(t, timer.Set(far))
		state(true, false)
		if d, _ := timer.Deadline(); d != far {
			t.Errorf("deadline %v, want %v", d, far)
		}
		turn(t, c)
		must(t, timer.Set(-1))
		state(true, true)
		timer.Stop()
		state(false, false)
		timer.Stop() // again does nothing
		turn(t, c)
		ran.expect(t)
		must(t, timer.Set(-1))
		turn(t, c)
		ran.expect(t, "ran")
		state(false, false)
	})
}

func TestModAnticipateOnlyBringsForward(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		timer := c.NewTimer(id, func() {})
		base := c.Now(id) + time.Hour
		for _, step := range []struct{ ask, want time.Duration }{
			{base, base}, {base + 1, base}, {base - 1, base - 1}, {base, base - 1},
		} {
			must(t, timer.SetEarlier(step.ask))
			if d, _ := timer.Deadline(); d != step.want {
				t.Errorf("asked for %v: deadline %v, want %v", step.ask-base, d-base, step.want-base)
			}
		}
		must(t, timer.Set(base+5)) // Set goes both ways
		if d, _ := timer.Deadline(); d != base+5 {
			t.Error("Set did not put it off")
		}
		timer.Stop()
	})
}

// Re-armed into the past by its own function, a timer runs once per iteration; so
// do two that arm each other.
func TestTimerArmedIntoThePastRunsOncePerIteration(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		var ran journal
		var a, b, self *Timer
		a = c.NewTimer(id, func() { ran.add("a"); must(t, b.Set(-2)) })
		b = c.NewTimer(id, func() { ran.add("b"); must(t, a.Set(-2)) })
		self = c.NewTimer(id, func() { ran.add("self"); must(t, self.Set(-1)) })
		must(t, a.Set(-9))
		must(t, self.Set(-1))
		for _, want := range []string{"a", "b", "a", "b"} {
			block(t, c)
			ran.expect(t, want, "self")
		}
		for _, timer := range []*Timer{a, b, self} {
			timer.Stop()
		}
		turn(t, c)
		ran.expect(t)
	})
}

func TestTimerArmedIntoThePastWithNestedPolls(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		ran, depth, most := 0, 0, 0
		var self *Timer
		self = c.NewTimer(id, func() {
			ran++
			depth++
			most = max(most, depth)
			must(t, self.Set(-1))
			if depth < 3 {
				turn(t, c)
			}
			depth--
		})
		must(t, self.Set(-1))
		turn(t, c)
		if ran != 3 || most != 3 { // one per iteration, of which there were three
			t.Errorf("ran %d times, %d deep, in 3 iterations", ran, most)
		}
		self.Stop()
	})
}

func TestTimerStoppedByAnEarlierOne(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		victim := c.NewTimer(id, func() { t.Error("the stopped timer ran") })
		must(t, c.NewTimer(id, func() { victim.Stop() }).Set(-2))
		must(t, victim.Set(-1))
		turn(t, c)
		turn(t, c)
	})
}

func TestClosedTimerDoesNotRun(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		timer := c.NewTimer(id, func() { t.Error("the closed timer ran") })
		must(t, timer.Set(-1))
		must(t, timer.Close())
		wantError(t, timer.Set(-1), ErrClosed)
		wantError(t, timer.Reset(-1), ErrClosed)
		wantError(t, timer.SetEarlier(-1), ErrClosed)
		wantError(t, timer.Close(), ErrClosed)
		turn(t, c)
		if timer.Pending() || timer.Stop() {
			t.Error("the closed timer is armed")
		}
	})
}

func TestStopReportsWhetherTheTimerWasPending(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		timer := c.NewTimer(id, func() { t.Error("the stopped timer ran") })
		for _, armed := range []bool{false, true, false} {
			if armed {
				must(t, timer.Set(-1))
			}
			if timer.Stop() != armed {
				t.Errorf("armed %v: Stop reports the opposite", armed)
			}
		}
		turn(t, c)
	})
}

// A timer whose deferred run is taken back or put off.
func TestDeferredTimerCanBeStoppedAndMoved(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		ran := 0
		var timer *Timer
		timer = c.NewTimer(id, func() {
			ran++
			must(t, timer.Set(-1))
			must(t, timer.SetEarlier(0)) // later than -1: stays
			if d, ok := timer.Deadline(); !ok || d != -1 || !timer.Pending() || !timer.Expired() {
				t.Errorf("deadline %v, %v", d, ok)
			}
			if ran == 1 {
				must(t, timer.Set(c.Now(id)+time.Hour))
			} else {
				timer.Stop()
			}
		})
		must(t, timer.Set(-1))
		turn(t, c)
		turn(t, c)
		if ran != 1 || !timer.Pending() {
			t.Fatalf("ran %d times, pending %v", ran, timer.Pending())
		}
		must(t, timer.Set(-1))
		turn(t, c)
		turn(t, c)
		if ran != 2 || timer.Pending() {
			t.Errorf("ran %d times, pending %v", ran, timer.Pending())
		}
	})
}

// The far ends of a clock neither overflow nor keep the loop busy.
func TestTimersAtTheEndsOfTime(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		var ran journal
		first, last := c.NewTimer(id, ran.note("first")), c.NewTimer(id, ran.note("last"))
		must(t, first.Set(math.MinInt64))
		must(t, last.Reset(math.MaxInt64))
		if !turn(t, c) {
			t.Error("no progress")
		}
		ran.expect(t, "first")
		for _, end := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1} {
			must(t, last.Set(end))
			restsFor(t, c, 5*time.Millisecond)
		}
		ran.expect(t)
		last.Stop()
	})
}

// Reset counts from a clock below 0 as from any other, and ends where time does.
func TestModAfterBelowZero(t *testing.T) {
	const start, end, hour = math.MinInt64, math.MaxInt64, time.Hour
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		c.VirtualClock().Stop()
		for _, tc := range []struct{ now, d, want time.Duration }{
			{-hour, time.Minute, -59 * time.Minute}, {-1, 1, 0}, {-hour, 2 * hour, hour}, {start, end, -1},
			{-hour, -hour, -2 * hour}, {-hour, start, start}, {start, -1, start}, {start, start, start},
			{hour, start, start + hour}, {hour, end, end}, {end - 1, 2, end},
		} {
			c.VirtualClock().Set(tc.now)
			timer := c.NewTimer(Virtual, func() {})
			must(t, timer.Reset(tc.d))
			if got, _ := timer.Deadline(); got != tc.want {
				t.Errorf("%v after %v: the deadline is %v, want %v", tc.d, tc.now, got, tc.want)
			}
			timer.Stop()
		}
		ran := false
		c.VirtualClock().Set(-hour)
		c.VirtualClock().Start()
		timer := c.NewTimer(Virtual, func() { ran = true })
		must(t, timer.Reset(start))
		if turn(t, c); !ran {
			t.Error("it has not expired")
		}
		timer.Stop()
	})
}

func TestTimersFromOtherGoroutines(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		const producers, each = 4, 50
		start(t, c)
		var ran atomic.Int64
		var group sync.WaitGroup
		for p := range producers {
			group.Go(func() {
				done := make(chan struct{}, 1)
				timer := c.NewTimer(id, func() { ran.Add(1); done <- struct{}{} })
				for i := range each {
					must(t, timer.Set(time.Duration(i*p)))
					<-done
				}
			})
		}
		group.Wait()
		if ran.Load() != producers*each {
			t.Errorf("%d runs of %d", ran.Load(), producers*each)
		}
	})
}

// Go preempts with signals. They must not make a wait begin again.
func TestTrap19_TimerUnderSignals(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		runtime.LockOSThread() // so that the signals reach the thread that waits
		defer runtime.UnlockOSThread()
		home := unix.Gettid()
		stop := make(chan struct{})
		var storm sync.WaitGroup
		storm.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C: // the runtime takes SIGURG for its own, and ignores it
					_ = unix.Tgkill(unix.Getpid(), home, unix.SIGURG)
				}
			}
		})
		fired := false
		timer := c.NewTimer(Realtime, func() { fired = true })
		begin := time.Now()
		must(t, timer.Reset(10*time.Millisecond))
		within(t, "a timer of 10 ms under signals", func() { pollUntil(t, c, func() bool { return fired }) })
		if took := time.Since(begin); took < 10*time.Millisecond {
			t.Errorf("fired early, after %v", took)
		}
		close(stop)
		storm.Wait()
	})
}

// Just before a deadline the rest of the time must not be rounded to nothing.
func TestTrap20_ShortTimerDoesNotSpin(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		fired := false
		timer := c.NewTimer(Realtime, func() { fired = true })
		least := uint64(math.MaxUint64)
		for range 20 { // the best of some: a machine under load may wake us for its own reasons
			fired = false
			before := c.Stats().Iterations
			must(t, timer.Reset(300*time.Microsecond))
			pollUntil(t, c, func() bool { return fired })
			least = min(least, c.Stats().Iterations-before)
		}
		if least > 2 {
			t.Errorf("%d iterations for a timer of 300 µs", least)
		}
	})
}

// Timers are the last step of an iteration: what earlier callbacks arm for a time
// in the past runs at its end.
func TestTimerArmedByABottomHalfRunsInTheSameIteration(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		var ran journal
		timer := c.NewTimer(id, ran.note("timer"))
		must(t, c.ScheduleOnce(func() { ran.add("bottom half"); must(t, timer.Set(-1)) }))
		turn(t, c)
		ran.expect(t, "bottom half", "timer")
	})
}

// More than a system call of a 32-bit machine takes.
func TestTimerInAHundredYears(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		timer := c.NewTimer(Realtime, func() { t.Error("it has come") })
		must(t, timer.Reset(100*365*24*time.Hour))
		b := false
		go func() { asleep(t, c); _ = c.ScheduleOnce(func() { b = true }) }()
		pollUntil(t, c, func() bool { return b })
		timer.Stop()
	})
}

// The time to a deadline may be more than a Duration holds. The loop then sleeps until the
// timers of the other clocks.
func TestTimerTooFarAwayToBeCounted(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		c.VirtualClock().Set(-time.Hour)
		far := c.NewTimer(Virtual, func() { t.Error("it has come") })
		must(t, far.Set(endOfTime))
		if got := c.timeout(); got != never-1 {
			t.Fatalf("the loop would sleep for %v, want the longest time that is not forever", got)
		}
		fired := false
		must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(time.Millisecond))
		pollUntil(t, c, func() bool { return fired })
		far.Stop()
	})
}

// A timer that runs is progress, whatever waits on the other clocks.
func TestTimerIsProgressBesideOtherClocks(t *testing.T) {
	eachClock(t, func(t *testing.T, c *Context, id ClockID) {
		for _, other := range allClocks {
			far := c.NewTimer(other, func() { t.Error("it has come") })
			must(t, far.Reset(time.Hour))
			defer far.Stop()
		}
		must(t, c.NewTimer(id, func() {}).Set(-1))
		if !turn(t, c) {
			t.Error("the timer is no progress")
		}
	})
}

// The home goroutine takes notice of what another one has done to a timer meanwhile, in
// either direction.
func TestTimersChangedElsewhereDuringACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		early, late := c.NewTimer(Realtime, ran.note("early")), c.NewTimer(Realtime, ran.note("late"))
		t.Cleanup(func() { early.Stop(); late.Stop() })
		must(t, early.Set(0))
		must(t, late.Reset(time.Hour))
		turnWith(t, c, func() {
			changed := make(chan error)
			go func() {
				early.Stop()
				changed <- late.Set(0)
			}()
			must(t, <-changed)
		})
		ran.expect(t, "late")
		if timeout := c.timers.timeout(); timeout != never {
			t.Errorf("a timeout of %v without a timer", timeout)
		}
	})
}
