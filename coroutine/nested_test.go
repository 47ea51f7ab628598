package coroutine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// ioThread starts an I/O thread that the end of the test stops.
func ioThread(t *testing.T, opts ...aio.Option) *aio.IOThread {
	t.Helper()
	thread, err := aio.StartIOThread("io", opts...)
	must(t, err)
	t.Cleanup(func() {
		if err := thread.Stop(context.Background()); err != nil && !errors.Is(err, aio.ErrClosed) {
			t.Error(err)
		}
	})
	return thread
}

// TestWaitWhileInACoroutine: it polls, so callbacks and other coroutines run in the meantime. Those that
// the coroutine was entered in, and itself, go on afterwards.
func TestWaitWhileInACoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var order []string
		step := func(s string) { order = append(order, s) }
		waiting := true
		other := coroutine.Go(loop, func(co *coroutine.Co) error {
			for i := range 3 {
				if err := co.Sleep(0); err != nil {
					return err
				}
				step("other" + string(rune('0'+i)))
			}
			waiting = false
			return nil
		})
		var inner *coroutine.Co
		outer := coroutine.Go(loop, func(co *coroutine.Co) error {
			inner = coroutine.Go(loop, func(co *coroutine.Co) error {
				must(t, co.Wake()) // for the Yield below
				looks := 0
				err := loop.WaitWhile(context.Background(), func() bool {
					if looks++; looks > 1 { // inside the Poll
						wantError(t, co.Yield(), coroutine.ErrNested)
					}
					return waiting
				})
				step("waited")
				return errors.Join(err, co.Yield(), co.Sleep(0))
			})
			step("outer")
			return co.Sleep(0)
		})
		pollUntil(t, loop, func() bool { return outer.Ended() && inner.Ended() && other.Ended() })
		must(t, errors.Join(outer.Err(), inner.Err(), other.Err()))
		if want := []string{"other0", "other1", "other2", "waited", "outer"}; !slices.Equal(order, want) {
			t.Errorf("the order is %v, want %v", order, want)
		}
	}, aio.WithDebug(func(err error) { panic(err) }))
}

// TestWaitWhileInACoroutineForAnotherLoop polls its own loop, which serves the other one.
func TestWaitWhileInACoroutineForAnotherLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		thread := ioThread(t)
		var seen, over atomic.Bool
		served := false
		theirs := make(chan *coroutine.Co, 1)
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			theirs <- coroutine.Go(thread.Context(), func(*coroutine.Co) error {
				defer aio.KickWaiters()
				defer over.Store(true)
				return errors.Join(
					loop.Do(context.Background(), func() error { served = true; return nil }),
					loop.WaitWhile(context.Background(), func() bool { return !seen.Load() })) // both wait
			})
			return thread.Context().WaitWhile(context.Background(), func() bool {
				if served && !seen.Swap(true) {
					aio.KickWaiters()
				}
				return !over.Load()
			})
		})
		pollUntil(t, loop, co.Ended)
		must(t, co.Err())
		ended(t, []*coroutine.Co{<-theirs})
	})
}

// TestStopInACoroutine: Stop of another loop blocks this one; by the Wait of a coroutine it does not. Stop of the
// own loop is refused.
func TestStopInACoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		ended := make(chan error, 1)
		thread := ioThread(t)
		sleeper := coroutine.Go(thread.Context(), func(co *coroutine.Co) error { return co.Sleep(time.Hour) })
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := thread.Stop(context.Background()); err != nil {
				return err
			}
			wantError(t, sleeper.Err(), aio.ErrClosed)
			if !loop.OnHome() {
				t.Error("it is not at home")
			}
			return co.Sleep(0)
		})
		pollUntil(t, loop, co.Ended)
		must(t, co.Err())

		second, begun := ioThread(t), make(chan struct{})
		busy := coroutine.Go(second.Context(), func(co *coroutine.Co) error { // it ends only if this loop goes on
			close(begun)
			return loop.Do(context.Background(), func() error { return nil })
		})
		co = coroutine.Go(loop, func(co *coroutine.Co) (err error) {
			failed := co.Wait(func(done func()) {
				go func() {
					<-begun
					err = second.Stop(context.Background())
					done()
				}()
			})
			return errors.Join(failed, err)
		})
		pollUntil(t, loop, co.Ended)
		must(t, errors.Join(co.Err(), busy.Err()))

		own := ioThread(t)
		coroutine.Go(own.Context(), func(co *coroutine.Co) error {
			err := own.Stop(context.Background())
			ended <- err
			return nil
		})
		err := <-ended
		wantError(t, err, aio.ErrDeadlock)
		if !strings.Contains(err.Error(), `"io"`) {
			t.Errorf("%q lacks the name", err)
		}
		must(t, own.Context().Do(context.Background(), func() error { return nil })) // it goes on
		must(t, own.Stop(context.Background()))
	})
}

// TestStopInACoroutineIsKnownToDebug: what the I/O thread waits for is in the loop that Stop blocks.
func TestStopInACoroutineIsKnownToDebug(t *testing.T) {
	debug := aio.WithDebug(func(err error) { t.Error(err) })
	loop, thread := newLoop(t, debug), ioThread(t, debug)
	waited := make(chan error, 1)
	var flag atomic.Bool
	must(t, thread.Context().ScheduleOnce(func() {
		waited <- loop.WaitWhile(context.Background(), func() bool { return !flag.Load() })
	}))
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		for { // until the I/O thread waits
			s, err := thread.Context().Snapshot()
			if err != nil || len(s.Waits) > 0 {
				wantError(t, thread.Stop(context.Background()), aio.ErrDeadlock)
				flag.Store(true)
				aio.KickWaiters()
				return err
			}
			if err := co.Sleep(0); err != nil {
				return err
			}
		}
	})
	pollUntil(t, loop, co.Ended)
	must(t, co.Err())
	must(t, <-waited)
	must(t, thread.Stop(context.Background()))
}
