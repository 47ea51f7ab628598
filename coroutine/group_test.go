package coroutine_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// TestGroupOfManyWaiters: each Wait ends after the last coroutine, also of another loop and outside.
func TestGroupOfManyWaiters(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		g := coroutine.NewGroup(context.Background(), loop)
		var members []*coroutine.Co
		for range 2 {
			members = append(members, g.Go(func(co *coroutine.Co) error { return co.Yield() }))
		}
		if s := members[0].String(); !strings.Contains(s, "started at coroutine/group_test.go:") {
			t.Errorf("it says %q", s)
		}
		thread := ioThread(t)
		waiters := []*coroutine.Co{coroutine.Go(thread.Context(), g.Wait)}
		for range 2 {
			waiters = append(waiters, coroutine.Go(loop, g.Wait))
		}
		outside := make(chan error)
		go func() { outside <- g.WaitOutside(context.Background()) }()
		must(t, members[0].Wake())
		for _, co := range waiters {
			if co.Ended() {
				t.Error("a Wait has ended before the last one of the Group")
			}
		}
		must(t, context.Cause(g.Context()))
		must(t, members[1].Wake())
		for _, co := range waiters[1:] {
			pollUntil(t, loop, co.Ended)
		}
		ended(t, waiters)
		must(t, <-outside)
		must(t, g.WaitOutside(context.Background())) // again
		wantError(t, g.Context().Err(), context.Canceled)
	})
}

// TestGroupWaitFails: the Group goes on, and can be waited for again.
func TestGroupWaitFails(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		g := coroutine.NewGroup(context.Background(), loop)
		member := g.Go(func(co *coroutine.Co) error { return co.Yield() })
		cause := errors.New("the cause")
		ctx, cancel := context.WithCancelCause(context.Background())
		failed := false
		co := coroutine.GoContext(ctx, loop, func(co *coroutine.Co) error {
			err := g.Wait(co)
			failed = true
			return errors.Join(err, co.With(context.Background(), func() error { return g.Wait(co) }))
		})
		outside := make(chan error)
		go func() { outside <- g.WaitOutside(ctx) }()
		cancel(cause)
		wantError(t, <-outside, cause)
		wantError(t, g.Wait(co), coroutine.ErrNotRunning)
		if !strings.Contains(co.String(), "waits for a Group at coroutine/group_test.go:") {
			t.Errorf("it is %v", co)
		}
		pollUntil(t, loop, func() bool { return failed })
		if co.Ended() || member.Ended() {
			t.Errorf("it is %v, the member is %v", co, member)
		}
		must(t, member.Wake())
		if !co.Ended() {
			t.Errorf("it is %v", co)
		}
		wantError(t, co.Err(), cause)
	})
}

// TestGroupKeepsTheFirstError, which ends the waits of the others.
func TestGroupKeepsTheFirstError(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		g := coroutine.NewGroup(context.Background(), loop)
		first, second := errors.New("first"), errors.New("second")
		var order []string
		g.Go(func(co *coroutine.Co) error {
			err := co.Sleep(time.Hour)
			order = append(order, "interrupted")
			wantError(t, err, first)
			return second
		})
		g.Go(func(co *coroutine.Co) error {
			order = append(order, "fails")
			return first
		})
		co := coroutine.Go(loop, g.Wait)
		pollUntil(t, loop, co.Ended)
		if co.Err() != first || !slices.Equal(order, []string{"fails", "interrupted"}) {
			t.Errorf("the error is %v, the order %v", co.Err(), order)
		}
	})
	wantPanic(t, "Group.Go: the function is nil", func() { coroutine.NewGroup(context.Background(), newLoop(t)).Go(nil) })
}

// TestGroupOfAClosedLoop ends with the loop.
func TestGroupOfAClosedLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		g := coroutine.NewGroup(context.Background(), loop)
		waits := g.Go(func(co *coroutine.Co) error { return co.Yield() })
		must(t, loop.Close())
		late := g.Go(func(*coroutine.Co) error { t.Error("it begins"); return nil })
		wantError(t, g.WaitOutside(context.Background()), aio.ErrClosed)
		wantError(t, waits.Err(), aio.ErrClosed)
		wantError(t, late.Err(), aio.ErrClosed)
	})
}
