package coroutine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestPingPong: two coroutines that wake each other do not nest, so the stack does not grow.
func TestPingPong(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		const rounds = 25_000
		var cos [2]*coroutine.Co
		n, deepest := 0, 0
		for i := range cos {
			cos[i] = coroutine.Go(loop, func(co *coroutine.Co) error {
				for n < rounds {
					if err := co.Yield(); err != nil {
						return err
					}
					if n++; n%1000 == 0 {
						deepest = max(deepest, runtime.Callers(0, make([]uintptr, 1000)))
					}
					if err := cos[1-i].Wake(); err != nil && !errors.Is(err, coroutine.ErrEnded) {
						return err
					}
				}
				return nil
			})
		}
		must(t, cos[0].Wake())
		for _, co := range cos {
			pollUntil(t, loop, co.Ended)
			must(t, co.Err())
		}
		if n < rounds || deepest > 30 {
			t.Errorf("%d rounds, %d calls deep", n, deepest)
		}
	})
}

// TestWakeQueuesBehindTheSwitch: a coroutine goes on when it wakes another, a callback does not.
func TestWakeQueuesBehindTheSwitch(t *testing.T) {
	loop := newLoop(t)
	var order []string
	step := func(s string) { order = append(order, s) }
	first := coroutine.Go(loop, func(co *coroutine.Co) error {
		step("a1")
		err := co.Yield()
		step("a2")
		return err
	})
	second := coroutine.Go(loop, func(co *coroutine.Co) error {
		step("b1")
		must(t, first.Wake())
		step("b2")
		err := co.Yield()
		step("b3")
		return err
	})
	step("home")
	must(t, second.Wake())
	step("end")
	if want := []string{"a1", "b1", "b2", "a2", "home", "b3", "end"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
}

// TestSelfWake: a coroutine that wakes itself lets the others run.
func TestSelfWake(t *testing.T) {
	loop := newLoop(t)
	var order []int
	coroutine.Go(loop, func(co *coroutine.Co) error {
		other := coroutine.Go(loop, func(co *coroutine.Co) error {
			err := co.Yield()
			order = append(order, 1)
			return err
		})
		must(t, other.Wake())
		must(t, co.Wake())
		err := co.Yield()
		order = append(order, 2)
		return err
	})
	if !slices.Equal(order, []int{1, 2}) {
		t.Errorf("the order is %v", order)
	}
}

// TestNestedPoll: what a Poll inside a coroutine finds runs, also what the coroutine has woken before.
func TestNestedPoll(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		inner := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
		slept := false
		outer := func(co *coroutine.Co) error {
			must(t, inner.Wake())
			coroutine.Go(loop, func(co *coroutine.Co) error {
				defer func() { slept = true }()
				return co.Sleep(time.Microsecond)
			})
			pollUntil(t, loop, func() bool { return inner.Ended() && slept })
			return nil
		}
		var co *coroutine.Co
		must(t, loop.ScheduleOnce(func() { co = coroutine.Go(loop, outer) }))
		pollUntil(t, loop, func() bool { return co != nil && co.Ended() })
		must(t, co.Err())
		must(t, inner.Err())

		inner = coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
		slept = false
		must(t, coroutine.Go(loop, outer).Err()) // outside of Poll
	})
}

// TestWaitInANestedPoll is refused: the outer part of the stack is not the coroutine's alone.
func TestWaitInANestedPoll(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		must(t, loop.ScheduleOnce(func() { wantError(t, co.Yield(), coroutine.ErrNested) }))
		_, err := loop.Poll()
		return err
	})
	must(t, co.Err())
	if !co.Ended() {
		t.Error("it has not ended")
	}
}

// TestTrap29_OtherThread: nothing enters a coroutine on another thread.
func TestTrap29_OtherThread(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		home := make(chan struct{})
		steps := 0
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for range 2 {
				if err := co.Yield(); err != nil {
					return err
				}
				if !loop.OnHome() {
					t.Error("it is not at home")
				}
				steps++
			}
			return nil
		})
		go func() {
			defer close(home)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			wantError(t, co.Enter(), aio.ErrWrongGoroutine)
			wantError(t, co.Yield(), coroutine.ErrNotRunning)
			wantError(t, co.Sleep(0), coroutine.ErrNotRunning)
			wantError(t, co.Wait(func(func()) { t.Error("it begins") }), coroutine.ErrNotRunning)
			if err := co.Wake(); err != nil {
				t.Error(err)
			}
		}()
		<-home
		if steps != 0 {
			t.Error("it has run elsewhere")
		}
		pollUntil(t, loop, func() bool { return steps == 1 })
		wantError(t, co.Yield(), coroutine.ErrNotRunning) // on home, but in no coroutine
		must(t, co.Enter())
		if steps != 2 {
			t.Errorf("%d steps", steps)
		}
	})
}

