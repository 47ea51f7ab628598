package aio

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/sys"
)

func TestClocksCountFromTheirOwnBeginning(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		if now := c.Now(Virtual); now < 0 || now > time.Minute {
			t.Errorf("Virtual begins at %v", now)
		}
		if now := c.Now(VirtualRT); now < 0 || now > time.Minute {
			t.Errorf("VirtualRT begins at %v", now)
		}
		wall := time.Unix(0, int64(c.Now(Host)))
		if off := time.Since(wall); off < -time.Minute || off > time.Minute {
			t.Errorf("Host is %v from the wall clock", off)
		}
		for _, id := range allClocks {
			before := c.Now(id)
			if after := c.Now(id); after < before {
				t.Errorf("%v went back by %v", id, before-after)
			}
		}
	})
}

func TestStoppedClockStandsStill(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		v := c.VirtualClock()
		v.Stop()
		if v.Running() {
			t.Error("running after Stop")
		}
		virtual, rt := c.Now(Virtual), c.Now(VirtualRT)
		begin := c.Now(Realtime)
		for c.Now(Realtime) < begin+time.Millisecond {
		}
		if c.Now(Virtual) != virtual || c.Now(VirtualRT) != rt || v.Now() != virtual {
			t.Error("a stopped clock moved")
		}
		v.Start()
		if now := c.Now(Virtual); !v.Running() || now < virtual || now > virtual+time.Minute {
			t.Errorf("runs %v, went on from %v at %v", v.Running(), virtual, now)
		}
		for v.Now() == virtual {
		}
	})
}

// Who has read the time, and finds when it has the lock that the clock stood still for a
// while, does not see it go back.
func TestStopAndStartDuringAReading(t *testing.T) {
	v := NewVirtualClock()
	mono := sys.Monotonic()
	for _, id := range []ClockID{Virtual, VirtualRT} {
		before := v.at(id, mono)
		v.Stop()
		for start := sys.Monotonic(); sys.Monotonic() < start+time.Millisecond; {
			runtime.Gosched()
		}
		v.Start()
		if after := v.at(id, mono); after < before {
			t.Errorf("%v went back by %v", id, before-after)
		}
	}
}

func TestSetAndAdvanceMoveVirtualAlone(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		v := c.VirtualClock()
		v.Stop()
		rt := c.Now(VirtualRT)
		v.Set(time.Hour)
		v.Advance(time.Minute)
		if v.Now() != time.Hour+time.Minute || c.Now(VirtualRT) != rt {
			t.Errorf("Virtual %v, VirtualRT moved by %v", v.Now(), c.Now(VirtualRT)-rt)
		}
		v.Start()
		v.Set(time.Second) // back, and while it runs
		if now := v.Now(); now < time.Second || now > time.Minute {
			t.Errorf("set to 1s, it says %v", now)
		}
	})
}

// A paused guest stays paused: no timer of a stopped clock runs, whatever its
// deadline.
func TestTimersOfAStoppedClockWait(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, id := range []ClockID{Virtual, VirtualRT} {
			c := newLoop()
			v := c.VirtualClock()
			ran := 0
			timer := c.NewTimer(id, func() { ran++ })
			v.Stop()
			must(t, timer.Set(0))
			v.Advance(time.Hour)
			if turn(t, c) || ran != 0 {
				t.Errorf("%v: a timer ran while its clock stood still", id)
			}
			if !timer.Pending() {
				t.Error("it is not pending any more")
			}
			restsFor(t, c, 5*time.Millisecond)
			v.Start()
			if block(t, c); ran != 1 {
				t.Errorf("%v: ran %d times after Start", id, ran)
			}
		}
	})
}

func TestRealtimeAndHostDoNotStopWithVirtual(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		c.VirtualClock().Stop()
		ran := 0
		must(t, c.NewTimer(Realtime, func() { ran++ }).Set(0))
		must(t, c.NewTimer(Host, func() { ran++ }).Set(0))
		if turn(t, c); ran != 2 {
			t.Errorf("%d of 2 timers ran", ran)
		}
	})
}

