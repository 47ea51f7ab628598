//go:build linux

package aio

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ioThread starts an I/O thread that the end of the test stops.
func ioThread(t testing.TB, name string, opts ...Option) *IOThread {
	t.Helper()
	thread, err := StartIOThread(name, opts...)
	must(t, err)
	t.Cleanup(func() {
		if err := thread.Stop(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Stop at the end of the test: %v", err)
		}
	})
	return thread
}

func on(flag *atomic.Bool) func() bool { return flag.Load }

func flagged() *atomic.Bool {
	flag := new(atomic.Bool)
	flag.Store(true)
	return flag
}

func lowering(flag *atomic.Bool) func() {
	return func() {
		flag.Store(false)
		KickWaiters()
	}
}

// registered waits until there are n calls of WaitWhile.
func registered(t testing.TB, n int32) {
	t.Helper()
	eventually(t, "the waiters are registered", func() bool { return waiters.count.Load() == n })
}

func TestWaitWhileReturnsWithoutWaiting(t *testing.T) {
	c := newLoopOn(t, Epoll)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, c.WaitWhile(ended, func() bool { return false }))
	must(t, c.Close())
	must(t, c.WaitWhile(t.Context(), func() bool { return false }))
	wantError(t, c.WaitWhile(t.Context(), func() bool { return true }), ErrClosed)
	wantPanic(t, func() { _ = c.WaitWhile(t.Context(), nil) })
}

func TestWaitWhilePollsItsOwnLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		ran, polls := 0, 0
		_, err := c.AfterFunc(time.Millisecond, func() { ran++ }) // no kick: an iteration of the loop is one
		must(t, err)
		must(t, c.WaitWhile(t.Context(), func() bool { polls++; return ran == 0 }))
		if ran != 1 || polls > 10 {
			t.Errorf("the timer ran %d times, and the condition was called %d times", ran, polls)
		}
	})
}

func TestWaitWhileInACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var order journal
		must(t, c.ScheduleOnce(func() {
			must(t, c.ScheduleOnce(order.note("inner")))
			must(t, c.WaitWhile(t.Context(), func() bool { return len(order) == 0 }))
			order.add("outer")
		}))
		turn(t, c)
		order.expect(t, "inner", "outer")
	})
}

func TestWaitWhileIsKicked(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		flag := flagged()
		go func() { asleep(t, c); lowering(flag)() }()
		must(t, c.WaitWhile(t.Context(), on(flag)))
	})
}

// The main loop waits for an I/O thread, and its callbacks run in the meantime: those that the I/O
// thread itself waits for, too.
func TestWaitWhilePollsTheLoopOfTheCaller(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		main := newLoop()
		thread := ioThread(t, "io")
		flag := flagged()
		served, waited := false, false
		must(t, main.ScheduleOnce(func() {
			must(t, thread.Context().ScheduleOnce(func() {
				must(t, main.Do(t.Context(), func() error { served = true; return nil }))
				lowering(flag)()
			}))
			must(t, thread.Context().WaitWhile(t.Context(), on(flag)))
			waited = true
		}))
		turn(t, main)
		if !served || !waited {
			t.Errorf("served: %t, waited: %t", served, waited)
		}
	})
}

// It is at home, but not inside a callback.
func TestWaitWhileAtHomePollsOutsideOfCallbacks(t *testing.T) {
	main, thread := newLoopOn(t, Epoll), ioThread(t, "io")
	turn(t, main)
	flag := flagged()
	must(t, thread.Context().ScheduleOnce(func() { _ = main.ScheduleOnce(func() { flag.Store(false) }) }))
	must(t, thread.Context().WaitWhile(t.Context(), on(flag)))
}

func TestWaitWhilePollsTheLoopThatItIsInside(t *testing.T) {
	for _, first := range []string{"the other", "inside"} {
		t.Run("made first: "+first, func(t *testing.T) {
			loops := []*Context{newLoopOn(t, Epoll), newLoopOn(t, Epoll)}
			other, inside := loops[0], loops[1]
			if first == "inside" {
				other, inside = inside, other
			}
			turn(t, other)
			turn(t, inside)
			c := ioThread(t, "io").Context()
			flag := flagged()
			must(t, inside.ScheduleOnce(func() {
				must(t, inside.ScheduleOnce(func() { flag.Store(false) }))
				must(t, c.WaitWhile(t.Context(), on(flag)))
			}))
			turn(t, inside)
			flag.Store(true)
			must(t, loops[0].ScheduleOnce(func() { flag.Store(false) })) // outside: the first is polled
			must(t, c.WaitWhile(t.Context(), on(flag)))
		})
	}
}