// TestGoElsewhere: a coroutine that another goroutine starts begins on home.
func TestGoElsewhere(t *testing.T) {
	loop, err := aio.New()
	must(t, err)
	co := coroutine.Go(loop, func(co *coroutine.Co) error { // there is no home goroutine yet
		if !loop.OnHome() {
			t.Error("it is not at home")
		}
		return co.Sleep(0)
	})
	if co.Ended() {
		t.Error("it has run")
	}
	pollUntil(t, loop, co.Ended)
	must(t, co.Err())
	done := make(chan *coroutine.Co)
	go func() { done <- coroutine.Go(loop, func(co *coroutine.Co) error { return co.Sleep(0) }) }()
	other := <-done
	pollUntil(t, loop, other.Ended)
	must(t, other.Err())
	unbegun := coroutine.Go(loop, func(*coroutine.Co) error { return nil })
	_ = unbegun
	go func() {
		done <- coroutine.Go(loop, func(*coroutine.Co) error { t.Error("it begins"); return nil })
	}()
	other = <-done
	err = loop.Close()
	var leak *aio.LeakError
	if err != nil && !errors.As(err, &leak) {
		t.Error(err)
	}
	<-other.Done()
	wantError(t, other.Err(), aio.ErrClosed)
	wantError(t, other.Wake(), aio.ErrClosed)
}

func TestMisuseNamesBothPlaces(t *testing.T) {
	loop := newLoop(t)
	check := func(err error, problem string) {
		t.Helper()
		var use *coroutine.UseError
		if !errors.As(err, &use) || use.Problem != problem || !strings.HasPrefix(use.First, "coroutine/wake_test.go:") ||
			!strings.HasPrefix(use.Second, "coroutine/wake_test.go:") || use.First == use.Second {
			t.Errorf("the error is %v", err)
		}
	}
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		check(co.Enter(), "entered while it runs")
		must(t, co.Wake())
		check(co.Wake(), "woken twice")
		must(t, co.Yield())
		return co.Sleep(time.Millisecond)
	})
	check(co.Enter(), "entered while it is not in Yield")
	must(t, co.Wake())
	elsewhere := make(chan error)
	go func() { elsewhere <- co.Wake() }()
	check(<-elsewhere, "woken twice")
	pollUntil(t, loop, co.Ended)

	late := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	go func() { elsewhere <- errors.Join(late.Wake()) }()
	must(t, <-elsewhere)
	go func() { elsewhere <- late.Wake() }()
	check(<-elsewhere, "woken twice")
	check(late.Wake(), "woken twice")
	pollUntil(t, loop, late.Ended)

	var again func()
	co = coroutine.Go(loop, func(co *coroutine.Co) error {
		return co.Wait(func(done func()) { again = done; done() })
	})
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "ended twice in one Wait: at coroutine/wake_test.go:") {
			t.Errorf("the panic is %v", p)
		}
	}()
	again()
}

func TestCancellation(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		cause := errors.New("the cause")
		ctx, cancel := context.WithCancelCause(context.Background())
		var m coroutine.Mutex
		holder := coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			defer m.Unlock(co)
			return co.Yield()
		})
		var late func()
		waits := []func(co *coroutine.Co) error{
			func(co *coroutine.Co) error { return co.Yield() },
			func(co *coroutine.Co) error { return co.Sleep(time.Hour) },
			func(co *coroutine.Co) error { return co.Wait(func(done func()) { late = done }) },
			func(co *coroutine.Co) error { return m.Lock(co) },
		}
		var cos []*coroutine.Co
		for _, wait := range waits {
			cos = append(cos, coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
				err := wait(co)
				wantError(t, co.Sleep(0), cause) // and again
				return err
			}))
		}
		cancel(cause)
		for _, co := range cos {
			pollUntil(t, loop, co.Ended)
			wantError(t, co.Err(), cause)
		}
		late() // does nothing
		must(t, holder.Wake())
		must(t, holder.Err())
		if m.Locked() {
			t.Error("the mutex was handed over to one that has given up")
		}
	})
}

func TestDeadlineOfAPart(t *testing.T) {
	loop := newLoop(t)
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		ctx, cancel := context.WithTimeout(co.Context(), time.Millisecond)
		defer cancel()
		err := co.With(ctx, func() error { return co.Sleep(time.Hour) })
		wantError(t, err, context.DeadlineExceeded)
		return co.Sleep(0) // the deadline is over, and so is the part
	})
	pollUntil(t, loop, co.Ended)
	must(t, co.Err())
}

