package coroutine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// locker runs steps of an RWMutex in coroutines of their own, and writes down which one has come through.
type locker struct {
	*testing.T
	loop  *aio.Context
	m     coroutine.RWMutex
	order []string
}

// start runs f, which waits in Yield between its steps.
func (l *locker) start(f func(co *coroutine.Co) error) *coroutine.Co {
	return coroutine.Go(l.loop, f)
}

func (l *locker) did(s string) { l.order = append(l.order, s) }

func (l *locker) expect(want ...string) {
	l.Helper()
	if !slices.Equal(l.order, want) {
		l.Fatalf("the order is %v, want %v", l.order, want)
	}
}

// writes locks for writing, and unlocks after a Yield.
func (l *locker) writes(name string) *coroutine.Co {
	return l.start(func(co *coroutine.Co) error {
		if err := l.m.Lock(co); err != nil {
			return err
		}
		defer l.m.Unlock(co)
		l.did(name)
		return co.Yield()
	})
}

// reads locks for reading, and unlocks after a Yield.
func (l *locker) reads(name string) *coroutine.Co {
	return l.start(func(co *coroutine.Co) error {
		if err := l.m.RLock(co); err != nil {
			return err
		}
		defer l.m.RUnlock(co)
		l.did(name)
		return co.Yield()
	})
}

// upgrades is reads, and after the Yield upgrades and unlocks after another one.
func (l *locker) upgrades(name string) *coroutine.Co {
	return l.start(func(co *coroutine.Co) error {
		if err := l.m.RLock(co); err != nil {
			return err
		}
		l.did(name + " reads")
		must(l, co.Yield())
		if err := l.m.Upgrade(co); err != nil {
			return err
		}
		defer l.m.Unlock(co)
		l.did(name + " writes")
		return co.Yield()
	})
}

func (l *locker) wake(cos ...*coroutine.Co) {
	l.Helper()
	for _, co := range cos {
		must(l, co.Wake())
		must(l, co.Err())
	}
}

func eachLocker(t *testing.T, f func(l *locker)) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		l := &locker{T: t, loop: loop}
		f(l)
		free := coroutine.Go(loop, func(co *coroutine.Co) error { // it is unlocked at the end
			must(t, l.m.Lock(co))
			l.m.Unlock(co)
			return nil
		})
		if !free.Ended() {
			t.Error(free)
		}
	})
}

// The only reader becomes the writer, and nothing comes in between.
func TestUpgradeAlone(t *testing.T) {
	eachLocker(t, func(l *locker) {
		co := l.upgrades("a")
		l.wake(co)
		l.expect("a reads", "a writes")
		behind := l.reads("b")
		l.expect("a reads", "a writes")
		l.wake(co)
		l.expect("a reads", "a writes", "b")
		l.wake(behind)
	})
}

// A writer that waits comes first, and a reader behind the one that upgrades last.
func TestUpgradeBehindAWriter(t *testing.T) {
	eachLocker(t, func(l *locker) {
		co, writer := l.upgrades("a"), l.writes("w")
		l.wake(co)
		l.expect("a reads", "w")
		reader := l.reads("r")
		l.wake(writer)
		l.expect("a reads", "w", "a writes")
		l.wake(co)
		l.expect("a reads", "w", "a writes", "r")
		l.wake(reader)
	})
}

// It waits for other readers; two that upgrade do not wait for each other.
func TestUpgradeBesideReaders(t *testing.T) {
	eachLocker(t, func(l *locker) {
		reader, a, b := l.reads("r"), l.upgrades("a"), l.upgrades("b")
		l.wake(a, b)
		l.expect("r", "a reads", "b reads")
		l.wake(reader)
		l.expect("r", "a reads", "b reads", "a writes")
		l.wake(a)
		l.expect("r", "a reads", "b reads", "a writes", "b writes")
		l.wake(b)
	})
}

// Downgrade lets readers in that wait, up to the next writer, and no writer in between.
func TestDowngrade(t *testing.T) {
	eachLocker(t, func(l *locker) {
		co := l.start(func(co *coroutine.Co) error {
			must(l, l.m.Lock(co))
			must(l, co.Yield())
			l.m.Downgrade(co)
			l.did("downgraded")
			must(l, co.Yield())
			l.m.RUnlock(co)
			return nil
		})
		r1, r2, w, r3 := l.reads("r1"), l.reads("r2"), l.writes("w"), l.reads("r3")
		l.expect()
		l.wake(co)
		l.expect("downgraded", "r1", "r2")
		l.wake(co, r1)
		l.expect("downgraded", "r1", "r2")
		l.wake(r2)
		l.expect("downgraded", "r1", "r2", "w")
		l.wake(w)
		l.expect("downgraded", "r1", "r2", "w", "r3")
		l.wake(r3)
	})
}

func TestUpgradeFails(t *testing.T) {
	eachLocker(t, func(l *locker) {
		reader := l.reads("r")
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("the cause")
		co := coroutine.GoContext(ctx, l.loop, func(co *coroutine.Co) error {
			must(l, l.m.RLock(co))
			err := l.m.Upgrade(co)
			wantPanic(l, "RUnlock of an RWMutex that 2 readers", func() { l.m.RUnlock(co) }) // reader and behind, not co
			return err
		})
		behind := l.reads("behind")
		l.expect("r")
		cancel(cause)
		pollUntil(l, l.loop, co.Ended)
		wantError(l, co.Err(), cause)
		l.expect("r", "behind")
		wantError(l, l.m.Upgrade(co), coroutine.ErrNotRunning)
		l.wake(reader, behind)
	})
}

func TestRWMutexMisuse(t *testing.T) {
	eachLocker(t, func(l *locker) {
		m := &l.m
		l.start(func(co *coroutine.Co) error {
			co.Named("a")
			wantPanic(l, "a calls Upgrade of an RWMutex that 0 readers have locked", func() { _ = m.Upgrade(co) })
			wantPanic(l, "a calls Downgrade of an RWMutex that 0 readers have locked", func() { m.Downgrade(co) })
			must(l, m.Lock(co))
			wantPanic(l, "a calls Upgrade of an RWMutex that a has locked", func() { _ = m.Upgrade(co) })
			wantPanic(l, "a calls RUnlock of an RWMutex that a has locked", func() { m.RUnlock(co) })
			m.Downgrade(co)
			wantPanic(l, "a calls Downgrade of an RWMutex that 1 readers have locked", func() { m.Downgrade(co) })
			wantPanic(l, "a calls Unlock of an RWMutex that 1 readers have locked", func() { m.Unlock(co) })
			wantPanic(l, "a locks an RWMutex for writing that it has locked for reading", func() { _ = m.Lock(co) })
			must(l, m.RLock(co)) // a second time
			wantPanic(l, "a locks an RWMutex for writing that it has locked for reading", func() { _ = m.Upgrade(co) })
			l.start(func(other *coroutine.Co) error {
				other.Named("b")
				wantPanic(l, "b calls RUnlock of an RWMutex that 1 readers have locked", func() { m.RUnlock(other) })
				return nil
			})
			m.RUnlock(co)
			return nil
		})
		wantPanic(l, "keeper has ended with a *coroutine.RWMutex locked, since coroutine/rwmutex_test.go:", func() {
			l.start(func(co *coroutine.Co) error { co.Named("keeper"); return m.RLock(co) })
		})
		l.m = coroutine.RWMutex{} // for the end of the test
	})
}
