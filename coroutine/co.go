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
	w     *worker  // that runs it, nil before it begins and after its end
	bound *binding // to a context or a Group, nil: to none
	asked atomic.Uint32
	phase phase
	reads bool // in the queue of an RWMutex

	distant bool // made by another goroutine, and has not begun: see claim
	claimed bool // guarded by the scheduler's mu

	// Any goroutine may read these.
	token   word.Word // 1: a Wake that no Yield has taken
	wokenAt word.Word // where the latest Wake was called
	waits   word.Word // what it does: an activity and since when
	waitsAt word.Word // where the latest wait was called

	fn      func(co *Co) error
	err     error // of fn; any goroutine may read it once the phase is ended
	begunAt goroutine.Place
	name    atomic.Pointer[string]
	ended   atomic.Pointer[chan struct{}]

	next      *Co // in the list of those that are ready
	nextAsked *Co // in that of those that other goroutines have asked for, see remote.go
	wants     int // permits, in the queue of a Semaphore
}

// binding is what most coroutines have not: a context and a Group.
type binding struct {
	ctx    context.Context
	forget func() bool // ends the watch over ctx
	group  *Group      // nil: none
}

// phase is what the home goroutine has to do with a coroutine.
//
//	         begin            wait             resume
//	created ──────▶ running ──────▶ waiting ──────────▶ ready
//	                 │   ▲        or yielding             │
//	                 ▼   └────────────────────────────────┘
//	                over               enter
type phase uint8

const (
	created phase = iota // it may be in the list of those that are ready, too
	running
	waiting
	yielding // waiting in Yield, for a Wake
	ready
	over
)

// waits reports whether something has to come for the coroutine to go on.
func (p phase) waits() bool { return p == waiting || p == yielding }

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
	at, caller := goroutine.CallerPCAndCurrent()
	co, w := prepare(loop, fn, nil, at, caller)
	if w != nil {
		w.next()
		w.s.comeHome(w, caller)
	}
	return co
}

// GoContext is Go for a coroutine whose waits fail with context.Cause(ctx) once ctx ends.
//
//go:noinline
func GoContext(ctx context.Context, loop *aio.Context, fn func(co *Co) error) *Co {
	var b *binding
	if ctx != context.Background() {
		b = &binding{ctx: ctx}
	}
	at, caller := goroutine.CallerPCAndCurrent()
	return start(loop, fn, b, at, caller)
}

func start(loop *aio.Context, fn func(co *Co) error, b *binding, at goroutine.Place, caller goroutine.ID) *Co {
	co, w := prepare(loop, fn, b, at, caller)
	if w != nil {
		w.next()
		w.s.comeHome(w, caller)
	}
	return co
}

// prepare returns a coroutine, and in the most frequent case the worker that the caller is to enter.
func prepare(loop *aio.Context, fn func(co *Co) error, b *binding, at goroutine.Place, caller goroutine.ID) (*Co, *worker) {
	if fn == nil {
		panic("coroutine: Go: the function is nil")
	}
	s, home, err := of(loop, caller)
	if err != nil {
		return stillborn(loop, fn, b, at, err), nil
	}
	co := s.allocate(home)
	co.s, co.fn, co.begunAt, co.distant = s, fn, at, !home
	if b != nil {
		co.bind(b)
	}
	if home && s.plain(caller) {
		w := s.assign(co)
		s.leaveHome(w)
		return co, w
	}
	co.begin(home)
	return co, nil
}

// begin begins co, or makes it wait for that.
func (co *Co) begin(home bool) {
	switch s := co.s; {
	case !home:
		before, err := co.ask(askBegin)
		if before != 0 && s.loop.CheckHome() == aio.ErrClosed { // the end of its context has asked first, perhaps in vain
			err = aio.ErrClosed
		}
		if err != nil && co.claim() {
			co.fail(err)
		}
	case s.closing:
		co.fail(aio.ErrClosed)
	case s.enterable():
		s.run(co)
	default:
		s.push(co)
	}
}

// bind lets the end of the context end the waits of co.
func (co *Co) bind(b *binding) {
	b.forget = context.AfterFunc(b.ctx, func() { co.ask(askCheck) })
	co.bound = b
}

// stillborn returns a coroutine that has ended.
func stillborn(loop *aio.Context, fn func(co *Co) error, b *binding, at goroutine.Place, err error) *Co {
	co := &Co{s: &scheduler{loop: loop, home: &lend.Home{}, closing: true}, fn: fn, bound: b, begunAt: at}
	co.fail(err)
	return co
}

// Loop returns the loop that the coroutine belongs to. Any goroutine may call it.
func (co *Co) Loop() *aio.Context { return co.s.loop }

// Context returns what GoContext, With or a Group has given to the coroutine, or
// context.Background. The coroutine itself calls it.
func (co *Co) Context() context.Context {
	if co.bound == nil {
		return context.Background()
	}
	return co.bound.ctx
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

// finish is the end of co, whose err is known.
func (co *Co) finish() {
	co.phase = over
	co.waits.Publish(uint64(hasEnded))
	if co.ended.Load() != nil {
		co.closeDone()
	}
	if co.bound != nil {
		co.unbind()
	}
}

// fail is the end of a coroutine that has not begun.
func (co *Co) fail(err error) {
	co.err = err
	co.finish()
}

// unbind is the end of co for its context and its Group. Coroutines that it wakes are for later.
func (co *Co) unbind() {
	if s := co.s; s.mine() { // not if it is stillborn elsewhere
		outer := s.level
		s.level = level(s.home.Depth) + 1
		defer func() { s.level = outer }()
	}
	if co.bound.forget != nil {
		co.bound.forget()
	}
	if co.bound.group != nil {
		co.bound.group.ended(co)
	}
}

// With calls fn and, as long as it runs, lets the waits of the coroutine fail with
// context.Cause(ctx) once ctx ends: for the deadline of a part. The coroutine itself calls it, and
// mostly derives ctx from its Context.
func (co *Co) With(ctx context.Context, fn func() error) error {
	before, b := co.bound, &binding{ctx: ctx}
	co.bind(b)
	defer func() {
		b.forget()
		co.bound = before
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
