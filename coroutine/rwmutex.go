//go:build linux

package coroutine

import (
	"fmt"
	"slices"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// RWMutex is a Mutex that any number of readers may hold together. Readers and writers are served in
// the order in which they have come, so a stream of readers keeps no writer waiting. The zero
// value is unlocked.
type RWMutex struct {
	owned   // by the loop that has used it first
	writer  *Co
	readers int
	waiters waiters // co.reads says which they are
}

// Lock locks the RWMutex for writing, as Mutex.Lock does.
//
//go:noinline
func (m *RWMutex) Lock(co *Co) error { return m.lock(co, false, goroutine.CallerPC()) }

// RLock locks the RWMutex for reading. A coroutine that holds it already, and locks it again,
// waits for itself if a writer has come in between. For the rest it is like Mutex.Lock.
//
//go:noinline
func (m *RWMutex) RLock(co *Co) error { return m.lock(co, true, goroutine.CallerPC()) }

func (m *RWMutex) lock(co *Co, reads bool, at goroutine.Place) error {
	if !co.runs() {
		return ErrNotRunning
	}
	m.claim(co, "locks", "an RWMutex")
	switch {
	case m.writer == co:
		panic(fmt.Sprintf("coroutine: %s locks an RWMutex that it has locked", co.Name()))
	case !reads && co.holds(m):
		panic(fmt.Sprintf("coroutine: %s locks an RWMutex for writing that it has locked for reading, too", co.Name()))
	case m.waiters.head() == nil && m.admits(reads):
		m.admit(co, reads)
	default:
		co.reads = reads
		if err := co.queueUp(&m.waiters, inLock, at); err != nil {
			m.serve(co) // those behind it may go on
			return err
		}
	}
	co.hold(m, at)
	return nil
}

// admits reports whether one more may hold the lock.
func (m *RWMutex) admits(reads bool) bool { return m.writer == nil && (reads || m.readers == 0) }

func (m *RWMutex) admit(co *Co, reads bool) {
	if reads {
		m.readers++
	} else {
		m.writer = co
	}
}

// serve hands the lock over to those that have waited longest. co is the one that runs.
func (m *RWMutex) serve(co *Co) {
	for next := m.waiters.head(); next != nil && m.admits(next.reads); next = m.waiters.head() {
		m.waiters.drop()
		m.admit(next, next.reads)
		co.s.resume(next)
	}
}

// Unlock undoes Lock. It panics if another coroutine, or none, has called that.
func (m *RWMutex) Unlock(co *Co) {
	if m.writer != co || !co.drop(m) {
		m.refuse(co, "Unlock", m.writer)
	}
	m.writer = nil
	m.serve(co)
}

// RUnlock undoes RLock. It panics if the coroutine has not called that.
func (m *RWMutex) RUnlock(co *Co) { m.runlock(co, "RUnlock") }

func (m *RWMutex) runlock(co *Co, call string) {
	if m.readers == 0 || !co.drop(m) {
		m.refuse(co, call, m.writer)
	}
	m.readers--
	m.serve(co)
}

// Upgrade turns a lock for reading into one for writing, as RUnlock and Lock would. If no other
// coroutine holds the RWMutex or waits for it, nothing comes in between. Otherwise Upgrade waits
// for its turn, and other writers may come first: what was read has to be looked at again. It
// fails as Yield does, and the RWMutex is not locked by the coroutine any more then. It panics
// unless the coroutine has called RLock, once.
//
//go:noinline
func (m *RWMutex) Upgrade(co *Co) error {
	at := goroutine.CallerPC()
	if !co.runs() {
		return ErrNotRunning
	}
	m.runlock(co, "Upgrade")
	return m.lock(co, false, at)
}

// Downgrade turns a lock for writing into one for reading. No other writer comes in between, and
// the readers that wait longest share the lock from then on. It panics unless the coroutine
// has called Lock.
func (m *RWMutex) Downgrade(co *Co) {
	if m.writer != co {
		m.refuse(co, "Downgrade", m.writer)
	}
	m.writer, m.readers = nil, 1
	m.serve(co)
}

// holds reports whether co has locked lock.
func (co *Co) holds(lock any) bool {
	return slices.ContainsFunc(co.w.held, func(h holding) bool { return h.lock == lock })
}

func (m *RWMutex) refuse(co *Co, call string, writer *Co) {
	who := fmt.Sprintf("%d readers have locked", m.readers)
	if writer != nil {
		who = writer.Name() + " has locked"
	}
	panic(fmt.Sprintf("coroutine: %s calls %s of an RWMutex that %s", co.Name(), call, who))
}
