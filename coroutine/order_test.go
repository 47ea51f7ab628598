package coroutine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestReleaseOfMany: one Release serves as many as it has permits for.
func TestReleaseOfMany(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var s coroutine.Semaphore
		var order []int
		var cos []*coroutine.Co
		for i := range 4 {
			cos = append(cos, coroutine.Go(loop, func(co *coroutine.Co) error {
				err := s.Acquire(co, 2)
				order = append(order, i)
				return err
			}))
		}
		s.Release(5)
		if !slices.Equal(order, []int{0, 1}) || s.TryAcquire(1) {
			t.Errorf("served were %v", order)
		}
		s.Release(3)
		if !slices.Equal(order, []int{0, 1, 2, 3}) || s.TryAcquire(1) {
			t.Errorf("served were %v", order)
		}
		for _, co := range cos {
			must(t, co.Err())
		}
	})
}

func TestSemaphoreMisuse(t *testing.T) {
	loop := newLoop(t)
	var s coroutine.Semaphore
	s.Release(1)
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("a")
		wantPanic(t, "a acquires -1 permits", func() { _ = s.Acquire(co, -1) })
		wantPanic(t, "Release of -1 permits", func() { s.Release(-1) })
		must(t, s.Acquire(co, 0))
		return co.Yield()
	})
	wantError(t, s.Acquire(co, 1), coroutine.ErrNotRunning) // home is not the coroutine
	must(t, co.Wake())
	must(t, co.Err())
	if !s.TryAcquire(1) {
		t.Error("the permit is gone")
	}
}

// TestQueueTakesTheMutexBack: a Wait that fails has the Mutex again before it returns, and waits for
// the one that holds it; unless the loop is closed.
func TestQueueTakesTheMutexBack(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var m coroutine.Mutex
		var q coroutine.Queue
		cause := errors.New("the cause")
		ctx, cancel := context.WithCancelCause(context.Background())
		var order []string
		co := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			err := q.Wait(co, &m)
			order = append(order, "waited")
			m.Unlock(co) // or it panics
			return err
		})
		holder := coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co)) // it is free as long as the other one waits in the Queue
			for _, err := range []error{co.Sleep(0), co.Yield()} {
				must(t, err)
			}
			order = append(order, "unlocks")
			m.Unlock(co)
			return nil
		})
		cancel(cause)
		pollUntil(t, loop, q.Empty) // it has left the Queue, and waits for the Mutex
		_, err := loop.TryPoll()
		must(t, err)
		if co.Ended() {
			t.Fatal("it goes on without the Mutex")
		}
		must(t, holder.Wake())
		pollUntil(t, loop, co.Ended)
		wantError(t, co.Err(), cause)
		must(t, holder.Err())
		if !slices.Equal(order, []string{"unlocks", "waited"}) {
			t.Errorf("the order is %v", order)
		}
	})
}

// TestQueueKeepsTheMutex: a Wait that cannot begin does not unlock the Mutex.
func TestQueueKeepsTheMutex(t *testing.T) {
	loop := newLoop(t)
	var m coroutine.Mutex
	var q coroutine.Queue
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	came := false
	first := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
		must(t, m.Lock(co))
		defer m.Unlock(co)
		second := coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			came = true
			m.Unlock(co)
			return nil
		})
		err := q.Wait(co, &m)
		wantError(t, q.Wait(second, &m), coroutine.ErrNotRunning)
		if came || !m.Locked() {
			t.Error("the Mutex was handed over")
		}
		return err
	})
	wantError(t, first.Err(), context.Canceled)
	if !came {
		t.Error("the Mutex was not handed over")
	}
}

// TestQueueAllWakesThoseThatWait: one that waits again immediately is not woken a second time.
func TestQueueAllWakesThoseThatWait(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var q coroutine.Queue
		var order []int
		for i := range 3 {
			coroutine.Go(loop, func(co *coroutine.Co) error {
				for {
					if err := q.Wait(co, nil); err != nil {
						return nil
					}
					order = append(order, i)
				}
			})
		}
		for range 2 {
			if n := q.All(); n != 3 {
				t.Errorf("%d were woken", n)
			}
		}
		if !slices.Equal(order, []int{0, 1, 2, 0, 1, 2}) || q.Empty() {
			t.Errorf("the order is %v", order)
		}
	})
}
