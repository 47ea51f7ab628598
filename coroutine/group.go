//go:build linux

package coroutine

import (
	"context"
	"sync"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
)

// Group is coroutines of one loop that work on one thing. The first that fails ends the context
// of all, so the waits of the others fail, and its error is the Group's.
type Group struct {
	loop   *aio.Context
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards the rest
	running int
	err     error
	waiters []*pending
}

// NewGroup returns a Group without coroutines, whose context is derived from ctx. Any goroutine may
// call it. Wait releases what the context takes.
func NewGroup(ctx context.Context, loop *aio.Context) *Group {
	g := &Group{loop: loop}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context returns what the coroutines of the Group have as their Context. Any goroutine may call it.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts a coroutine like GoContext. Any goroutine may call it.
//
//go:noinline
func (g *Group) Go(fn func(co *Co) error) *Co {
	at, caller := goroutine.CallerPCAndCurrent()
	if fn == nil {
		panic("coroutine: Group.Go: the function is nil")
	}
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
	return start(g.loop, fn, &binding{ctx: g.ctx, group: g}, at, caller)
}

// ended is called at the end of each.
func (g *Group) ended(co *Co) {
	g.mu.Lock()
	g.running--
	if co.err != nil && g.err == nil {
		g.err = co.err
		g.cancel(co.err)
	}
	var waiters []*pending
	if g.running == 0 {
		waiters, g.waiters = g.waiters, nil
	}
	g.mu.Unlock()
	for _, p := range waiters {
		p.done(co.begunAt)
	}
}

// Wait waits until the coroutines of the Group have ended, and returns the first error. A
// coroutine calls it that is not one of them, of any loop. If its wait fails, it fails as Yield does; the Group goes on then.
//
//go:noinline
func (g *Group) Wait(co *Co) error {
	at := goroutine.CallerPC()
	p := &pending{co: co}
	if !g.enlist(p) {
		return g.end()
	}
	if err := co.waitPending(p, inGroup, at); err != nil {
		return err
	}
	return g.end()
}

// WaitOutside is Wait on a goroutine that is not at home: it blocks until the coroutines have ended,
// or returns context.Cause(ctx) if ctx ends first.
func (g *Group) WaitOutside(ctx context.Context) error {
	done := make(chan struct{})
	p := &pending{tellOther: func() { close(done) }}
	if !g.enlist(p) {
		return g.end()
	}
	select {
	case <-done:
		return g.end()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enlist reports whether there is something to wait for. Then p is ended after it.
func (g *Group) enlist(p *pending) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		return false
	}
	g.waiters = append(g.waiters, p)
	return true
}

// end returns the error, after the end of all.
func (g *Group) end() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		g.cancel(context.Canceled)
	}
	return g.err
}