// TestFiveLoops: loops wake each other's coroutines at random, and none is lost.
func TestFiveLoops(t *testing.T) {
	eachSetting(t, fiveLoops)
}

func fiveLoops(t *testing.T, opts ...aio.Option) {
	const loops, each, hops = 5, 10, 100
	type runner struct {
		co    *coroutine.Co
		woken atomic.Bool
	}
	var runners []*runner
	var all sync.WaitGroup
	var total atomic.Int64
	for range loops {
		loop := background(t, opts...)
		for range each {
			seed := uint64(len(runners))
			r := &runner{}
			runners = append(runners, r)
			all.Add(1)
			r.co = coroutine.Go(loop, func(co *coroutine.Co) error {
				defer all.Done()
				random := rand.New(rand.NewPCG(seed, 1))
				for range hops {
					if err := co.Yield(); err != nil {
						return err
					}
					r.woken.Store(false)
					total.Add(1)
					other := runners[random.IntN(len(runners))]
					if !other.woken.Swap(true) {
						if err := other.co.Wake(); err != nil && !errors.Is(err, coroutine.ErrEnded) {
							return err
						}
					}
				}
				return nil
			})
		}
	}
	// Each coroutine that sleeps is woken, some by chance and the rest by this goroutine.
	stop := make(chan struct{})
	go func() { all.Wait(); close(stop) }()
	for {
		select {
		case <-stop:
			for _, r := range runners {
				<-r.co.Done()
				must(t, r.co.Err())
			}
			if n := total.Load(); n != loops*each*hops {
				t.Errorf("%d wake-ups, want %d", n, loops*each*hops)
			}
			return
		default:
		}
		for _, r := range runners {
			if !r.co.Ended() && !r.woken.Swap(true) {
				if err := r.co.Wake(); err != nil && !errors.Is(err, coroutine.ErrEnded) {
					t.Error(err)
				}
			}
		}
		runtime.Gosched()
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	var m coroutine.Mutex
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		for {
			if err := co.Yield(); err != nil {
				return nil
			}
			must(t, m.Lock(co))
			m.Unlock(co)
		}
	})
	if n := testing.AllocsPerRun(1000, func() { _ = co.Wake() }); n != 0 {
		t.Errorf("%v allocations for Wake, Yield, Lock and Unlock", n)
	}
	sleeper := coroutine.Go(loop, func(co *coroutine.Co) error {
		for co.Sleep(0) == nil {
		}
		return nil
	})
	_ = sleeper
	if n := testing.AllocsPerRun(1000, func() { _, _ = loop.Poll() }); n != 0 {
		t.Errorf("%v allocations for Sleep", n)
	}
}

// TestSiblings: what belongs to another loop of the same home goroutine works inside a coroutine.
func TestSiblings(t *testing.T) {
	for _, b := range []aio.Backend{aio.Epoll, aio.IOUring} {
		one, two := newLoop(t, aio.WithBackend(b)), newLoop(t, aio.WithBackend(b))
		co := coroutine.Go(one, func(co *coroutine.Co) error {
			must(t, two.Do(context.Background(), func() error { return nil }))
			inner := coroutine.Go(two, func(co *coroutine.Co) error { return co.Sleep(0) })
			pollUntil(t, two, inner.Ended)
			must(t, inner.Err())
			return co.Sleep(0)
		})
		pollUntil(t, one, co.Ended)
		must(t, co.Err())
		must(t, two.Close())
	}
}

// TestWakeElsewhereInOrder: what another goroutine has woken runs in that order.
func TestWakeElsewhereInOrder(t *testing.T) {
	loop := newLoop(t)
	var order []int
	var cos []*coroutine.Co
	for i := range 5 {
		cos = append(cos, coroutine.Go(loop, func(co *coroutine.Co) error {
			err := co.Yield()
			order = append(order, i)
			return err
		}))
	}
	woken := make(chan error)
	go func() {
		var err error
		for _, co := range cos {
			err = errors.Join(err, co.Wake())
		}
		woken <- err
	}()
	must(t, <-woken)
	pollUntil(t, loop, cos[4].Ended)
	if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
		t.Errorf("the order is %v", order)
	}
}

// Of two goroutines that call Wake at the same time one is told that there was another.
func TestWakeOfManyGoroutinesAtTheSameTime(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll))
	for range 200 {
		yields := 0
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for {
				if err := co.Yield(); err != nil {
					return err
				}
				yields++
			}
		})
		var wakes atomic.Int64
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if co.Wake() == nil {
					wakes.Add(1)
				}
			})
		}
		wait.Wait()
		pollUntil(t, loop, func() bool { return yields > 0 })
		if wakes.Load() != 1 || yields != 1 {
			t.Fatalf("%d wakes, %d yields", wakes.Load(), yields)
		}
	}
}
