package lend

import (
	"runtime"
	"sync"
	"testing"
)

// The numbers of goroutines that the tests make up.
const (
	homeG uintptr = 1_000_001 + iota
	coroutineG
	innerG
	otherG
)

// claimed returns a Home of goroutine g, which the end of the test leaves.
func claimed(t *testing.T, g uintptr) *Home {
	h := new(Home)
	h.Claim(g)
	t.Cleanup(h.Leave)
	return h
}

// forgotten checks that nothing is kept of a goroutine that has no loop.
func forgotten(t *testing.T, g uintptr) {
	t.Helper()
	threads.Lock()
	defer threads.Unlock()
	if th := threads.of[g]; th != nil {
		t.Errorf("goroutine %d is kept, with %d loops and %d locks", g, len(th.homes), th.locks)
	}
}

func TestLendAndGiveBack(t *testing.T) {
	t.Cleanup(func() { forgotten(t, homeG) })
	h := new(Home)
	if h.Current() != 0 || h.Lent() || h.Locks() != 0 {
		t.Errorf("before Claim: current %d, lent %v, locks %d", h.Current(), h.Lent(), h.Locks())
	}
	h.Claim(homeG)
	t.Cleanup(h.Leave)
	if h.Current() != homeG || h.Lent() {
		t.Errorf("current %d, lent %v", h.Current(), h.Lent())
	}
	for _, to := range []uintptr{coroutineG, innerG} { // nested
		before := h.Lend(to)
		defer func() {
			if got := h.Lend(before); got != to || h.Current() != before || h.Lent() != (before != homeG) {
				t.Errorf("given back by %d, want %d; current %d, lent %v", got, to, h.Current(), h.Lent())
			}
		}()
		if h.Current() != to || !h.Lent() {
			t.Errorf("current %d, lent %v", h.Current(), h.Lent())
		}
	}
}

func TestSiblingsAreLentTogether(t *testing.T) {
	t.Cleanup(func() { forgotten(t, homeG) })
	a, b, stranger := claimed(t, homeG), claimed(t, homeG), claimed(t, otherG)
	all := func(wantA, wantB uintptr) {
		t.Helper()
		if a.Current() != wantA || b.Current() != wantB || stranger.Current() != otherG {
			t.Errorf("current: %d, %d and %d, want %d, %d and %d", a.Current(), b.Current(), stranger.Current(), wantA, wantB, otherG)
		}
	}
	before := a.Lend(coroutineG)
	all(coroutineG, coroutineG)
	inner := b.Lend(innerG) // a coroutine of the other loop, inside
	all(innerG, innerG)
	b.Lend(inner)
	all(coroutineG, coroutineG)
	a.Lend(before)
	all(homeG, homeG)

	late := claimed(t, coroutineG) // a loop whose home is the coroutine
	before = a.Lend(coroutineG)
	a.Lend(before)
	all(homeG, homeG)
	if late.Current() != coroutineG {
		t.Error("a loop of the coroutine itself was lent with the others")
	}

	b.Leave()
	a.Lend(coroutineG)
	all(coroutineG, homeG)
	a.Lend(homeG)
	if a.siblings.Load() != nil {
		t.Error("the one that is alone again has siblings")
	}
}

// keeper is what a loop has in its Slot.
type keeper struct {
	h     *Home
	ended []int32 // the locks that there were when it was asked to end what is idle
}

func (k *keeper) EndIdle() { k.ended = append(k.ended, k.h.Locks()) }

