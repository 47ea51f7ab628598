package aio

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// foreign is one turn of a foreign loop: ppoll(2) over what the Context asks for.
func foreign(t testing.TB, c *Context) (progress bool) {
	t.Helper()
	timeout, err := c.Prepare()
	must(t, err)
	fds := c.Query(nil)
	waitForeign(t, fds, timeout)
	ready, err := c.Check(fds)
	must(t, err)
	if !ready {
		return false
	}
	progress, err = c.Dispatch()
	must(t, err)
	return progress
}

func waitForeign(t testing.TB, fds []unix.PollFd, timeout time.Duration) {
	t.Helper()
	deadline := time.Now().Add(patience)
	if timeout < 0 || timeout > patience {
		timeout = patience
	}
	for {
		ts := unix.NsecToTimespec(int64(timeout))
		if _, err := unix.Ppoll(fds, &ts, nil); err != unix.EINTR {
			must(t, err)
			break
		}
	}
	if time.Now().After(deadline) {
		t.Fatal("the foreign loop was not woken up")
	}
}

func foreignUntil(t testing.TB, c *Context, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		foreign(t, c)
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func TestForeignLoopDispatchesEverything(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		n := notifier(t)
		watchNotifier(t, c, n, ran.note("handler"))
		r, w := pipe(t)
		watch(t, c, r, Callbacks{Read: func(*Handler) { read(r, 1); ran.add("pipe") }})
		steps := map[string]func(){
			"bottom half": func() { must(t, c.ScheduleOnce(ran.note("bottom half"))) },
			"handler":     func() { must(t, n.Set()) },
			"pipe":        func() { write(t, w, "x") },
			"timer":       func() { must(t, c.NewTimer(Realtime, ran.note("timer")).Reset(time.Millisecond)) },
			"idle":        func() { must(t, c.NewBottomHalf(ran.note("idle")).ScheduleIdle()) },
		}
		for range 3 {
			for name, step := range steps {
				step()
				foreignUntil(t, c, func() bool { return len(ran) > 0 })
				ran.expect(t, name)
			}
		}
	})
}

// Everything that wakes a sleeping Poll wakes a foreign loop too.
func TestForeignLoopIsWokenUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var group sync.WaitGroup
		for range 200 {
			ran := false
			group.Go(func() { must(t, c.ScheduleOnce(func() { ran = true })) })
			foreignUntil(t, c, func() bool { return ran })
			group.Wait()
		}
		virtual := false
		timer := c.NewTimer(Virtual, func() { virtual = true })
		must(t, timer.Reset(time.Hour))
		group.Go(func() { asleep(t, c); c.VirtualClock().Advance(2 * time.Hour) })
		foreignUntil(t, c, func() bool { return virtual })
		group.Wait()
	})
}

func TestForeignLoopRests(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		must(t, n.Set())
		foreignUntil(t, c, func() bool { return ran == 1 })
		over := false
		must(t, c.NewTimer(Realtime, func() { over = true }).Reset(20*time.Millisecond))
		turns := 0
		foreignUntil(t, c, func() bool { turns++; return over })
		if turns > 20 || ran != 1 {
			t.Errorf("%d turns in 20 ms, %d calls", turns, ran)
		}
	})
}

// Callbacks may poll, and others may poll between the phases.
func TestForeignLoopAndPoll(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.ScheduleOnce(func() {
			must(t, c.ScheduleOnce(ran.note("inner")))
			block(t, c)
			ran.add("outer")
		}))
		foreignUntil(t, c, func() bool { return len(ran) == 2 })
		ran.expect(t, "inner", "outer")

		for _, poll := range []func(){
			func() {
				must(t, c.ScheduleOnce(ran.note("between")))
				block(t, c)
			},
			func() { // this one sleeps
				must(t, c.NewTimer(Realtime, ran.note("between")).Reset(time.Millisecond))
				pollUntil(t, c, func() bool { return len(ran) > 0 })
			},
		} {
			timeout, err := c.Prepare()
			must(t, err)
			fds := c.Query(nil)
			poll()
			ran.expect(t, "between")
			arrived := false
			elsewhere(func() { must(t, c.ScheduleOnce(func() { arrived = true })) })
			waitForeign(t, fds, timeout) // the notify after the Poll still ends the wait
			endTurn(t, c, fds)
			foreignUntil(t, c, func() bool { return arrived })
		}

		go func() { asleep(t, c); _ = c.ScheduleOnce(ran.note("afterwards")) }()
		pollUntil(t, c, func() bool { return len(ran) > 0 }) // without the foreign loop again
		ran.expect(t, "afterwards")
	})
}

