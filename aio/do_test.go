package aio

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
)

func TestDoFromHomeRunsAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		wantError(t, c.Do(t.Context(), func() error { return errCause }), errCause)
		ran := false
		must(t, c.ScheduleOnce(func() {
			must(t, c.Do(t.Context(), func() error { ran = true; return nil }))
			if !ran {
				t.Error("not run at once")
			}
		}))
		turn(t, c)
	})
}

func TestDoAndCallFromElsewhere(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		count := 0 // belongs to the loop: a race otherwise
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 100 {
					must(t, c.Do(t.Context(), func() error { count++; return nil }))
				}
			})
		}
		group.Wait()
		n, err := Call(t.Context(), c, func() (int, error) { return count, errCause })
		if n != 400 || !errors.Is(err, errCause) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// If ctx ends before the function has begun, it does not run.
func TestDoGivesUpBeforeTheFunctionBegins(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop() // no goroutine polls it
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		wantError(t, c.Do(ctx, func() error { t.Error("ran"); return nil }), errCause)
		turn(t, c)
	})
}

// That holds on the home goroutine too, and if the loop is faster than Do.
func TestDoAfterItsContextHasEnded(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		bad := func() error { t.Error("ran"); return nil }
		c := newLoop()
		turn(t, c)
		wantError(t, c.Do(ctx, bad), errCause)
		must(t, c.ScheduleOnce(func() { wantError(t, c.Do(ctx, bad), errCause) }))
		turn(t, c)
		running := newLoop()
		start(t, running)
		for range 200 {
			wantError(t, running.Do(ctx, bad), errCause)
		}
	})
}

// Once it has begun, Do waits for it, and returns what it returns.
func TestDoWaitsForAFunctionThatHasBegun(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		finished := false
		group.Go(func() {
			must(t, c.Do(ctx, func() error {
				cancel()
				for range 100 {
					runtime.Gosched()
				}
				finished = true
				return nil
			}))
			if !finished {
				t.Error("Do returned before the function did")
			}
		})
		pollUntil(t, c, func() bool { return finished })
		group.Wait()
	})
}

func TestDoWhenTheContextIsClosed(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		var group sync.WaitGroup
		group.Go(func() {
			err := c.Do(context.Background(), func() error { t.Error("ran"); return nil })
			wantError(t, err, ErrClosed)
		})
		eventually(t, "it is scheduled", func() bool { return !c.halves.queue.empty() })
		must(t, c.Close()) // nothing is lost: the caller of Do hears of it
		group.Wait()
		wantError(t, c.Do(context.Background(), func() error { t.Error("ran"); return nil }), ErrClosed)
		_, err := Call(context.Background(), c, func() (int, error) { t.Error("ran"); return 0, nil })
		wantError(t, err, ErrClosed)
	})
}

// A panic goes to the caller of Poll; the caller of Do hears that there was one.
func TestDoOfAFunctionThatDoesNotReturn(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		var group sync.WaitGroup
		group.Go(func() {
			n, err := Call(t.Context(), c, func() (int, error) { panic("bad") })
			if wantError(t, err, ErrPanicked); n != 0 {
				t.Errorf("result %d", n)
			}
		})
		eventually(t, "it is scheduled", func() bool { return !c.halves.queue.empty() })
		if v := panicOf(func() { _, _ = c.Poll() }); v != "bad" {
			t.Errorf("Poll panicked with %v", v)
		}
		group.Wait()
	})
}
