//go:build linux

package aio

import (
	"context"
	"errors"
	"sync/atomic"
)

// Run polls until ctx ends, and returns nil then, or the first error of Poll; context.Cause(ctx)
// has the reason. What Poll says about the home goroutine holds for Run too. The iteration during
// which ctx ends is completed.
func (c *Context) Run(ctx context.Context) error {
	return c.run(ctx, nil)
}

// RunUntilDone is Run that also returns nil when there is nothing left to wait for: no handler
// that is watched, but for those in the background, no pending timer, no scheduled bottom half, no
// operation under way and no Hold. What other goroutines are going to schedule does not count.
func (c *Context) RunUntilDone(ctx context.Context) error {
	c.drains.Add(1)
	defer c.drains.Add(-1)
	return c.run(ctx, c.done)
}

// done reports whether there is nothing left to wait for.
func (c *Context) done() bool {
	return !c.halves.any(&c.watch) && c.table.watching() == 0 && c.holds.Load() == 0 && c.timers.pending() == 0 &&
		!c.operations.underWay() && !c.operations.busy() && c.closings.empty()
}

// run ends with ctx, or when done, which may be nil, says so.
func (c *Context) run(ctx context.Context, done func() bool) error {
	// Entered for all iterations together: in between, too, Close is refused.
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	return c.runInside(ctx, done)
}

// runInside is run of a goroutine that has entered.
func (c *Context) runInside(ctx context.Context, done func() bool) (err error) {
	if !c.home.nested() {
		end := c.port.stay()
		defer func() {
			if e := end(); e != nil {
				err = errors.Join(err, c.error(e))
			}
		}()
	}
	if c.turn.outside() {
		defer c.leaveTurn(c.enterTurn())
	}
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() {
		stop.Store(true)
		c.Notify()
	})()
	for !stop.Load() && (done == nil || !done()) {
		if _, err := c.iterate(true); err != nil {
			return err
		}
	}
	return nil
}

// OnHome reports whether the caller is the home goroutine, the one that polls. Before the first
// Poll there is none.
func (c *Context) OnHome() bool { return c.home.mine() }

// CheckHome returns nil if the caller may use what belongs to the home goroutine: it is that one,
// or there is none yet. Else it returns ErrWrongGoroutine or ErrClosed. It is for packages whose
// own things belong to the home goroutine.
func (c *Context) CheckHome() error {
	switch {
	case c.home.closed():
		return ErrClosed
	case c.home.taken() && !c.home.mine():
		return ErrWrongGoroutine
	}
	return nil
}

// Do calls fn on the home goroutine and returns its error. Any goroutine may call
// it; on the home goroutine fn is called directly. Two loops whose callbacks call Do of each other
// wait without end, unless ctx ends: with WithDebug it fails with ErrDeadlock. Before the first Poll there is no home
// goroutine: Do waits for one, so the goroutine that will poll must not call it by then.
//
// If ctx ends before fn has begun, fn is not called and Do returns
// context.Cause(ctx); once fn has begun, Do waits for it. Do returns ErrClosed if
// the Context is closed first, and ErrPanicked if fn did not return.
func (c *Context) Do(ctx context.Context, fn func() error) error {
	if fn == nil {
		panic("aio: Do: the function is nil")
	}
	if c.home.mine() {
		switch {
		case c.home.closed():
			return ErrClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		return fn()
	}
	call := &call{ctx: ctx, fn: fn, done: make(chan struct{})}
	if c.observer.debugs() {
		done, err := c.awaits("Do", forCall, &call.claimed)
		if err != nil {
			return err
		}
		defer done()
	}
	b := c.NewBottomHalf(call.run)
	b.awaited = true
	if err := c.port.stopping(b.Schedule); err != nil {
		return call.abandon(err)
	}
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return call.abandon(context.Cause(ctx))
	case <-c.ending.signal():
		return call.abandon(ErrClosed)
	}
}

// Call is Do for a function with a result.
func Call[T any](ctx context.Context, c *Context, fn func() (T, error)) (T, error) {
	if fn == nil {
		panic("aio: Call: the function is nil")
	}
	var result T
	err := c.Do(ctx, func() (err error) {
		result, err = fn()
		return err
	})
	if errors.Is(err, ErrPanicked) { // fn may have been half way through
		var zero T
		return zero, err
	}
	return result, err
}

// call is a function on its way to the loop. The one that sets claimed, the loop that
// begins it or the caller that gives up, decides whether it runs.
type call struct {
	ctx     context.Context
	fn      func() error
	claimed atomic.Bool
	done    chan struct{}
	err     error
}

func (k *call) run() {
	if k.claimed.Swap(true) {
		return
	}
	defer close(k.done)
	if k.ctx.Err() != nil { // its caller has not noticed yet
		k.err = context.Cause(k.ctx)
		return
	}
	k.err = ErrPanicked
	k.err = k.fn()
}

func (k *call) abandon(reason error) error {
	if !k.claimed.Swap(true) {
		return reason
	}
	<-k.done
	return k.err
}