// endTurn does what a foreign loop does after its wait.
func endTurn(t *testing.T, c *Context, fds []unix.PollFd) {
	t.Helper()
	_, err := c.Check(fds)
	must(t, err)
	_, err = c.Dispatch()
	must(t, err)
}

// Where there is one P, a notifier is always about to stop, and a parked loop gets a
// token from it; a foreign loop that sleeps on its behalf does not.
func TestForeignLoopOfAParkedContextIsWokenUp(t *testing.T) {
	procs(t, 1)
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		timeout, err := c.Prepare()
		must(t, err)
		fds := c.Query(nil)
		ran := false
		elsewhere(func() { must(t, c.ScheduleOnce(func() { ran = true })) })
		waitForeign(t, fds, timeout)
		endTurn(t, c, fds)
		foreignUntil(t, c, func() bool { return ran })
	})
}

// What Poll has begun, no one would end while the foreign loop waits.
func TestForeignLoopEndsPolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 10*time.Millisecond)
		var ran journal
		looks := 0
		h := watch(t, c, notifier(t).FD(), ran.hooks(func() bool { looks++; return looks == 1 }))
		block(t, c)
		ran.expect(t, "begin", "poll", "ready")
		_, err := c.Prepare()
		must(t, err)
		ran.expect(t, "end", "poll")
		_, err = c.Check(c.Query(nil))
		must(t, err)
		must(t, h.Close())
	})
}

// A Poll between the phases does not begin it again: no one would end it while the
// foreign loop waits.
func TestPollAfterPrepareDoesNotPollInUserSpace(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 10*time.Millisecond)
		var ran journal
		h := watch(t, c, notifier(t).FD(), ran.hooks(func() bool { return true }))
		_, err := c.Prepare()
		must(t, err)
		c.Notify()
		block(t, c)
		ran.expect(t)
		_, err = c.Check(c.Query(nil))
		must(t, err)
		block(t, c)
		ran.expect(t, "begin", "poll", "ready")
		must(t, h.Close())
	})
}

func TestForeignLoopErrors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		foreignErrors := func(want error) {
			_, err := c.Prepare()
			wantError(t, err, want)
			_, err = c.Check(nil)
			wantError(t, err, want)
			_, err = c.Dispatch()
			wantError(t, err, want)
		}
		turn(t, c)
		elsewhere(func() { foreignErrors(ErrWrongGoroutine) })
		must(t, c.Close())
		foreignErrors(ErrClosed)
	})
}

func TestForeignLoopNeedsAPollerThatCanBeWaitedFor(t *testing.T) {
	inner, _, err := Epoll.open(ModeThread)
	must(t, err)
	c, err := New(WithPoller(&scriptedPoller{Poller: inner}))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	_, err = c.Prepare()
	wantError(t, err, errors.ErrUnsupported)
}

// What the home goroutine itself changes after Prepare must not wait either.
func TestForeignLoopSeesChangesAfterPrepare(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, change := range map[string]func(c *Context, effect func()){
			"timer": func(c *Context, effect func()) { must(t, c.NewTimer(Realtime, effect).Set(0)) },
			"watch": func(c *Context, effect func()) {
				n := notifier(t)
				must(t, n.Set())
				watchNotifier(t, c, n, effect)
			},
			"bottom half": func(c *Context, effect func()) { must(t, c.ScheduleOnce(effect)) },
			"a notify after a Poll": func(c *Context, effect func()) {
				watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
				c.Notify()
				turn(t, c)
				elsewhere(func() { must(t, c.ScheduleOnce(effect)) })
			},
		} {
			t.Run(name, func(t *testing.T) {
				c := newLoop()
				done := false
				timeout, err := c.Prepare()
				must(t, err)
				fds := c.Query(nil)
				change(c, func() { done = true })
				waitForeign(t, fds, timeout)
				endTurn(t, c, fds)
				foreignUntil(t, c, func() bool { return done })
			})
		}
	})
}