func TestWaitWhileElsewhereBlocks(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		stop := start(t, c)
		looks, flag := 0, flagged()
		done := make(chan error)
		go func() { done <- c.WaitWhile(t.Context(), func() bool { looks++; return flag.Load() }) }()
		registered(t, 1)
		must(t, c.Do(t.Context(), func() error { return nil })) // progress of the loop is no kick
		must(t, c.ScheduleOnce(lowering(flag)))
		must(t, <-done)
		if looks > 3 {
			t.Errorf("it looked %d times", looks)
		}
		must(t, stop())
	})
}

func TestKicksReachEveryWaiter(t *testing.T) {
	const n = 8
	flag := flagged()
	var group sync.WaitGroup
	threads := []*IOThread{ioThread(t, "a"), ioThread(t, "b")}
	for i := range n {
		c := threads[i%2].Context()
		if i < n/2 {
			group.Go(func() { must(t, c.WaitWhile(t.Context(), on(flag))) })
			continue
		}
		group.Add(1)
		must(t, c.ScheduleOnce(func() {
			defer group.Done()
			must(t, threads[(i+1)%2].Context().WaitWhile(t.Context(), on(flag)))
		}))
	}
	registered(t, n)
	lowering(flag)()
	group.Wait()
	registered(t, 0)
}

func TestWaitWhileEndsWithItsContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { asleep(t, c); cancel(errCause) }()
		wantError(t, c.WaitWhile(ctx, func() bool { return true }), errCause)
		wantError(t, c.WaitWhile(ctx, func() bool { return true }), errCause) // it has ended before
		elsewhere(func() {
			wantError(t, c.WaitWhile(ctx, func() bool { return true }), errCause)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() { registered(t, 1); cancel(errCause) }()
			wantError(t, c.WaitWhile(ctx, func() bool { return true }), errCause)
		})
		registered(t, 0)
	})
}

func TestCloseEndsWaitWhile(t *testing.T) {
	c := newLoopOn(t, Epoll)
	main := newLoopOn(t, Epoll)
	done := make(chan error)
	go func() { done <- c.WaitWhile(t.Context(), func() bool { return true }) }()
	go func() { // home of another
		_, err := main.TryPoll()
		done <- errors.Join(err, c.WaitWhile(t.Context(), func() bool { return true }))
	}()
	registered(t, 2)
	must(t, c.Close())
	wantError(t, <-done, ErrClosed)
	wantError(t, <-done, ErrClosed)
}

// An attachment may wait for a goroutine that waits for the loop.
func TestCloseEndsWaitWhileBeforeItEndsAttachments(t *testing.T) {
	c := newLoopOn(t, Epoll)
	done := make(chan error, 1)
	go func() { done <- c.WaitWhile(t.Context(), func() bool { return true }) }()
	_, err := c.Attach(attachKey("waits"), func() (Attachment, error) { return endingWith(done), nil })
	must(t, err)
	registered(t, 1)
	must(t, c.Close())
	wantError(t, <-done, ErrClosed)
}

type endingWith chan error

func (e endingWith) Work() []string { return nil }
func (e endingWith) End() []string {
	err := <-e
	e <- err
	return nil
}

// While its own loop is polled by WaitWhile, Close of it is refused, as it is during Run.
func TestCloseIsRefusedDuringWaitWhile(t *testing.T) {
	c := newLoopOn(t, Epoll)
	turn(t, c)
	first := true
	must(t, c.WaitWhile(t.Context(), func() bool {
		if first {
			first = false
			return true
		}
		elsewhere(func() { wantError(t, c.Close(), ErrPolling) })
		return false
	}))
}

func onScriptedPoller(t *testing.T) (*Context, *scriptedPoller) {
	p := scripted(t)
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	return c, p
}

func scripted(t *testing.T) *scriptedPoller {
	inner, _, err := Epoll.open(ModeThread)
	must(t, err)
	return &scriptedPoller{Poller: inner}
}

func TestWaitWhileFailsWithItsPoller(t *testing.T) {
	c, broken := onScriptedPoller(t)
	turn(t, c)
	broken.fail = errCause
	wantError(t, c.WaitWhile(t.Context(), func() bool { return true }), errCause)
	registered(t, 0)
}

func TestWaitWhileSurvivesPanics(t *testing.T) {
	c := newLoopOn(t, Epoll)
	turn(t, c)
	must(t, c.ScheduleOnce(func() { panic(errCause) }))
	if v := panicOf(func() { _ = c.WaitWhile(t.Context(), func() bool { return true }) }); v != errCause {
		t.Errorf("panicked with %v", v)
	}
	calls := 0
	if v := panicOf(func() {
		_ = c.WaitWhile(t.Context(), func() bool {
			if calls++; calls > 1 {
				panic(errCause)
			}
			return true
		})
	}); v != errCause {
		t.Errorf("panicked with %v", v)
	}
	registered(t, 0)
	turn(t, c)
}

