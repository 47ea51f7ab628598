//go:build linux

package aio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/sys"
)

// IOThread is a Context and the goroutine that runs it. Its methods may be called from any
// goroutine.
//
// A callback that panics ends the process, as on every goroutine: the loop catches nothing. One
// that ends its goroutine (runtime.Goexit, the FailNow of a test) ends the loop.
type IOThread struct {
	loop  *Context
	stop  context.CancelFunc
	ended chan struct{} // closed when the loop is
	taken atomic.Bool   // a Stop has returned err

	// The goroutine writes these before it closes ended.
	returned bool
	err      error
}

// StartIOThread makes a Context with the name and the options, and a goroutine that runs it until
// Stop. It returns when the loop runs. It fails as New does, and as the first Poll does if the
// thread cannot be set up; nothing is left then.
//
// WithThread, and io_uring in thread mode, lock the goroutine to its thread, which then has the
// name. WithMode(ModePark) means an I/O thread without a thread.
func StartIOThread(name string, opts ...Option) (*IOThread, error) {
	c, err := New(append([]Option{WithName(name)}, opts...)...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &IOThread{loop: c, stop: stop, ended: make(chan struct{})}
	started := make(chan error)
	go t.start(ctx, started)
	if err := <-started; err != nil {
		stop()
		return nil, err
	}
	return t, nil
}

// start calls run on any thread but the first of the process, which keeps the name of the process.
func (t *IOThread) start(ctx context.Context, started chan<- error) {
	runtime.LockOSThread() // until the loop has its thread
	if sys.Gettid() != os.Getpid() {
		t.run(ctx, started)
		return
	}
	defer runtime.UnlockOSThread()
	there := make(chan error)
	go t.start(ctx, there)
	started <- <-there
}

// run is the home goroutine.
func (t *IOThread) run(ctx context.Context, started chan<- error) {
	err := t.loop.enter()
	runtime.UnlockOSThread()
	if err != nil {
		started <- errors.Join(err, t.loop.Close())
		return
	}
	started <- nil
	defer t.end()
	t.err = t.loop.runInside(ctx, nil)
	t.returned = true
}

// end closes the loop on its home goroutine, so that its thread is given back.
func (t *IOThread) end() {
	if !t.returned {
		if v := recover(); v != nil {
			panic(v) // the trace shows where it began; Close might wait for what the callback holds
		}
		t.err = fmt.Errorf("%w: a callback has ended the goroutine of the I/O thread", ErrPanicked)
	}
	t.loop.leave()
	if err := t.loop.Close(); t.err == nil {
		t.err = err
	} else {
		t.err = errors.Join(t.err, err)
	}
	t.stop()
	close(t.ended)
}

// Context returns the loop. Its home goroutine is the I/O thread's.
func (t *IOThread) Context() *Context { return t.loop }

// Done returns a channel that is closed when the loop has ended: after Stop, or because it failed.
// Then Stop returns the error.
func (t *IOThread) Done() <-chan struct{} { return t.ended }

// Stop ends the loop, after the iteration that it is in, and closes it on its home goroutine. It
// returns what Close does, a *LeakError for example, or the error with which the loop ended before.
//
// When ctx ends first, it returns context.Cause(ctx). The loop goes on being stopped, and another
// Stop can wait for it. After one has returned the result, Stop returns ErrClosed. In a callback of
// the loop itself, and in its coroutines, it fails with ErrDeadlock, and stops nothing.
//
// Called by another loop, Stop blocks that one: it does not poll. What the I/O thread waits for in
// the meantime must not be there, or Stop waits without end; with WithDebug it fails with
// ErrDeadlock. To keep a loop going, let another goroutine call Stop; a coroutine waits for that one
// with its Wait.
func (t *IOThread) Stop(ctx context.Context) error {
	if !t.over() { // after that, the home goroutine's number may be another's
		if t.loop.OnHome() {
			return deadlockError(fmt.Sprintf("aio: Stop: a callback of loop %q would wait for its own end: call it on another goroutine", t.loop.name))
		}
		if t.loop.observer.debugs() {
			done, err := t.loop.awaits("Stop", forEnd, nil)
			if err != nil {
				return err
			}
			defer done()
		}
	}
	t.stop()
	select {
	case <-t.ended:
	case <-ctx.Done():
		if !t.over() {
			return context.Cause(ctx)
		}
	}
	if t.taken.Swap(true) {
		return ErrClosed
	}
	return t.err
}

// over reports whether the loop has ended.
func (t *IOThread) over() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}
