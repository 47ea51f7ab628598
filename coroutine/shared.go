//go:build linux

package coroutine

import (
	"fmt"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// SharedMutex excludes coroutines of several loops from each other. It is handed over in the order
// of Lock, without a lock of its own, so no loop ever blocks. A hand-over to another loop costs
// a wake-up of that loop: a Mutex is for coroutines of one loop. The zero value is unlocked.
//
// The state is one word. A Lock that finds the mutex locked pushes itself onto a stack; the holder
// takes the stack over when it has served those that it knows.
//
//	          Lock                    Lock                   Lock
//	unlocked ─────▶ locked, no newcomers ─────▶ newcomer ─────▶ newcomer, newcomer …
//	   ▲              │         ▲                   │                  │
//	   └──────────────┘         └───────────────────┴──────────────────┘
//	        Unlock                         Unlock: takes them all
type SharedMutex struct {
	state atomic.Pointer[newcomer]
	owner atomic.Pointer[Co]
	queue []*newcomer // the holder's: those that it has taken over, the first one first
}

// newcomer is a Lock that waits.
type newcomer struct {
	pending
	below *newcomer
}

// lockedAlone is the state of a SharedMutex that is locked and has no newcomers.
var lockedAlone newcomer

// Lock waits until the SharedMutex is unlocked, and locks it. The coroutine itself calls it. It fails as
// Yield does, and the SharedMutex is not locked then. It panics if the coroutine has locked
// it already.
//
//go:noinline
func (m *SharedMutex) Lock(co *Co) error {
	at := goroutine.CallerPC()
	if !co.runs() {
		return ErrNotRunning
	}
	if !m.state.CompareAndSwap(nil, &lockedAlone) {
		if err := m.wait(co, at); err != nil {
			return err
		}
	}
	m.owner.Store(co)
	co.hold(m, at)
	return nil
}

func (m *SharedMutex) wait(co *Co, at goroutine.Place) error {
	if m.owner.Load() == co {
		panic(fmt.Sprintf("coroutine: %s locks a SharedMutex that it has locked", co.Name()))
	}
	if err := co.mayWait(); err != nil {
		return err
	}
	n := &newcomer{pending: pending{co: co}}
	for {
		top := m.state.Load()
		if top == nil {
			if m.state.CompareAndSwap(nil, &lockedAlone) {
				return nil
			}
			continue
		}
		n.below = top
		if m.state.CompareAndSwap(top, n) {
			return co.waitPending(&n.pending, inLock, at)
		}
	}
}

// Unlock unlocks the SharedMutex, or hands it over to the coroutine that has waited longest. The
// coroutine that has locked it calls Unlock; another one panics.
func (m *SharedMutex) Unlock(co *Co) {
	if m.owner.Load() != co || !co.drop(m) {
		m.refuse(co)
	}
	m.owner.Store(nil)
	for {
		if len(m.queue) == 0 && !m.takeOver() {
			return
		}
		n := m.queue[0]
		m.queue = m.queue[1:]
		if n.state.change(pendingBegun, pendingDone) { // else its Wait has failed
			n.tell()
			return
		}
	}
}

// takeOver fills the queue. If there are no newcomers, it unlocks the mutex instead.
func (m *SharedMutex) takeOver() bool {
	if m.state.CompareAndSwap(&lockedAlone, nil) {
		return false
	}
	m.queue = m.queue[:0]
	for n := m.state.Swap(&lockedAlone); n != &lockedAlone; n = n.below {
		m.queue = append(m.queue, n)
	}
	for i, j := 0, len(m.queue)-1; i < j; i, j = i+1, j-1 {
		m.queue[i], m.queue[j] = m.queue[j], m.queue[i]
	}
	return true
}

func (m *SharedMutex) refuse(co *Co) {
	who := "no coroutine has locked"
	if owner := m.owner.Load(); owner != nil {
		who = owner.Name() + " has locked"
	}
	panic(fmt.Sprintf("coroutine: %s unlocks a SharedMutex that %s", co.Name(), who))
}

// Locked reports whether a coroutine has locked the SharedMutex. Any goroutine may call it.
func (m *SharedMutex) Locked() bool { return m.state.Load() != nil }
