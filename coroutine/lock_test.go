package coroutine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestMutexCounts: read, wait and write is one step under the lock, and it is handed over in order.
func TestMutexCounts(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		const workers, rounds = 20, 20
		var m coroutine.Mutex
		counter := 0
		var order []int
		g := coroutine.NewGroup(context.Background(), loop)
		for i := range workers {
			g.Go(func(co *coroutine.Co) error {
				for range rounds {
					if err := m.Lock(co); err != nil {
						return err
					}
					order = append(order, i)
					before := counter
					if err := co.Sleep(0); err != nil {
						return err
					}
					counter = before + 1
					m.Unlock(co)
				}
				return nil
			})
		}
		waiter := coroutine.Go(loop, func(co *coroutine.Co) error { return g.Wait(co) })
		pollUntil(t, loop, waiter.Ended)
		must(t, waiter.Err())
		if counter != workers*rounds || m.Locked() {
			t.Errorf("counted to %d, locked: %v", counter, m.Locked())
		}
		for i := workers; i < len(order); i++ {
			if order[i] != order[i-workers] {
				t.Fatalf("not handed over in order: %v", order[:i+1])
			}
		}
	})
}

func TestMutexMisuse(t *testing.T) {
	loop := newLoop(t)
	var m, other coroutine.Mutex
	panics := func(want string, f func()) { t.Helper(); wantPanic(t, want, f) }
	holder := coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("holder")
		must(t, m.Lock(co))
		defer m.Unlock(co)
		panics("holder locks a Mutex that it has locked", func() { _ = m.Lock(co) })
		return co.Yield()
	})
	coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("other")
		panics("other unlocks a Mutex that holder has locked", func() { m.Unlock(co) })
		panics("other unlocks a Mutex that no coroutine has locked", func() { other.Unlock(co) })
		return nil
	})
	wantError(t, other.Lock(holder), coroutine.ErrNotRunning)
	panics("keeper has ended with a *coroutine.Mutex locked, since coroutine/lock_test.go:", func() {
		coroutine.Go(loop, func(co *coroutine.Co) error { co.Named("keeper"); return other.Lock(co) })
	})
	var rw coroutine.RWMutex
	var shared coroutine.SharedMutex
	coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("third")
		panics("third calls RUnlock of an RWMutex that 0 readers have locked", func() { rw.RUnlock(co) })
		panics("third calls Unlock of an RWMutex that 0 readers have locked", func() { rw.Unlock(co) })
		panics("third unlocks a SharedMutex that no coroutine has locked", func() { shared.Unlock(co) })
		must(t, shared.Lock(co))
		panics("third locks a SharedMutex that it has locked", func() { _ = shared.Lock(co) })
		shared.Unlock(co)
		must(t, rw.Lock(co))
		panics("third locks an RWMutex that it has locked", func() { _ = rw.RLock(co) })
		rw.Unlock(co)
		return nil
	})
	loop2 := newLoop(t)
	coroutine.Go(loop2, func(co *coroutine.Co) error {
		panics("locks a Mutex of another loop: a SharedMutex is for that", func() { _ = m.Lock(co) })
		return nil
	})
	must(t, holder.Wake())
	must(t, holder.Err())
}

func TestRWMutexIsFair(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.RWMutex
	var order []string
	run := func(name string, lock func(*coroutine.Co) error, unlock func(*coroutine.Co)) *coroutine.Co {
		return coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := lock(co); err != nil {
				return err
			}
			order = append(order, name+"+")
			err := co.Yield()
			order = append(order, name+"-")
			unlock(co)
			return err
		})
	}
	r1 := run("r1", m.RLock, m.RUnlock)
	r2 := run("r2", m.RLock, m.RUnlock)
	w := run("w", m.Lock, m.Unlock)
	r3 := run("r3", m.RLock, m.RUnlock) // waits behind the writer
	for _, co := range []*coroutine.Co{r1, r2, w, r3} {
		must(t, co.Wake())
		must(t, co.Err())
	}
	if want := []string{"r1+", "r2+", "r1-", "r2-", "w+", "w-", "r3+", "r3-"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
}

