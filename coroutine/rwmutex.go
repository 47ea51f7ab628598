//go:build linux

package coroutine

import (
	"fmt"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// RWMutex is a Mutex that any number of readers may hold together. Readers and writers are served in
// the order in which they have come, so a stream of readers keeps no writer waiting. The zero
// value is unlocked.
type RWMutex struct {
	s       *scheduler // of the loop that has used it first
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
	if m.s == nil {
		m.s = co.s
	}
	switch {
	case m.s != co.s:
		panic(fmt.Sprintf("coroutine: %s locks an RWMutex of another loop", co.Name()))
	case m.writer == co:
		panic(fmt.Sprintf("coroutine: %s locks an RWMutex that it has locked", co.Name()))
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
func (m *RWMutex) RUnlock(co *Co) {
	if m.readers == 0 || !co.drop(m) {
		m.refuse(co, "RUnlock", m.writer)
	}
	m.readers--
	m.serve(co)
}

func (m *RWMutex) refuse(co *Co, call string, writer *Co) {
	who := fmt.Sprintf("%d readers have locked", m.readers)
	if writer != nil {
		who = writer.Name() + " has locked"
	}
	panic(fmt.Sprintf("coroutine: %s calls %s of an RWMutex that %s", co.Name(), call, who))
}
