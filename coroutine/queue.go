//go:build linux

package coroutine

import "github.com/aioloop/aioloop/internal/goroutine"

// Queue is where coroutines of one loop wait until something has changed, a condition variable. The
// first one is woken first. The zero value is empty. Its methods belong to the home goroutine of
// the loop whose coroutine has waited first; they panic on another one.
type Queue struct {
	owned
	waiters waiters
}

// Wait unlocks m, which may be nil, waits for Next or All, and locks m again. The coroutine itself
// calls it, in a loop that looks at what it waits for. It fails as Yield does. m is locked again
// then, too, before Wait returns, unless the loop is closed and the holder of m does not let
// go of it.
//
//go:noinline
func (q *Queue) Wait(co *Co, m *Mutex) error {
	at := goroutine.CallerPC()
	if err := co.mayWait(); err != nil {
		return err
	}
	q.claim(co, "waits in", "a Queue")
	if m == nil {
		return co.queueUp(&q.waiters, inQueue, at)
	}
	m.Unlock(co)
	err := co.queueUp(&q.waiters, inQueue, at)
	if e := m.lockSlowly(co, inRelock, at); e != nil {
		return e
	}
	return err
}

// Next wakes the coroutine that has waited longest, and reports whether there was one.
func (q *Queue) Next() bool {
	q.check("Queue.Next")
	co := q.waiters.take()
	if co == nil {
		return false
	}
	co.s.resume(co)
	return true
}

// All wakes those that wait now, and returns how many there were.
func (q *Queue) All() (n int) {
	q.check("Queue.All")
	for all := q.waiters.count(); n < all; n++ { // those that come in the meantime are not for now
		co := q.waiters.take()
		if co == nil { // the waits of the others have failed in the meantime
			break
		}
		co.s.resume(co)
	}
	return n
}

// Empty reports whether no coroutine waits.
func (q *Queue) Empty() bool {
	q.check("Queue.Empty")
	return q.waiters.head() == nil
}