// A Poll after Prepare takes the notify that the foreign loop was to wake up from. If it
// does not come to everything, the foreign loop has to hear of that.
func TestForeignLoopHearsOfWhatAPollLeaves(t *testing.T) {
	panics := func(t *testing.T, c *Context) {
		t.Helper()
		if v := panicOf(func() { _, _ = c.TryPoll() }); v != errCause {
			t.Fatalf("Poll panicked with %v", v)
		}
	}
	bad := func() { panic(errCause) }
	for name, leave := range map[string]func(t *testing.T, c *Context, effect func()){
		"a bottom half behind a panic": func(t *testing.T, c *Context, effect func()) {
			must(t, c.ScheduleOnce(bad))
			must(t, c.ScheduleOnce(effect))
			panics(t, c)
		},
		"a bottom half that a callback schedules": func(t *testing.T, c *Context, effect func()) {
			must(t, c.ScheduleOnce(func() { must(t, c.ScheduleOnce(effect)) }))
			_, err := c.TryPoll()
			must(t, err)
		},
		"an event behind a panic": func(t *testing.T, c *Context, effect func()) {
			n := notifier(t)
			watchNotifier(t, c, n, effect)
			must(t, n.Set())
			must(t, c.ScheduleOnce(bad))
			panics(t, c)
		},
		"a timer behind a panic": func(t *testing.T, c *Context, effect func()) {
			must(t, c.NewTimer(Realtime, effect).Set(0))
			must(t, c.ScheduleOnce(bad))
			panics(t, c)
		},
		"a timer that is not due": func(t *testing.T, c *Context, effect func()) {
			must(t, c.NewTimer(Realtime, effect).Reset(time.Millisecond))
			_, err := c.TryPoll()
			must(t, err)
		},
		"a timer that is not due when Run ends": func(t *testing.T, c *Context, effect func()) {
			must(t, c.NewTimer(Realtime, effect).Reset(time.Millisecond))
			ctx, stop := context.WithCancel(t.Context())
			must(t, c.ScheduleOnce(stop))
			must(t, c.Run(ctx))
		},
		"a timer armed for a nested Poll": func(t *testing.T, c *Context, effect func()) {
			must(t, c.ScheduleOnce(func() {
				must(t, c.NewTimer(Realtime, effect).Reset(time.Millisecond))
				_, err := c.TryPoll()
				must(t, err)
			}))
			_, err := c.TryPoll()
			must(t, err)
		},
		"an idle bottom half": func(t *testing.T, c *Context, effect func()) {
			must(t, c.NewBottomHalf(effect).ScheduleIdle())
			must(t, c.ScheduleOnce(func() {}))
			_, err := c.TryPoll()
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}}) // so that Poll asks the kernel
				foreign(t, c)
				done := false
				timeout, err := c.Prepare()
				must(t, err)
				fds := c.Query(nil)
				leave(t, c, func() { done = true })
				if !done {
					waitForeign(t, fds, timeout)
				}
				endTurn(t, c, fds)
				foreignUntil(t, c, func() bool { return done })
			})
		})
	}
}

// One that leaves nothing does not.
func TestForeignLoopSleepsOnAfterAPoll(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		watch(t, c, r, Callbacks{Read: func(*Handler) { read(r, 1) }})
		foreign(t, c)
		idle := c.NewBottomHalf(func() {}) // Prepare knows of it
		must(t, idle.ScheduleIdle())
		_, err := c.Prepare()
		must(t, err)
		fds := c.Query(nil)
		write(t, w, "x")
		before := c.Stats().NotifiesWritten
		_, err = c.TryPoll()
		must(t, err)
		if n := c.Stats().NotifiesWritten - before; n > 0 {
			t.Errorf("%d writes", n)
		}
		idle.Cancel()
		_, err = c.Check(fds)
		must(t, err)
	})
}

// What one Poll has left for the foreign loop does not keep the next one from sleeping,
// and reaches the foreign loop all the same. An abandoned turn keeps no Poll either.
func TestPollAfterPrepareSleepsAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
		foreign(t, c)
		timeout, err := c.Prepare()
		must(t, err)
		fds := c.Query(nil)
		c.Notify()
		done, polls := false, 0
		must(t, c.NewTimer(Realtime, func() { done = true }).Reset(20*time.Millisecond))
		for ; !done; polls++ {
			_, err := c.Poll()
			must(t, err)
		}
		if polls > 100 { // thousands if it does not sleep
			t.Errorf("%d Polls until a timer", polls)
		}
		waitForeign(t, fds, timeout)
		asked := time.Now()
		stop := time.AfterFunc(20*time.Millisecond, c.Notify) // another notify ends a Poll
		defer stop.Stop()
		for polls = 0; time.Since(asked) < 20*time.Millisecond; polls++ {
			_, err := c.Poll()
			must(t, err)
		}
		if polls > 100 { // thousands if it does not sleep
			t.Errorf("%d Polls until a notify", polls)
		}
		waitForeign(t, fds, timeout)
		_, err = c.Check(fds)
		must(t, err)
	})
}