// TestRWMutexCancelledWriter: readers behind a writer that gives up go on.
func TestRWMutexCancelledWriter(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.RWMutex
	ctx, cancel := context.WithCancel(context.Background())
	reader := coroutine.Go(loop, func(co *coroutine.Co) error {
		must(t, m.RLock(co))
		defer m.RUnlock(co)
		return co.Yield()
	})
	writer := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error { return m.Lock(co) })
	second := coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := m.RLock(co); err != nil {
			return err
		}
		m.RUnlock(co)
		return nil
	})
	cancel()
	pollUntil(t, loop, second.Ended)
	wantError(t, writer.Err(), context.Canceled)
	must(t, second.Err())
	must(t, reader.Wake())
}

func TestSemaphoreIsFair(t *testing.T) {
	loop := newLoop(t)
	var s coroutine.Semaphore
	var order []int
	acquire := func(n int) *coroutine.Co {
		return coroutine.Go(loop, func(co *coroutine.Co) error {
			err := s.Acquire(co, n)
			order = append(order, n)
			return err
		})
	}
	s.Release(2)
	many, few := acquire(3), acquire(1)
	if len(order) != 0 || s.TryAcquire(1) {
		t.Fatalf("passed by: %v", order)
	}
	s.Release(1)
	if !many.Ended() || few.Ended() {
		t.Fatalf("the order is %v", order)
	}
	s.Release(1)
	if !few.Ended() || s.TryAcquire(1) || !slices.Equal(order, []int{3, 1}) {
		t.Fatalf("the order is %v", order)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.Release(1)
	big := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error { return s.Acquire(co, 100) })
	small := acquire(1)
	cancel()
	pollUntil(t, loop, small.Ended)
	wantError(t, big.Err(), context.Canceled)
}

func TestQueue(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.Mutex
	var q coroutine.Queue
	stock, taken := 0, []int(nil)
	for i := range 3 {
		coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := m.Lock(co); err != nil {
				return err
			}
			defer m.Unlock(co)
			for stock == 0 {
				if err := q.Wait(co, &m); err != nil {
					return err
				}
			}
			stock--
			taken = append(taken, i)
			return nil
		})
	}
	stock = 1
	if !q.Next() || !slices.Equal(taken, []int{0}) {
		t.Errorf("taken by %v", taken)
	}
	stock = 2
	if n := q.All(); n != 2 || !slices.Equal(taken, []int{0, 1, 2}) || !q.Empty() || q.Next() {
		t.Errorf("%d woken, taken by %v", n, taken)
	}
	ctx, cancel := context.WithCancel(context.Background())
	co := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
		must(t, m.Lock(co))
		defer m.Unlock(co) // it has it again, whatever Wait says
		return q.Wait(co, &m)
	})
	cancel()
	pollUntil(t, loop, co.Ended)
	wantError(t, co.Err(), context.Canceled)
}

func TestGroup(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		failed := errors.New("failed")
		g := coroutine.NewGroup(context.Background(), loop)
		var first, second *coroutine.Co
		first = g.Go(func(co *coroutine.Co) error { return co.Sleep(time.Hour) })
		second = g.Go(func(co *coroutine.Co) error {
			if err := co.Sleep(0); err != nil {
				return err
			}
			return failed
		})
		outside := make(chan error)
		go func() { outside <- g.WaitOutside(context.Background()) }()
		co := coroutine.Go(loop, func(co *coroutine.Co) error { return g.Wait(co) })
		pollUntil(t, loop, co.Ended)
		wantError(t, co.Err(), failed)
		wantError(t, <-outside, failed)
		wantError(t, first.Err(), failed)
		wantError(t, second.Err(), failed)
		wantError(t, context.Cause(g.Context()), failed)
		empty := coroutine.NewGroup(context.Background(), loop)
		must(t, coroutine.Go(loop, func(co *coroutine.Co) error { return empty.Wait(co) }).Err())
	})
}

// TestSharedMutex: loops count together, and none of their steps is lost.
func TestSharedMutex(t *testing.T) {
	for _, loops := range []int{2, 5} {
		t.Run(fmt.Sprint(loops, " loops"), func(t *testing.T) {
			eachSetting(t, func(t *testing.T, opts ...aio.Option) { countTogether(t, loops, opts...) })
		})
	}
}

