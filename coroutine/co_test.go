package coroutine_test

import (
	"context"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

func TestGoRunsToItsFirstWait(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		steps := 0
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			steps++
			if err := co.Yield(); err != nil {
				return err
			}
			steps++
			return nil
		})
		if steps != 1 || co.Ended() {
			t.Fatalf("%d steps, ended: %v", steps, co.Ended())
		}
		must(t, co.Wake())
		if steps != 2 || !co.Ended() || co.Err() != nil {
			t.Fatalf("%d steps, ended: %v, %v", steps, co.Ended(), co.Err())
		}
		wantError(t, co.Wake(), coroutine.ErrEnded)
	})
}

func TestSleepAndWait(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			begin := loop.Now(aio.Realtime)
			if err := co.Sleep(time.Millisecond); err != nil {
				return err
			}
			if d := loop.Now(aio.Realtime) - begin; d < time.Millisecond {
				t.Errorf("it has slept %v", d)
			}
			half := 0
			return co.Wait(func(done func()) {
				_ = loop.ScheduleOnce(func() { half++; done() })
			})
		})
		pollUntil(t, loop, co.Ended)
		must(t, co.Err())
	})
}

// TestTrap46_DoInACoroutine: what belongs to home works inside a coroutine.
func TestTrap46_DoInACoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for range 2 {
				if err := loop.CheckHome(); err != nil || !loop.OnHome() {
					t.Error("it is not at home", err)
				}
				called := false
				if err := loop.Do(context.Background(), func() error { called = true; return nil }); err != nil || !called {
					t.Error(err)
				}
				if _, err := loop.TryPoll(); err != nil {
					t.Error(err)
				}
				if err := co.Sleep(0); err != nil {
					return err
				}
			}
			return nil
		})
		pollUntil(t, loop, co.Ended)
		must(t, co.Err())
	})
}
