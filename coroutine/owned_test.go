package coroutine_test

import (
	"context"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestOfAnotherLoop: what belongs to one loop panics in a coroutine of another, with its name, and goes on
// as if that had not called.
func TestOfAnotherLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var m coroutine.Mutex
		var rw coroutine.RWMutex
		var s coroutine.Semaphore
		var q coroutine.Queue
		s.Release(2) // before a coroutine has used it, any goroutine may
		first := coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, m.Lock(co))
			m.Unlock(co)
			must(t, rw.RLock(co))
			rw.RUnlock(co)
			must(t, s.Acquire(co, 1))
			return q.Wait(co, nil)
		})
		thread := ioThread(t)
		stranger := coroutine.Go(thread.Context(), func(co *coroutine.Co) error {
			co.Named("stranger")
			for want, use := range map[string]func(){
				"stranger locks a Mutex of another loop":              func() { _ = m.Lock(co) },
				"stranger locks an RWMutex of another loop":           func() { _ = rw.Lock(co) },
				"stranger acquires from a Semaphore of another loop":  func() { _ = s.Acquire(co, 1) },
				"stranger waits in a Queue of another loop":           func() { _ = q.Wait(co, nil) },
				"Semaphore.TryAcquire on a goroutine that is not the": func() { s.TryAcquire(1) },
				"Semaphore.Release on a goroutine that is not the":    func() { s.Release(1) },
				"Queue.Next on a goroutine that is not the":           func() { q.Next() },
				"Queue.All on a goroutine that is not the":            func() { q.All() },
				"Queue.Empty on a goroutine that is not the":          func() { q.Empty() },
			} {
				wantPanic(t, want, use)
			}
			return co.Sleep(0)
		})
		ended(t, []*coroutine.Co{stranger})
		if q.Empty() || !s.TryAcquire(1) || s.TryAcquire(1) {
			t.Error("the stranger has changed something")
		}
		if !q.Next() || !q.Empty() {
			t.Error("the queue had another one")
		}
		must(t, first.Err())

		callback := false // inside a coroutine that polls, callbacks are at home
		coroutine.Go(loop, func(co *coroutine.Co) error {
			must(t, loop.ScheduleOnce(func() { s.Release(1); callback = s.TryAcquire(1) }))
			return loop.WaitWhile(context.Background(), func() bool { return !callback })
		})
		must(t, loop.Close())
		done := make(chan struct{})
		go func() { // a deferred Release of a program that ends
			defer close(done)
			s.Release(1)
			q.Next()
		}()
		<-done
	})
}