func countTogether(t *testing.T, loops int, opts ...aio.Option) {
	const each, rounds = 4, 100
	var m coroutine.SharedMutex
	counter, inside := 0, atomic.Int32{}
	var granted, given atomic.Int64
	var all []*coroutine.Co
	for l := range loops {
		loop := background(t, opts...)
		for i := range each {
			random := rand.New(rand.NewPCG(uint64(l), uint64(i)))
			all = append(all, coroutine.Go(loop, func(co *coroutine.Co) error {
				for range rounds {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(2000))*time.Microsecond)
					if random.IntN(4) > 0 {
						ctx = context.Background()
					}
					err := co.With(ctx, func() error { return m.Lock(co) })
					cancel()
					if errors.Is(err, context.DeadlineExceeded) {
						given.Add(1)
						continue
					}
					if err != nil {
						return err
					}
					if inside.Add(1) != 1 {
						t.Error("two are inside")
					}
					counter++
					if random.IntN(8) == 0 {
						if err := co.Sleep(0); err != nil {
							return err
						}
					}
					inside.Add(-1)
					granted.Add(1)
					m.Unlock(co)
				}
				return nil
			}))
		}
	}
	for _, co := range all {
		<-co.Done()
		must(t, co.Err())
	}
	if int64(counter) != granted.Load() || int(granted.Load()+given.Load()) != loops*each*rounds || m.Locked() {
		t.Errorf("counted to %d, %d locked, %d gave up, locked: %v", counter, granted.Load(), given.Load(), m.Locked())
	}
}

// TestSharedMutexOrder: it is handed over in the order of Lock, across a takeover of newcomers.
func TestSharedMutexOrder(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.SharedMutex
	var order []int
	lock := func(i int) *coroutine.Co {
		return coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := m.Lock(co); err != nil {
				return err
			}
			defer m.Unlock(co)
			order = append(order, i)
			return co.Yield()
		})
	}
	cos := []*coroutine.Co{lock(0), lock(1), lock(2)}
	must(t, cos[0].Wake())
	cos = append(cos, lock(3), lock(4))
	for _, co := range cos[1:] {
		must(t, co.Wake())
	}
	if !slices.Equal(order, []int{0, 1, 2, 3, 4}) || m.Locked() {
		t.Errorf("the order is %v, locked: %v", order, m.Locked())
	}
}

// A coroutine that All has woken polls, and finds that the wait of another one in the Queue has failed.
// That one waits for the Mutex then, and All does not wake it from there.
func TestQueueAllWhileAWaitFails(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		for failed, tries := false, 0; !failed && tries < 1000; tries++ {
			failed = allWhileAWaitFails(t, loop)
		}
	})
}

// allWhileAWaitFails reports whether the loop has heard of the end of a context in time.
func allWhileAWaitFails(t *testing.T, loop *aio.Context) (failed bool) {
	var m coroutine.Mutex
	var q coroutine.Queue
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	holders := 0
	wait := func(ctx context.Context, then func(co *coroutine.Co, err error) error) *coroutine.Co {
		return coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			defer m.Unlock(co)
			err := q.Wait(co, &m)
			if holders++; holders > 1 {
				t.Error("two hold the Mutex")
			}
			defer func() { holders-- }()
			return then(co, err)
		})
	}
	cos := []*coroutine.Co{
		wait(context.Background(), func(co *coroutine.Co, err error) error {
			_, e := loop.TryPoll()
			return errors.Join(err, e, co.Sleep(0))
		}),
		wait(ctx, func(_ *coroutine.Co, err error) error { failed = err != nil; return nil }),
		wait(context.Background(), func(_ *coroutine.Co, err error) error { return err }),
	}
	must(t, loop.ScheduleOnce(func() {
		cancel()
		runtime.Gosched() // the context tells the loop on another goroutine
		q.All()
	}))
	for _, co := range cos {
		pollUntil(t, loop, co.Ended)
		must(t, co.Err())
	}
	return failed
}