// The turn may be one that a callback of an outer Poll makes.
func TestForeignTurnInACallbackHearsOfWhatAPollLeaves(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}})
		foreign(t, c)
		done := false
		must(t, c.ScheduleOnce(func() {
			timeout, err := c.Prepare()
			must(t, err)
			fds := c.Query(nil)
			must(t, c.NewTimer(Realtime, func() { done = true }).Reset(time.Millisecond))
			_, err = c.TryPoll()
			must(t, err)
			if !done {
				waitForeign(t, fds, timeout)
			}
			endTurn(t, c, fds)
			foreignUntil(t, c, func() bool { return done })
		}))
		turn(t, c)
	})
}

// takeBack are the ways to take back what was scheduled.
var takeBack = map[string]func(*BottomHalf){
	"Cancel": (*BottomHalf).Cancel,
	"Close":  func(b *BottomHalf) { b.Close() },
	// as Schedule leaves it that began before and ends after Close
	"Close beside Schedule": func(b *BottomHalf) { b.closed.Store(true) },
}

// A foreign loop does not hear of bottom halves that were taken back, whenever that was.
func TestForeignLoopDoesNotHearOfWhatWasTakenBack(t *testing.T) {
	for name, undo := range takeBack {
		for _, schedule := range []func(*BottomHalf) error{(*BottomHalf).Schedule, (*BottomHalf).ScheduleIdle} {
			t.Run(name, func(t *testing.T) { checkTakenBack(t, undo, schedule) })
		}
	}
}

func checkTakenBack(t *testing.T, undo func(*BottomHalf), schedule func(*BottomHalf) error) {
	c := newLoopOn(t, Ppoll)
	bhs := make([]*BottomHalf, 3)
	for i := range bhs {
		bhs[i] = c.NewBottomHalf(func() { t.Error("it runs") })
		must(t, schedule(bhs[i]))
	}
	undo(bhs[0]) // before it is gathered
	_, err := c.Prepare()
	must(t, err)
	undo(bhs[1]) // after it
	undo(bhs[2])
	c.halves.idleSince -= time.Hour
	ready, err := c.Check(c.Query(nil))
	must(t, err)
	if ready || c.halves.now.first != nil || c.halves.idle.first != nil {
		t.Error("there is something to dispatch")
	}
	for _, b := range bhs {
		if b.Scheduled() {
			t.Error("it is still scheduled")
		}
	}
	if timeout, err := c.Prepare(); timeout >= 0 || err != nil {
		t.Errorf("the next turn waits for %v, %v", timeout, err)
	}
	endTurn(t, c, c.Query(nil))
}

// What was taken back does not keep the foreign loop from what comes behind it, nor is
// it lost if it is scheduled again.
func TestForeignLoopHearsOfWhatIsScheduledAgain(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	var ran journal
	a, b := c.NewBottomHalf(ran.note("a")), c.NewBottomHalf(ran.note("b"))
	must(t, a.Schedule())
	must(t, b.Schedule())
	a.Cancel()
	foreign(t, c)
	ran.expect(t, "b")
	must(t, a.Schedule())
	_, err := c.Prepare()
	must(t, err)
	a.Cancel()
	must(t, a.ScheduleIdle()) // it lies among those that are not idle
	ready, err := c.Check(c.Query(nil))
	must(t, err)
	if ready {
		t.Error("an idle one is ready already")
	}
	pollUntil(t, c, func() bool { return len(ran) > 0 })
	ran.expect(t, "a")
}

// A foreign loop that waits for the notifier itself spares the backend the wake-up.
func TestForeignLoopWakesTheNotifierAlone(t *testing.T) {
	for _, b := range []Backend{Epoll, IOUring} {
		t.Run("backend="+b.String(), func(t *testing.T) {
			c := newLoopOn(t, b)
			_, err := c.Prepare()
			must(t, err)
			fds := c.Query(nil)
			c.Notify()
			waitForeign(t, fds, patience)
			if revents, err := sys.PollNow(c.port.pollFD(), unix.POLLIN); revents != 0 || err != nil {
				t.Errorf("the backend is woken up too: %#x, %v", revents, err)
			}
			_, err = c.Check(fds)
			must(t, err)
		})
	}
}

// An operation that is submitted after Prepare ends the wait that Query is for.
func TestForeignLoopWaitsForALateOperation(t *testing.T) {
	c := newLoopOn(t, IOUring)
	_, err := c.Prepare()
	must(t, err)
	done := false
	must(t, submit(c, Request{}, func(int, error) { done = true }))
	fds := c.Query(nil)
	if !slices.ContainsFunc(fds, func(f unix.PollFd) bool { return int(f.Fd) == c.port.pollFD() }) {
		t.Errorf("the foreign loop would wait for %+v, not for the ring", fds)
	}
	waitForeign(t, fds, patience)
	_, err = c.Check(fds)
	must(t, err)
	foreignUntil(t, c, func() bool { return done })
}
