//go:build linux

package coroutine

import (
	"fmt"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// holding is a lock that a coroutine holds.
type holding struct {
	lock any
	at   goroutine.Place // where it was locked
}

// hold notes that co has locked lock.
func (co *Co) hold(lock any, at goroutine.Place) {
	co.w.held = append(co.w.held, holding{lock, at})
}

// latest returns the lock that co has locked last, of those that it holds.
func (co *Co) latest() any {
	if w := co.w; w != nil && len(w.held) != 0 {
		return w.held[len(w.held)-1].lock
	}
	return nil
}

// dropLatest notes that co has unlocked the latest.
func (co *Co) dropLatest() { co.w.held = co.w.held[:len(co.w.held)-1] }

// drop notes that co has unlocked lock, and reports whether it held it.
func (co *Co) drop(lock any) bool {
	w := co.w
	if w == nil {
		return false
	}
	for i := len(w.held) - 1; i >= 0; i-- {
		if w.held[i].lock == lock {
			w.held = append(w.held[:i], w.held[i+1:]...)
			return true
		}
	}
	return false
}

// keptLock says which lock a coroutine has kept to its end. None is left for the next one.
func (co *Co) keptLock() error {
	h := co.w.held[len(co.w.held)-1]
	return fmt.Errorf("coroutine: %s has ended with a %T locked, since %v", co.Name(), h.lock, h.at)
}

// Mutex excludes coroutines of one loop from each other across their waits. Between waits nothing
// else runs on the loop, and no lock is needed. It is handed over in the order of Lock. The zero
// value is unlocked. SharedMutex is for coroutines of several loops.
type Mutex struct {
	s       *scheduler // of the loop that has used it first
	owner   *Co
	waiters waiters
}

// Lock waits until the Mutex is unlocked, and locks it. The coroutine itself calls it. It fails as
// Yield does, and the Mutex is not locked then; an unlocked one is locked even of a coroutine
// whose context has ended. It panics if the coroutine has locked it already, and
// if it belongs to another loop.
//
//go:noinline
func (m *Mutex) Lock(co *Co) error {
	at := goroutine.CallerPC()
	if m.owner == nil && m.s == co.s && co.runs() {
		m.owner = co
		co.hold(m, at)
		return nil
	}
	return m.lockSlowly(co, inLock, at)
}

func (m *Mutex) lockSlowly(co *Co, what activity, at goroutine.Place) error {
	if !co.runs() {
		return ErrNotRunning
	}
	if m.s == nil {
		m.s = co.s
	}
	switch {
	case m.s != co.s:
		panic(fmt.Sprintf("coroutine: %s locks a Mutex of another loop: a SharedMutex is for that", co.Name()))
	case m.owner == co:
		panic(fmt.Sprintf("coroutine: %s locks a Mutex that it has locked", co.Name()))
	case m.owner == nil:
		m.owner = co
		co.hold(m, at)
		return nil
	}
	if err := co.queueUp(&m.waiters, what, at); err != nil {
		return err
	}
	co.hold(m, at) // Unlock has made it the owner
	return nil
}

// Unlock unlocks the Mutex, or hands it over to the coroutine that has waited longest, which then is
// ready. The coroutine that has locked it calls Unlock; another one panics.
func (m *Mutex) Unlock(co *Co) {
	if m.owner == co && co.latest() == m { // most often
		co.dropLatest()
	} else if m.owner != co || !co.drop(m) {
		m.refuse(co)
	}
	if m.waiters.first == nil {
		m.owner = nil
	} else if m.owner = m.waiters.take(); m.owner != nil {
		co.s.resume(m.owner)
	}
}

func (m *Mutex) refuse(co *Co) {
	owner := "no coroutine has locked"
	if m.owner != nil {
		owner = m.owner.Name() + " has locked"
	}
	panic(fmt.Sprintf("coroutine: %s unlocks a Mutex that %s", co.Name(), owner))
}

// Locked reports whether a coroutine has locked the Mutex. The home goroutine calls it.
func (m *Mutex) Locked() bool { return m.owner != nil }

// runs reports whether co is the coroutine that runs. The home goroutine calls it.
func (co *Co) runs() bool { return co.phase == running }

// queueUp waits in l, until it is taken out of it and resumed.
func (co *Co) queueUp(l *waiters, what activity, at goroutine.Place) error {
	if err := co.mayWait(); err != nil && (what != inRelock || err == ErrNotRunning || err == ErrNested) {
		return err
	}
	l.append(co)
	err := co.away(what, at)
	if err != nil {
		l.remove(co)
	}
	return err
}