func TestLocksAreThoseOfTheGoroutine(t *testing.T) {
	t.Cleanup(func() { forgotten(t, homeG) })
	a, other := claimed(t, homeG), claimed(t, otherG)
	k := &keeper{h: a}
	a.Slot = k
	Lock(homeG, 1)
	b := claimed(t, homeG)
	b.Slot = "something else"
	if a.Locks() != 1 || b.Locks() != 1 || other.Locks() != 0 {
		t.Errorf("locks: %d, %d and %d of another", a.Locks(), b.Locks(), other.Locks())
	}
	Lock(homeG, 1)
	Lock(homeG, -1)
	Lock(homeG, -1)
	if a.Locks() != 0 || b.Locks() != 0 {
		t.Errorf("locks: %d and %d", a.Locks(), b.Locks())
	}
	if want := []int32{0, 1, 2, 1}; len(k.ended) != len(want) || k.ended[0] != 0 || k.ended[1] != 1 || k.ended[2] != 2 || k.ended[3] != 1 {
		t.Errorf("asked with %v locks, want %v: before the change", k.ended, want)
	}
}

// A lock that comes before the loop, and stays after it.
func TestLocksWithoutALoop(t *testing.T) {
	Lock(homeG, 1)
	h := claimed(t, homeG)
	if h.Locks() != 1 {
		t.Errorf("%d locks", h.Locks())
	}
	h.Leave()
	threads.Lock()
	kept := threads.of[homeG]
	threads.Unlock()
	if kept == nil || kept.locks != 1 {
		t.Error("the lock was forgotten with the loop")
	}
	Lock(homeG, -1)
	forgotten(t, homeG)
}

func TestRuns(t *testing.T) {
	a, b := claimed(t, homeG), claimed(t, homeG)
	is := func(g uintptr, want bool) {
		t.Helper()
		if got := Runs(homeG, g); got != want {
			t.Errorf("Runs(home, %d): %v", g, got)
		}
	}
	is(homeG, true)
	is(coroutineG, false)
	a.Lend(coroutineG)
	is(homeG, true) // it waits for the coroutine
	is(coroutineG, true)
	is(innerG, false)
	b.Lend(innerG)
	is(innerG, true)
	b.Lend(coroutineG)
	a.Lend(homeG)
	is(coroutineG, false)
	if Runs(otherG, homeG) || !Runs(otherG, otherG) {
		t.Error("a goroutine without a loop")
	}
}

// Other goroutines ask while the loop is lent, and others come and go.
func TestOthersMayAsk(t *testing.T) {
	h := claimed(t, homeG)
	var others sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if now := h.Current(); now != homeG && now != coroutineG {
					t.Errorf("current %d", now)
					return
				}
				_, _, _ = h.Lent(), h.Locks(), Runs(homeG, coroutineG)
				runtime.Gosched()
			}
		})
	}
	others.Go(func() {
		for range 200 {
			other := new(Home)
			other.Claim(otherG)
			Lock(otherG, 1)
			other.Leave()
			Lock(otherG, -1)
		}
	})
	for range 1000 {
		before := h.Lend(coroutineG)
		h.Lend(before)
		runtime.Gosched()
	}
	close(stop)
	others.Wait()
}

// A goroutine that was released and locked again is as it was before only on the same thread.
func TestLocksTellThreadsApart(t *testing.T) {
	t.Cleanup(func() { forgotten(t, homeG) })
	h := claimed(t, homeG)
	locked := func(id int) int32 {
		Lock(homeG, 1)
		Locked(homeG, id)
		return h.Locks()
	}
	first := locked(7)
	if inner := locked(7); inner == first {
		t.Errorf("locked once and twice: both %d", first)
	}
	Lock(homeG, -1)
	if h.Locks() != first {
		t.Errorf("%d, want %d as before", h.Locks(), first)
	}
	Lock(homeG, -1)
	if h.Locks() != 0 {
		t.Errorf("%d without a lock", h.Locks())
	}
	if again := locked(7); again != first {
		t.Errorf("%d on the same thread, want %d", again, first)
	}
	Lock(homeG, -1)
	if other := locked(8); other == first || other != h.Alone() {
		t.Errorf("%d and %d on another thread, %d before", other, h.Alone(), first)
	}
	Lock(homeG, -1)
}