func TestAdvanceRunsWhatItPasses(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		now := c.Now(Virtual)
		for _, tc := range []struct {
			name string
			at   time.Duration
		}{{"2h", 2 * time.Hour}, {"1h", time.Hour}, {"4h", 4 * time.Hour}} {
			timer := c.NewTimer(Virtual, ran.note(tc.name))
			must(t, timer.Set(now+tc.at))
			t.Cleanup(func() { timer.Stop() })
		}
		turn(t, c)
		ran.expect(t)
		c.VirtualClock().Advance(3 * time.Hour)
		block(t, c)
		ran.expect(t, "1h", "2h")
	})
}

// A clock that two Contexts share wakes both up.
func TestSharedVirtualClock(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		v := NewVirtualClock()
		done := make(chan int, 2)
		for i := range 2 {
			c := newLoop(WithVirtualClock(v))
			if c.VirtualClock() != v {
				t.Error("it has a clock of its own")
			}
			must(t, c.NewTimer(Virtual, func() { done <- i }).Set(time.Hour))
			start(t, c)
			asleep(t, c)
		}
		v.Advance(2 * time.Hour)
		if sum := <-done + <-done; sum != 1 {
			t.Errorf("not one timer of each")
		}
	})
}

// A Context that is closed is forgotten by the clock.
func TestSharedVirtualClockOutlivesItsContexts(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		v := new(VirtualClock) // also one that was not made with NewVirtualClock
		c, other := newLoop(WithVirtualClock(v)), newLoop(WithVirtualClock(v))
		must(t, c.Close())
		v.Advance(time.Second)
		ran := false
		must(t, other.NewTimer(Virtual, func() { ran = true }).Set(0))
		if turn(t, other); !ran {
			t.Error("the other Context does not work")
		}
		if len(v.contexts) != 1 {
			t.Errorf("the clock knows %d Contexts", len(v.contexts))
		}
	})
}

func TestEachContextHasAClockOfItsOwn(t *testing.T) {
	a, b := newLoopOn(t, Epoll), newLoopOn(t, Epoll)
	a.VirtualClock().Stop()
	if !b.VirtualClock().Running() {
		t.Error("stopping one has stopped the other")
	}
}

func TestClockNames(t *testing.T) {
	for id, want := range map[ClockID]string{
		Realtime: "realtime", Virtual: "virtual", Host: "host", VirtualRT: "virtual-rt", Boottime: "boottime", 7: "ClockID(7)", -1: "ClockID(-1)",
	} {
		if id.String() != want {
			t.Errorf("%q, want %q", id, want)
		}
	}
}

// A timer that stops its clock, as a debugger's breakpoint does: those behind it
// that have expired as well wait for Start.
func TestTimerThatStopsItsClock(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.NewTimer(Virtual, func() { ran.add("stop"); c.VirtualClock().Stop() }).Set(-2))
		must(t, c.NewTimer(Virtual, ran.note("behind")).Set(-1))
		turn(t, c)
		turn(t, c)
		ran.expect(t, "stop")
		c.VirtualClock().Start()
		block(t, c)
		ran.expect(t, "behind")
	})
}

// A timer is not early because the one before it has moved the clock back.
func TestTimerThatMovesTheClockBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		v := c.VirtualClock()
		v.Stop()
		v.Set(100 * time.Second)
		must(t, c.NewTimer(Virtual, func() { v.Set(-time.Hour) }).Set(50*time.Second))
		ran := 0
		must(t, c.NewTimer(Virtual, func() {
			if ran++; v.Now() < time.Minute {
				t.Errorf("it has run at %v", v.Now())
			}
		}).Set(

			time.Minute))
		v.Start()
		settle(t, c)
		v.Set(time.Minute)
		pollUntil(t, c, func() bool { return ran == 1 })
	})
}

