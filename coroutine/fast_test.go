package coroutine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// yields is a coroutine that waits until it is woken.
func yields(co *coroutine.Co) error { return co.Yield() }

// TestPlaceOfWake has a misuse report name the Wake that has entered the coroutine directly.
func TestPlaceOfWake(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	var entered error
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := co.Yield(); err != nil {
			return err
		}
		entered = co.Enter()
		return nil
	})
	must(t, co.Wake())
	var use *coroutine.UseError
	if !errors.As(entered, &use) || use.First == use.Second || strings.Contains(co.String(), use.First) {
		t.Errorf("Enter says %v", entered)
	}
}

// TestYieldOfAnother calls Yield of a coroutine that has waited before, in one that it has entered.
func TestYieldOfAnother(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	outer := coroutine.Go(loop, func(outer *coroutine.Co) error {
		if err := outer.Yield(); err != nil {
			return err
		}
		inner := coroutine.Go(loop, func(*coroutine.Co) error { return outer.Yield() })
		wantError(t, inner.Err(), coroutine.ErrNotRunning)
		return nil
	})
	must(t, outer.Wake())
	must(t, outer.Err())
}

// TestNestedTwice waits twice in one iteration of a Poll inside the coroutine.
func TestNestedTwice(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := co.Yield(); err != nil {
			return err
		}
		half := loop.NewBottomHalf(func() {
			wantError(t, co.Yield(), coroutine.ErrNested)
			wantError(t, co.Yield(), coroutine.ErrNested)
		})
		must(t, half.Schedule())
		_, err := loop.Poll()
		return err
	})
	must(t, co.Wake())
	must(t, co.Err())
}

// TestEachHoldsTheLoop has coroutines wait in one iteration, one on the worker of another that has ended.
// RunUntilDone waits for each.
func TestEachHoldsTheLoop(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	first := coroutine.Go(loop, yields)
	second := coroutine.Go(loop, yields)
	must(t, first.Wake())
	third := coroutine.Go(loop, yields)
	for _, co := range []*coroutine.Co{second, third} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		must(t, loop.RunUntilDone(ctx))
		wantError(t, ctx.Err(), context.DeadlineExceeded) // which has ended it
		cancel()
		must(t, co.Wake())
	}
	must(t, loop.RunUntilDone(context.Background()))
}

// TestWokenAfterAPanic leaves a coroutine in the queue that was woken. A second Wake finds it there.
func TestWokenAfterAPanic(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	fails := coroutine.Go(loop, func(co *coroutine.Co) error {
		_ = co.Yield()
		panic("as it should")
	})
	var co *coroutine.Co
	wakes := coroutine.Go(loop, func(me *coroutine.Co) error {
		if err := me.Yield(); err != nil {
			return err
		}
		must(t, fails.Wake())
		must(t, me.Wake())
		return me.Yield() // behind fails
	})
	func() {
		defer func() {
			if p := recover(); p != "as it should" {
				t.Errorf("the panic is %v", p)
			}
		}()
		co = wakes
		_ = co.Wake()
	}()
	var use *coroutine.UseError
	if err := co.Wake(); !errors.As(err, &use) || use.Problem != "woken twice" {
		t.Errorf("Wake returns %v", err)
	}
	if err := co.Enter(); !errors.As(err, &use) {
		t.Errorf("Enter returns %v", err)
	}
	pollUntil(t, loop, co.Ended)
	must(t, co.Err())
}

// TestOthersHaveATurn has a coroutine that is ready all the time. A timer runs nevertheless.
func TestOthersHaveATurn(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	stop := false
	timer := loop.NewTimer(aio.Realtime, func() { stop = true })
	must(t, timer.Reset(time.Millisecond))
	turns := 0
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := co.Sleep(0); err != nil { // into the loop
			return err
		}
		for ; !stop && turns < 1<<20; turns++ {
			must(t, co.Wake())
			if err := co.Yield(); err != nil {
				return err
			}
		}
		return nil
	})
	pollUntil(t, loop, co.Ended)
	if !stop {
		t.Errorf("no timer in %d turns", turns)
	}
}

// TestDoneWhileItEnds calls Done in many goroutines while a coroutine ends: each gets a channel that is closed.
func TestDoneWhileItEnds(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	for range 1000 {
		co := coroutine.Go(loop, yields)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { <-co.Done() })
		}
		must(t, co.Wake())
		all.Wait()
		<-co.Done()
	}
}

// TestUnlockInAnyOrder unlocks what was locked in another order than the reverse one.
func TestUnlockInAnyOrder(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	var a, b, c coroutine.Mutex
	all := []*coroutine.Mutex{&a, &b, &c}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for _, m := range all {
				must(t, m.Lock(co))
			}
			for n, i := range order {
				all[i].Unlock(co)
				for _, left := range order[n+1:] {
					if !all[left].Locked() {
						t.Errorf("%v: Unlock of %d has unlocked %d", order, i, left)
					}
				}
			}
			return nil
		})
		must(t, co.Err())
	}
	if a.Locked() || b.Locked() || c.Locked() {
		t.Error(fmt.Sprint("locked at the end: ", a.Locked(), b.Locked(), c.Locked()))
	}
}

// TestUnlockForgetsTheRightOne unlocks the first of two locks. The report names where the other was locked.
func TestUnlockForgetsTheRightOne(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	var a coroutine.Mutex
	var b coroutine.RWMutex
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "*coroutine.RWMutex locked") {
			t.Errorf("the panic is %v", p)
		}
	}()
	coroutine.Go(loop, func(co *coroutine.Co) error {
		must(t, a.Lock(co))
		must(t, b.Lock(co))
		a.Unlock(co)
		return nil
	})
}

// TestAfterAPanic runs another coroutine where one has panicked, without its label.
func TestAfterAPanic(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	for _, fails := range []bool{true, false} {
		name := fmt.Sprint("labelled-", fails)
		func() {
			defer func() { _ = recover() }()
			coroutine.Go(loop, func(co *coroutine.Co) error {
				co.Named(name)
				if fails {
					panic("as it should")
				}
				return nil
			})
		}()
		var dump strings.Builder
		next := coroutine.Go(loop, func(*coroutine.Co) error { return pprof.Lookup("goroutine").WriteTo(&dump, 1) })
		must(t, next.Err())
		if !next.Ended() || dump.Len() == 0 || strings.Contains(dump.String(), name) {
			t.Errorf("ended: %v; the goroutines are\n%s", next.Ended(), &dump)
		}
	}
}
