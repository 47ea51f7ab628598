//go:build linux

package aio

import (
	"context"

	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

// WaitWhile waits while cond returns true, and returns nil when it returns false. It calls cond on
// the caller's goroutine: when it begins, after each KickWaiters, and after each iteration of the
// loop that the caller polls. The one that changes what cond reads calls KickWaiters afterwards.
//
// On the home goroutine of c it polls c, inside a callback too: callbacks of the loop run in the
// meantime. On the home goroutine of another loop, the main loop that waits for an I/O thread for
// example, it polls that one. A goroutine that is home to several polls the one that it is inside
// of, else the one that was made first. On any other goroutine it blocks; one that is about to
// become the home goroutine of c must not call it before the first Poll.
//
// A coroutine is at home: inside one it polls, too. Callbacks and other coroutines run in the
// meantime. The coroutine itself, and those inside of which it was entered, go on after
// WaitWhile has returned. The waits of package coroutine do not nest like that, and suit it better.
//
// Snapshot of c, and of the loop that is polled, names the call.
//
// What other goroutines change is read by cond with atomics or under a lock. cond must neither
// block nor poll.
//
// It returns context.Cause(ctx) when ctx ends, ErrClosed when c is closed, and an error of Poll. If
// cond is false when it begins, it returns nil in any case.
//
// A callback that waits for what can only happen after it has returned waits without end; so do
// two loops whose callbacks wait for each other to return. Let waits between loops go in one
// direction: with WithDebug those of both directions fail with ErrDeadlock.
//
//go:noinline
func (c *Context) WaitWhile(ctx context.Context, cond func() bool) error {
	at := goroutine.CallerPC()
	if cond == nil {
		panic("aio: WaitWhile: the condition is nil")
	}
	if !cond() {
		return nil
	}
	w := newWaiter(c, cond)
	w.at, w.since = at, sys.Monotonic()
	if c.observer.debugs() && w.own != c {
		done, err := c.awaits("WaitWhile", forChange, nil)
		if err != nil {
			return err
		}
		defer done()
	}
	waiters.add(w) // A1
	defer waiters.remove(w)
	return w.wait(ctx)
}

// newWaiter is called after cond has returned true.
func newWaiter(loop *Context, cond func() bool) *waiter {
	w := &waiter{loop: loop, cond: cond, on: true, own: loop}
	if !loop.home.mine() {
		w.own = loops.mine()
	}
	if w.own == nil {
		w.token = make(chan struct{}, 1)
	}
	return w
}

func (w *waiter) wait(ctx context.Context) error {
	if w.own != nil {
		if err := w.own.run(ctx, w.over); err != nil {
			return err
		}
	} else {
		w.block(ctx)
	}
	switch {
	case !w.on:
		return nil
	case w.loop.home.closed():
		return ErrClosed
	}
	return context.Cause(ctx)
}

// block waits on a goroutine that has no loop.
func (w *waiter) block(ctx context.Context) {
	for !w.over() { // A2
		select {
		case <-w.token: // A3
		case <-ctx.Done():
			return
		}
	}
}

// over reports whether there is nothing to wait for any more.
func (w *waiter) over() bool {
	w.on = w.cond()
	return !w.on || w.loop.home.closed()
}