// A simulation that jumps to the end of time stays there, and all that it has passed runs.
func TestTrap40_VirtualClockAtTheEndOfTime(t *testing.T) {
	for name, jump := range map[string]func(v *VirtualClock){
		"Set":               func(v *VirtualClock) { v.Set(math.MaxInt64) },
		"Set close to it":   func(v *VirtualClock) { v.Set(math.MaxInt64 - 2) },
		"Advance":           func(v *VirtualClock) { v.Advance(math.MaxInt64) },
		"Advance twice":     func(v *VirtualClock) { v.Advance(math.MaxInt64 - 2); v.Advance(math.MaxInt64 - 2) },
		"Advance, standing": func(v *VirtualClock) { v.Stop(); v.Set(5); v.Advance(math.MaxInt64); v.Start() },
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				v, ran := c.VirtualClock(), false
				must(t, c.NewTimer(Virtual, func() { ran = true }).Set(time.Hour))
				beyond := c.NewTimer(Virtual, func() { t.Error("a timer beyond the end of time ran") })
				must(t, beyond.Set(math.MaxInt64))
				jump(v)
				for before := c.Now(Realtime); c.Now(Realtime) < before+10; {
				}
				if now := v.Now(); now != math.MaxInt64-1 {
					t.Errorf("it is %v", now)
				}
				v.Advance(0) // brings the clock up to date
				if now := v.Now(); now != math.MaxInt64-1 {
					t.Errorf("it is %v after another change", now)
				}
				if settle(t, c); !ran || beyond.Expired() {
					t.Errorf("the timer ran: %t, the one beyond the end has expired: %t", ran, beyond.Expired())
				}
				must(t, beyond.Reset(1))
				if settle(t, c); c.Now(VirtualRT) > time.Hour {
					t.Errorf("VirtualRT was moved to %v", c.Now(VirtualRT))
				}
				beyond.Stop()
			})
		})
	}
}

func TestVirtualClockAtTheBeginningOfTime(t *testing.T) {
	v := NewVirtualClock()
	v.Set(-5)
	v.Advance(math.MinInt64)
	if now := v.Now(); now > math.MinInt64/2 {
		t.Errorf("it is %v", now)
	}
	v.Advance(math.MinInt64)
	if now := v.Now(); now > math.MinInt64/2 {
		t.Errorf("it is %v after another step back", now)
	}
}

// VirtualRT too comes to the end of time, after as long a run.
func TestVirtualRTAtTheEndOfTime(t *testing.T) {
	v := NewVirtualClock()
	if now := v.at(VirtualRT, math.MaxInt64); now <= 0 {
		t.Errorf("it is %v", now)
	}
	v.baseRT = math.MaxInt64 - 2
	if now := v.at(VirtualRT, v.anchor+time.Hour); now != math.MaxInt64-1 {
		t.Errorf("it is %v", now)
	}
	v.Advance(0)
	if now := v.at(VirtualRT, v.anchor+time.Hour); now != math.MaxInt64-1 {
		t.Errorf("it is %v after a change", now)
	}
}

// While the machine is suspended, the time stands still for which the kernel lets a loop wait: the
// clock jumps for a loop that sleeps, and its timer runs all the same.
func TestBoottimeTimerRunsAfterASuspend(t *testing.T) {
	for _, b := range allBackends {
		t.Run(b.String(), func(t *testing.T) {
			left := 300 * time.Millisecond
			for !runsAfterASuspend(t, b, left) { // a slow machine was not asleep by then
				if left *= 5; left > 10*time.Second {
					t.Fatal("it does not run")
				}
			}
		})
	}
}

// runsAfterASuspend reports whether a timer runs that has so much time left when the clock jumps.
func runsAfterASuspend(t *testing.T, b Backend, left time.Duration) bool {
	c := newLoopOn(t, b)
	const suspended = time.Hour
	wakeUp := inject(t, func(call sys.Call) (f sys.Fault) {
		if call == sys.CallBoottime {
			f.Skew = -suspended
		}
		return f
	})
	defer wakeUp()
	ran := make(chan struct{})
	must(t, c.NewTimer(Boottime, func() { close(ran) }).Set(c.Now(Boottime)+suspended+left))
	stop := start(t, c)
	asleep(t, c)
	wakeUp()
	select {
	case <-ran:
		return true
	case <-time.After(left + 5*time.Second):
		must(t, stop())
		return false
	}
}

// RunUntilDone ends although the alarm of the clock is still there.
func TestBoottimeAlarmIsNothingToWaitFor(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := false
		must(t, c.NewTimer(Boottime, func() { ran = true }).Reset(time.Millisecond))
		must(t, c.RunUntilDone(t.Context()))
		if !ran {
			t.Error("the timer has not run")
		}
	})
}
