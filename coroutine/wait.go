//go:build linux

package coroutine

import (
	"context"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/goroutine"
)

// Yield waits for a Wake. If there was one that no Yield has taken, it lets the others run that are
// ready, and returns. The coroutine itself calls it.
//
// It fails with aio.ErrClosed once the loop is closed, and with context.Cause once the context of
// the coroutine ends; a Wake that comes as well stays for the next Yield. It fails with ErrNested
// inside a Poll that the coroutine itself has called, or in a call from C, and with ErrNotRunning
// on any other goroutine.
//
//go:noinline
func (co *Co) Yield() error {
	at, caller := goroutine.CallerPCAndCurrent()
	if !co.unhindered(caller) {
		if err := co.mayNotWait(); err != nil {
			return err
		}
	}
	co.phase = yielding
	if co.token.Own() != 0 { // to the end of the queue
		co.phase = ready
		co.s.push(co)
	}
	co.beginWait(inYield, at)
	co.w.yield(struct{}{})
	if err := co.endWait(); err != nil {
		return err
	}
	co.token.Set(0)
	return nil
}

// Wake ends the Yield of a coroutine, or the next one if it does something else. Any goroutine may
// call it. On the home goroutine the coroutine runs, to its next wait, before Wake returns; called
// by another coroutine, Wake puts it into a queue, and it runs when that one waits or ends; called
// elsewhere, in the next iteration.
//
// Wake fails with a *UseError if there was one that no Yield has taken, with ErrEnded if the
// coroutine has ended, and with aio.ErrClosed. A *UseError is a mistake of the program, and does not say that
// a Yield is still to return: of goroutines that may call Wake at the same time, let one do it, such as
// the one that finds a queue empty.
//
//go:noinline
func (co *Co) Wake() error {
	at, caller := goroutine.CallerPCAndCurrent()
	s := co.s
	if !s.plain(caller) || co.phase != yielding || co.asked.Load()&askWake != 0 {
		return co.wakeSlowly(at)
	}
	co.wokenAt.Set(uint64(at))
	w := co.w
	s.leaveHome(w)
	w.next()
	s.comeHome(w, caller)
	return nil
}

func (co *Co) wakeSlowly(at goroutine.Place) error {
	switch s := co.s; {
	case !s.mine():
		return co.wakeFromElsewhere(at)
	case co.phase == over:
		return co.gone()
	case co.token.Own() != 0 || co.asked.Load()&askWake != 0:
		return co.misuse("woken twice", co.place(), at)
	}
	co.token.Set(1)
	co.wokenAt.Set(uint64(at))
	if co.phase == yielding {
		co.s.resume(co)
	}
	return nil
}

// gone returns why a coroutine that has ended cannot be entered. Any goroutine may call it.
func (co *Co) gone() error {
	if co.s.loop.CheckHome() == aio.ErrClosed {
		return aio.ErrClosed
	}
	return ErrEnded
}

// Enter runs a coroutine that is in Yield, to its next wait, before it returns: like Wake, but
// called by another coroutine it does not queue, so chains of Enter nest. It fails
// with aio.ErrWrongGoroutine off the home goroutine, and with a *UseError if the coroutine runs,
// is about to run, or waits for something else.
//
//go:noinline
func (co *Co) Enter() error {
	at := goroutine.CallerPC()
	s := co.s
	switch {
	case !s.mine():
		return aio.ErrWrongGoroutine
	case co.phase == over:
		return co.gone()
	case co.phase == running:
		return co.misuse("entered while it runs", co.place(), at)
	case co.phase != yielding:
		return co.misuse("entered while it is not in Yield", co.place(), at)
	case !s.enterable():
		return ErrNested
	}
	co.wokenAt.Set(uint64(at))
	co.phase = ready
	s.run(co)
	return nil
}

// mayWait returns why the caller cannot wait as co.
func (co *Co) mayWait() error {
	if co.unhindered(goroutine.Current()) {
		return nil
	}
	return co.mayNotWait()
}

// unhindered reports whether nothing keeps the caller from waiting as co, in the most frequent case:
// it is not the first wait of co or of this iteration, and there is no context.
func (co *Co) unhindered(caller goroutine.ID) bool {
	w, s := co.w, co.s
	return w != nil && w.id == uintptr(caller) && w.holds && co.bound == nil && s.lock.plain == s.home.Locks() && s.busy() && *s.now != 0
}

