//go:build linux

package coroutine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/lend"
	"github.com/aioloop/aioloop/internal/word"
)

// Co is a coroutine of a loop. The function that it runs gets it as its argument, and passes it on
// to functions that may wait: a *Co as first parameter says so. Those methods that wait are for
// that function alone; each says which goroutine may call it. A Co is not used again after its end.
type Co struct {
	s     *scheduler
	w     *worker // that runs it, nil before it begins and after its end
	fn    func(co *Co) error
	group *Group
	next  *Co // in the list of those that are ready

	behind *Co  // in the queue of a lock
	wants  int  // permits, in that of a Semaphore
	reads  bool // in that of an RWMutex

	ctx    context.Context // nil: none
	result error           // of the wait that ends
	err    error           // of fn; any goroutine may read it once the phase is ended

	phase   phase
	distant bool // made by another goroutine, see claim
	entered bool // it has waited once, and keeps RunUntilDone from ending

	// Any goroutine may read these.
	token   word.Word // 1: a Wake that no Yield has taken
	wokenAt word.Word // where the latest Wake was called
	waits   word.Word // what it does: an activity and since when
	waitsAt word.Word // where the latest wait was called
	begunAt goroutine.Place
	name    atomic.Pointer[string]

	// These are for other goroutines, see remote.go.
	asked     atomic.Uint32
	claimed   atomic.Bool
	nextAsked *Co
	pending   *pending // the Wait that goes on; the home goroutine's
	ended     atomic.Pointer[chan struct{}]
	forget    func() bool // ends the watch over ctx
}

// phase is what the home goroutine has to do with a coroutine.
//
//	         begin            wait             resume
//	created ──────▶ running ──────▶ waiting ──────────▶ ready
//	                 │   ▲                                │
//	                 ▼   └────────────────────────────────┘
//	                ended             switchTo
type phase uint8

const (
	created phase = iota // it may be in the list of those that are ready, too
	running
	waiting
	ready
	over
)

// Go starts a coroutine that runs fn on the loop. On the home goroutine fn runs immediately, to its
// first wait; a coroutine may call Go, too. Any other goroutine may call it, also before the
// first Poll: fn begins in the next iteration then.
//
// Of a closed loop, or if it is closed before fn begins, fn is not called, and Err returns
// aio.ErrClosed. A panic of fn goes on to the caller of Poll, Wake or Go that has entered the
// coroutine. Go panics if fn is nil.
//
//go:noinline
func Go(loop *aio.Context, fn func(co *Co) error) *Co {
	return start(context.Background(), loop, fn, nil, goroutine.CallerPC())
}

// GoContext is Go for a coroutine whose waits fail with context.Cause(ctx) once ctx ends.
//
//go:noinline
func GoContext(ctx context.Context, loop *aio.Context, fn func(co *Co) error) *Co {
	return start(ctx, loop, fn, nil, goroutine.CallerPC())
}

func start(ctx context.Context, loop *aio.Context, fn func(co *Co) error, g *Group, at goroutine.Place) *Co {
	if fn == nil {
		panic("coroutine: Go: the function is nil")
	}
	s, home, err := of(loop)
	if err != nil {
		return stillborn(loop, fn, g, at, err)
	}
	co := s.allocate(home)
	co.s, co.fn, co.group, co.begunAt = s, fn, g, at
	if ctx != context.Background() {
		co.ctx = ctx
		co.forget = context.AfterFunc(ctx, func() { co.ask(askCheck) })
	}
	switch {
	case !home:
		co.distant = true
		if err := co.ask(askBegin); err != nil && co.claim() {
			co.finish(err)
		}
	case s.closing:
		co.finish(aio.ErrClosed)
	default:
		s.begin(co)
	}
	return co
}

// stillborn returns a coroutine that has ended.
func stillborn(loop *aio.Context, fn func(co *Co) error, g *Group, at goroutine.Place, err error) *Co {
	co := &Co{s: &scheduler{loop: loop, home: &lend.Home{}, closing: true}, fn: fn, group: g, begunAt: at}
	co.finish(err)
	return co
}

// Loop returns the loop that the coroutine belongs to. Any goroutine may call it.
func (co *Co) Loop() *aio.Context { return co.s.loop }

// Context returns what GoContext, With or a Group has given to the coroutine, or
// context.Background. The coroutine itself calls it.
func (co *Co) Context() context.Context {
	if co.ctx == nil {
		return context.Background()
	}
	return co.ctx
}

// Done returns a channel that is closed when the coroutine has ended. Any goroutine may call it. A
// coroutine must not receive from it, which would block the loop: a Group is for that.
func (co *Co) Done() <-chan struct{} {
	if ch := co.ended.Load(); ch != nil {
		return *ch
	}
	if ch := make(chan struct{}); co.ended.CompareAndSwap(nil, &ch) && co.is(hasEnded) {
		co.closeDone()
	}
	return *co.ended.Load()
}

// closeDone closes the channel of Done. Of its end and of a Done that comes at the same time, both
// call it: one of them sees what the other has done.
func (co *Co) closeDone() {
	if ch := co.ended.Swap(&closedChannel); ch != &closedChannel {
		close(*ch)
	}
}

// closedChannel is that of coroutines which ended before Done was called.
var closedChannel = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// Err returns what the function of a coroutine that has ended has returned, a *PanicError if it
// panicked, and ErrGoexit if it has ended its goroutine. Before its end, Err returns nil. Any
// goroutine may call it.
func (co *Co) Err() error {
	if co.is(hasEnded) {
		return co.err
	}
	return nil
}

// Ended reports whether the coroutine has ended. Any goroutine may call it.
func (co *Co) Ended() bool { return co.is(hasEnded) }

// finish is the end of co.
func (co *Co) finish(err error) {
	co.err, co.phase = err, over
	co.waits.Publish(uint64(hasEnded))
	if co.ended.Load() != nil {
		co.closeDone()
	}
	if co.forget != nil {
		co.forget()
	}
	if co.group != nil {
		co.group.ended(co)
	}
}

// With calls fn and, as long as it runs, lets the waits of the coroutine fail with
// context.Cause(ctx) once ctx ends: for the deadline of a part. The coroutine itself calls it, and
// mostly derives ctx from its Context.
func (co *Co) With(ctx context.Context, fn func() error) error {
	before := co.ctx
	co.ctx = ctx
	stop := context.AfterFunc(ctx, func() { co.ask(askCheck) })
	defer func() {
		stop()
		co.ctx = before
	}()
	return fn()
}

// Sleep waits for d on the Realtime clock. With 0 or less it lets an iteration of the loop go by.
// The coroutine itself calls it. It fails as Yield does.
//
//go:noinline
func (co *Co) Sleep(d time.Duration) error {
	return co.sleep(aio.Realtime, d, goroutine.CallerPC())
}

// SleepOn is Sleep on another of the loop's clocks. It panics if there is no such clock.
//
//go:noinline
func (co *Co) SleepOn(clock aio.ClockID, d time.Duration) error {
	return co.sleep(clock, d, goroutine.CallerPC())
}

func (co *Co) sleep(clock aio.ClockID, d time.Duration, at goroutine.Place) error {
	if err := co.mayWait(); err != nil {
		return err
	}
	t := co.w.timer(clock)
	if err := t.Reset(d); err != nil {
		return err
	}
	err := co.away(inSleep, at)
	t.Stop()
	return err
}