// The change and its kick come just after the condition was read: before the waiter is registered,
// or before it sleeps.
func TestAKickDuringTheConditionIsKept(t *testing.T) {
	for _, during := range []int{1, 2, 3} {
		test := func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			calls := 0
			err := ioThread(t, "io").Context().WaitWhile(ctx, func() bool {
				if calls++; calls <= during {
					KickWaiters()
				}
				return calls <= during
			})
			if err != nil {
				t.Errorf("during call %d: %v", during, err)
			}
		}
		elsewhere(test)
		c := newLoopOn(t, Epoll)
		must(t, c.ScheduleOnce(test))
		turn(t, c)
	}
}

// A kick beside the look at the condition is not lost, wherever the waiter is.
func TestNoKickIsLost(t *testing.T) {
	rounds := 10_000
	if testing.Short() {
		rounds = 500
	}
	for name, wait := range map[string]func(t *testing.T, c *Context, round func() bool){
		"elsewhere": func(t *testing.T, c *Context, round func() bool) {
			for round() {
			}
		},
		"at home": func(t *testing.T, c *Context, round func() bool) {
			must(t, c.Do(t.Context(), func() error {
				for round() {
				}
				return nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ioThread(t, "io").Context()
			var begun, over atomic.Int64
			go func() {
				for n := int64(1); n <= int64(rounds); n++ {
					for begun.Load() != n {
						runtime.Gosched()
					}
					for range n % 64 { // to meet the waiter at every point of its way
						_ = begun.Load()
					}
					over.Store(n)
					KickWaiters()
				}
			}()
			n := int64(0)
			wait(t, c, func() bool {
				n++
				begun.Store(n)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := c.WaitWhile(ctx, func() bool { return over.Load() != n }); err != nil {
					t.Fatalf("round %d: %v", n, err)
				}
				return n < int64(rounds)
			})
		})
	}
}

// Many wait and many kick, with conditions under a lock.
func TestWaitersAndKickersContend(t *testing.T) {
	const n = 4
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	threads := [n]*IOThread{}
	for i := range threads {
		threads[i] = ioThread(t, "io")
	}
	var mu sync.Mutex
	turn := 0 // of so many
	var group sync.WaitGroup
	for i := range n {
		others := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return turn%n != i && turn < n*rounds
		}
		body := func() error {
			for range rounds {
				if err := threads[(i+1)%n].Context().WaitWhile(t.Context(), others); err != nil {
					return err
				}
				mu.Lock()
				turn++
				mu.Unlock()
				KickWaiters()
			}
			return nil
		}
		group.Go(func() {
			var err error
			if i%2 == 0 {
				err = body()
			} else {
				err = threads[i].Context().Do(t.Context(), body)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestKickWithoutWaiters(t *testing.T) {
	if allocs := testing.AllocsPerRun(100, KickWaiters); allocs != 0 {
		t.Errorf("it allocates %v times", allocs)
	}
	waiters.Lock() // it does not take the lock
	defer waiters.Unlock()
	KickWaiters()
}

// A Context that is forgotten is not kept by the list of loops.
func TestForgottenLoopsAreForgotten(t *testing.T) {
	before := len(loops.all)
	func() {
		for range 10 {
			c, err := New(WithBackend(Ppoll), WithMode(ModeThread))
			must(t, err)
			must(t, errors.Join(c.waker.close(), c.port.close())) // for the descriptors
		}
	}()
	eventually(t, "the loops are collected", func() bool {
		runtime.GC()
		loops.mine()
		loops.Lock()
		defer loops.Unlock()
		return len(loops.all) <= before
	})
}

func debugThread(t *testing.T, name string) *IOThread {
	return ioThread(t, name, WithDebug(func(err error) { t.Error(err) }))
}

func TestLoopsThatWaitForEachOtherWhile(t *testing.T) {
	a, b := debugThread(t, "a").Context(), debugThread(t, "b").Context()
	flag := flagged()
	first := make(chan error, 1)
	must(t, a.ScheduleOnce(func() { first <- b.WaitWhile(t.Context(), on(flag)) }))
	registered(t, 1)
	err := b.Do(t.Context(), func() error { return a.WaitWhile(t.Context(), func() bool { return true }) })
	wantError(t, err, ErrDeadlock)
	for _, word := range []string{"WaitWhile", `"a"`, `"b"`} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %s", err, word)
		}
	}
	must(t, b.Do(t.Context(), func() error { return b.WaitWhile(t.Context(), func() bool { return !flag.Load() }) })) // its own
	// It polls: calls in the other direction are served.
	must(t, b.Do(t.Context(), func() error { return a.Do(t.Context(), func() error { return nil }) }))
	lowering(flag)()
	must(t, <-first)
	must(t, b.Do(t.Context(), func() error { // the other direction, when the first is over
		first := true
		return a.WaitWhile(t.Context(), func() (on bool) { on, first = first, false; return on })
	}))
}

// A wait for three loops in a circle is found, one that ends in a fork is none.
func TestLoopsThatWaitInACircle(t *testing.T) {
	var c [3]*Context
	for i := range c {
		c[i] = debugThread(t, string(rune('a'+i))).Context()
	}
	flag := flagged()
	ended := make(chan error, 2)
	wait := func(from, to int) {
		must(t, c[from].ScheduleOnce(func() { ended <- c[to].WaitWhile(t.Context(), on(flag)) }))
	}
	wait(0, 1)
	registered(t, 1)
	wait(1, 2)
	registered(t, 2)
	wantError(t, c[2].Do(t.Context(), func() error { return c[0].WaitWhile(t.Context(), on(flag)) }), ErrDeadlock)
	lowering(flag)()
	must(t, errors.Join(<-ended, <-ended))
}

// The function of a Do waits for the loop whose callback has called Do, and cannot go on.
func TestWaitWhileInTheFunctionOfDo(t *testing.T) {
	a, b := debugThread(t, "a").Context(), debugThread(t, "b").Context()
	err := a.Do(t.Context(), func() error {
		return b.Do(t.Context(), func() error { return a.WaitWhile(t.Context(), func() bool { return true }) })
	})
	wantError(t, err, ErrDeadlock)
}

// What waits in WaitWhile polls, and so serves the Do of a loop that waits for it.
func TestWaitWhileServesDoThatHasNotBegun(t *testing.T) {
	a, b := debugThread(t, "a").Context(), debugThread(t, "b").Context()
	calls, done := make(chan struct{}), make(chan error, 2)
	flag := flagged()
	must(t, b.ScheduleOnce(func() {
		<-calls // a is in Do by then, or nearly
		eventually(t, "a waits", func() bool {
			waits.Lock()
			defer waits.Unlock()
			return len(waits.all) == 1
		})
		done <- a.WaitWhile(t.Context(), on(flag))
	}))
	must(t, a.ScheduleOnce(func() {
		close(calls)
		done <- b.Do(t.Context(), func() error { return nil })
		lowering(flag)()
	}))
	must(t, errors.Join(<-done, <-done))
}

// Snapshot of the loop that is waited for, and of the one that is polled, names the calls.
func TestSnapshotNamesWaiters(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithName("disk"))
		main, idle := ioThread(t, "main").Context(), newLoop(WithName("idle"))
		flag := flagged()
		done := make(chan error, 2)
		must(t, main.ScheduleOnce(func() { done <- c.WaitWhile(t.Context(), on(flag)) }))
		registered(t, 1)
		go func() { done <- c.WaitWhile(t.Context(), on(flag)) }()
		registered(t, 2)
		for _, of := range []struct {
			loop *Context
			want []string
		}{
			{c, []string{`waits for loop "disk" and polls loop "main", for `, `waits for loop "disk" and blocks, for `}},
			{main, []string{`waits for loop "disk" and polls loop "main", for `}},
			{idle, nil},
		} {
			s, err := of.loop.Snapshot()
			must(t, err)
			if len(s.Waits) != len(of.want) {
				t.Fatalf("loop %q: the calls are %q", s.Name, s.Waits)
			}
			for i, want := range of.want {
				if !strings.HasPrefix(s.Waits[i], "WaitWhile at aio/wait_test.go:") || !strings.Contains(s.Waits[i], want) || !strings.Contains(s.String(), s.Waits[i]+"\n") {
					t.Errorf("loop %q: %q lacks %q; the text is\n%s", s.Name, s.Waits[i], want, s)
				}
				_, since, _ := strings.Cut(s.Waits[i], ", for ")
				if d, err := time.ParseDuration(since); err != nil || d <= 0 || d > patience {
					t.Errorf("since %q, %v", since, err)
				}
			}
		}
		lowering(flag)()
		must(t, errors.Join(<-done, <-done))
		s, err := c.Snapshot()
		must(t, err)
		if len(s.Waits) > 0 {
			t.Errorf("it still names %q", s.Waits)
		}
	})
}