// mayNotWait is mayWait in all cases.
func (co *Co) mayNotWait() error {
	w, s := co.w, co.s
	if w == nil || w.id != uintptr(goroutine.Current()) {
		return ErrNotRunning
	}
	if *s.now == 0 {
		s.readClock()
	}
	switch {
	case !s.busy() || !s.enterable():
		return ErrNested
	case s.closing:
		return w.refuse(aio.ErrClosed)
	case co.bound != nil && co.bound.ctx.Err() != nil:
		return context.Cause(co.bound.ctx)
	}
	if !w.holds {
		w.holds = true
		s.loop.Hold()
	}
	return nil
}

// away waits until resume.
func (co *Co) away(what activity, at goroutine.Place) error {
	co.phase = waiting
	co.beginWait(what, at)
	co.w.yield(struct{}{})
	return co.endWait()
}

// beginWait notes what co waits for, where and since when. The yield of its worker then lets the home
// goroutine go on, until that comes back to co.
func (co *Co) beginWait(what activity, at goroutine.Place) {
	co.waitsAt.Set(uint64(at))
	co.waits.Set(uint64(what) | uint64(*co.s.now)&^activityMask)
}

// endWait is the end of the wait, and returns its result.
func (co *Co) endWait() error {
	co.waits.Set(uint64(inFunction))
	co.phase = running
	w := co.w
	if w.result == nil {
		return nil
	}
	err := w.result
	w.result = nil
	return err
}

// resume ends the wait of co, which is called for on the home goroutine.
func (s *scheduler) resume(co *Co) {
	co.phase = ready
	if s.busy() || !s.enterable() {
		s.push(co)
		return
	}
	s.run(co)
}

// pending is a Wait that has begun.
type pending struct {
	co    *Co
	state atomicState
	at    goroutine.Place // where it was ended

	tellOther func() // called instead, if it is not a coroutine that waits
}

// Wait calls begin, which starts something, and waits until the function is called that begin
// gets: from the callback of a handler, a timer or an operation, or by any goroutine, also before
// begin returns. That function is called once; a second call panics with both places. The coroutine itself
// calls Wait.
//
//	err := co.Wait(func(done func()) {
//		request.Done = func(*aio.Request) { done() }
//		loop.Submit(request)
//	})
//
// Wait fails as Yield does. What begin has started then goes on, or begin was not called; a call
// of the function that comes later does nothing.
//
//go:noinline
func (co *Co) Wait(begin func(done func())) error {
	return co.waitFor(begin, goroutine.CallerPC())
}

func (co *Co) waitFor(begin func(done func()), at goroutine.Place) error {
	if err := co.mayWait(); err != nil {
		return err
	}
	p := &pending{co: co}
	begin(func() { p.done(goroutine.CallerPC()) })
	return co.waitPending(p, inWait, at)
}

// waitPending waits for p, which may have ended.
func (co *Co) waitPending(p *pending, what activity, at goroutine.Place) error {
	if p.state.is(pendingDone) {
		return nil
	}
	if err := co.mayWait(); err != nil && !p.abandon() { // begin may have ended what there was
		return nil
	} else if err != nil {
		return err
	}
	co.w.pending = p
	err := co.away(what, at)
	co.w.pending = nil
	if err != nil && !p.abandon() {
		return nil
	}
	return err
}

// abandon reports whether the Wait had not ended.
func (p *pending) abandon() bool { return p.state.change(pendingBegun, pendingAbandoned) }

// done ends the Wait.
func (p *pending) done(at goroutine.Place) {
	if !p.state.change(pendingBegun, pendingSettling) {
		p.again(at)
		return
	}
	p.at = at
	p.state.set(pendingDone)
	p.tell()
}

// again is a call of done that is not the first.
func (p *pending) again(at goroutine.Place) {
	if p.state.is(pendingAbandoned) {
		p.state.set(pendingLate)
		return
	}
	for p.state.is(pendingSettling) {
		yieldThread()
	}
	panic(p.co.misuse("ended twice in one Wait", p.at, at).Error())
}

// tell lets the coroutine know that p is done.
func (p *pending) tell() {
	co := p.co
	if co == nil {
		p.tellOther()
		return
	}
	if !co.s.mine() {
		_, _ = co.ask(askCheck) // a loop that is closed has ended the Wait
		return
	}
	if co.phase == waiting && co.w.pending == p {
		co.s.resume(co)
	}
}
