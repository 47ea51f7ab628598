//go:build linux

package aio

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/aio/internal/osthread"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/lend"
	"github.com/aioloop/aioloop/internal/sys"
)

// home is the goroutine that the loop belongs to, and whether it polls.
//
//	        enter                         hold, borrow
//	     ┌─────────▶ polling           ┌─────────▶ borrowed: a goroutine that does not
//	idle ┤             │          idle ┤              │      poll uses what is home's
//	     └◀────────────┘               └◀─────────────┘
//	        leave                        release, giveBack
//	idle ───────────▶ closed
//	        close
type home struct {
	who   lend.Home // whose it is at the moment; Depth counts nested enters
	state atomic.Uint32

	// The rest belongs to the home goroutine.
	thread *osthread.Settings
	undo   func() error // undoes what was done to the thread; nil if it is not locked to it
}

// What home.state holds.
const (
	stateIdle uint32 = iota
	statePolling
	stateBorrowed
	stateClosed
)

func newHome(t *osthread.Settings) home { return home{thread: t} }

// mine reports whether the caller is the home goroutine.
func (h *home) mine() bool { return h.who.Current() == uintptr(goroutine.Current()) }

// taken reports whether there is a home goroutine.
func (h *home) taken() bool { return h.who.Current() != 0 }

func (h *home) closed() bool { return h.state.Load() == stateClosed }

// enter makes sure that the caller is the home goroutine, and the only one.
func (h *home) enter(p *port) error {
	if h.mine() && h.begin() {
		p.resume()
		return nil
	}
	return h.enterSlowly(uintptr(goroutine.Current()), p)
}

// begin is enter by the home goroutine. It fails while another goroutine uses what is home's.
func (h *home) begin() (ok bool) {
	ok = h.who.Depth > 0 || h.state.CompareAndSwap(stateIdle, statePolling)
	if ok {
		h.who.Depth++
	}
	return ok
}

// refuse says what is wrong on a goroutine that is not the home goroutine.
func (h *home) refuse() error {
	if h.closed() {
		return ErrClosed
	}
	return ErrWrongGoroutine
}

// enterSlowly is enter on g, for the first time or while another goroutine uses what is home's.
func (h *home) enterSlowly(g uintptr, p *port) error {
	now := h.who.Current()
	if now != g && now != 0 { // checked before state, which belongs to the home goroutine
		return h.refuse()
	}
	switch h.transition(statePolling) {
	case stateClosed:
		return ErrClosed
	case statePolling:
		return ErrWrongGoroutine
	}
	if now != g {
		if err := h.claim(g, p); err != nil {
			h.state.Store(stateIdle)
			return err
		}
	}
	h.who.Depth = 1
	p.resume()
	return nil
}

// transition leaves stateIdle for another state, and waits while another goroutine holds what is
// home's. It returns the state that it found; one other than stateIdle stays.
func (h *home) transition(to uint32) (before uint32) {
	for !h.state.CompareAndSwap(stateIdle, to) {
		if before = h.state.Load(); before == statePolling || before == stateClosed {
			return before
		}
		runtime.Gosched()
	}
	return stateIdle
}

// polling reports whether a goroutine polls. Any goroutine may call it.
func (h *home) polling() bool { return h.state.Load() == statePolling }

// inside reports whether the home goroutine, which calls it, polls: Close is refused then.
func (h *home) inside() bool { return h.who.Depth > 0 }

// polls reports whether the caller is the home goroutine and polls. Any goroutine may call it.
func (h *home) polls() bool { return h.mine() && h.who.Depth > 0 }

// nested reports whether an iteration goes on inside another one.
func (h *home) nested() bool { return h.who.Depth > 1 }

// leave ends an enter.
func (h *home) leave(p *port) {
	if h.who.Depth--; h.who.Depth == 0 {
		p.yield() // first: from then on another goroutine may use what is home's
		h.state.Store(stateIdle)
	}
}

// hold lets the home goroutine, or any as long as there is none, use what is home's. It keeps
// others from closing it until release.
func (h *home) hold() (borrowed bool, err error) {
	switch taken := h.taken(); {
	case taken && !h.mine():
		return false, h.refuse()
	case taken && h.inside(): // Close is refused
		return false, nil
	}
	switch h.transition(stateBorrowed) {
	case stateClosed:
		return false, ErrClosed
	case statePolling:
		return false, ErrWrongGoroutine
	}
	return true, nil
}

// borrow is hold by the home goroutine, until giveBack. It fails if the loop is closed.
func (h *home) borrow() (ok bool) {
	return h.inside() || h.state.CompareAndSwap(stateIdle, stateBorrowed)
}

func (h *home) giveBack() { h.release(!h.inside()) }

// release ends a hold.
func (h *home) release(borrowed bool) {
	if borrowed {
		h.state.Store(stateIdle)
	}
}

// close keeps the loop from ever polling again.
func (h *home) close() error {
	if h.who.Lent() { // the thread must not be released under a coroutine
		return h.refuseClose()
	}
	switch h.transition(stateClosed) {
	case stateClosed:
		return ErrClosed
	case statePolling:
		return ErrPolling
	}
	return nil
}

// refuseClose says why a loop that is lent cannot be closed.
func (h *home) refuseClose() error {
	if h.closed() {
		return ErrClosed
	}
	return ErrPolling
}

// left is the end of the home goroutine, as far as the loop is concerned.
func (h *home) left() { h.who.Leave() }

// claim makes g the home goroutine, unless there is one.
func (h *home) claim(g uintptr, p *port) error {
	if h.taken() {
		return ErrWrongGoroutine
	}
	if p.binder() != nil || h.thread.Wanted() {
		if err := h.lockThread(p); err != nil {
			return err
		}
	}
	h.who.Claim(g)
	return nil
}

// lockThread locks the home goroutine to its thread, and sets that up.
func (h *home) lockThread(p *port) error {
	if goroutine.IsCoroutine() {
		return ErrCoroutine
	}
	g := uintptr(goroutine.Current())
	lend.Lock(g, 1)
	runtime.LockOSThread()
	lend.Locked(g, sys.Gettid())
	undo, err := h.thread.Apply()
	if err != nil {
		lend.Lock(g, -1)
		runtime.UnlockOSThread()
		return fmt.Errorf("aio: the thread of the loop%s: %w", h.name(), err)
	}
	h.undo = undo
	if binder := p.binder(); binder != nil {
		if err := binder.Bind(); err != nil {
			return errors.Join(fmt.Errorf("aio: the thread of the loop%s: %w", h.name(), err), h.releaseThread())
		}
	}
	return nil
}

// name returns the name of the loop, for errors.
func (h *home) name() string {
	if h.thread == nil || h.thread.Name == "" {
		return ""
	}
	return fmt.Sprintf(" %q", h.thread.Name)
}

// releaseThread undoes lockThread. The home goroutine calls it.
func (h *home) releaseThread() error {
	if h.undo == nil {
		return nil
	}
	defer runtime.UnlockOSThread()
	lend.Lock(uintptr(goroutine.Current()), -1)
	undo := h.undo
	h.undo = nil
	return undo()
}

// lender returns what package coroutine lends.
func (h *home) lender() *lend.Home { return &h.who }
