// Package lend says which goroutine a loop belongs to at the moment. Each coroutine is a goroutine
// of its own: while one runs, the home goroutine waits, and the loop is lent to it.
package lend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/internal/word"
)

// Home is the goroutine that a loop belongs to. Its methods are called on that goroutine, but for
// Current, Claimed, Lent, Locks and Alone, which any goroutine may call.
type Home struct {
	current word.Word    // who runs: the home goroutine, or a coroutine that it waits for; 0 before Claim
	claimed word.Word    // the home goroutine itself
	Depth   int32        // of nested Polls
	locks   atomic.Int32 // see Locks
	alone   atomic.Int32 // the same, or NotAlone

	// Other loops of the same home goroutine are lent together. All but few Homes are alone.
	siblings atomic.Pointer[[]*Home]

	Slot any // what package coroutine keeps for the loop
}

// Current returns the number of the goroutine that runs, 0 before Claim.
func (h *Home) Current() uintptr { return uintptr(h.current.Load()) }

// Claim makes g the home goroutine. It is called once.
func (h *Home) Claim(g uintptr) {
	h.claimed.Set(uint64(g))
	h.join(g)
	h.current.Publish(uint64(g))
}

// Claimed returns the number of the home goroutine itself, 0 before Claim.
func (h *Home) Claimed() uintptr { return uintptr(h.claimed.Load()) }

// Lent reports whether a coroutine runs.
func (h *Home) Lent() bool { now := h.Current(); return now != 0 && now != h.Claimed() }

// Lend makes goroutine to the one that runs, and returns the one before it, which gets the loop
// back from the next Lend.
func (h *Home) Lend(to uintptr) (before uintptr) {
	before = uintptr(h.current.Own())
	h.current.Set(uint64(to))
	if all := h.siblings.Load(); all != nil {
		lendAll(*all, before, to)
	}
	return before
}

// LendAlone is Lend of a Home that is alone.
func (h *Home) LendAlone(to uintptr) { h.current.Set(uint64(to)) }

func lendAll(all []*Home, before, to uintptr) {
	for _, h := range all {
		if h.Current() == before {
			h.current.Set(uint64(to))
		}
	}
}

// thread is a home goroutine, of one loop or of several.
type thread struct {
	homes []*Home // that are claimed and not left
	locks int32
	id    int   // of the thread that it was locked to last
	other int32 // how often that was another than before
}

// lock is what Locks returns.
func (t *thread) lock() int32 {
	if t.locks == 0 {
		return 0
	}
	return t.other&0x7fff<<16 | t.locks
}

var threads = struct {
	sync.Mutex
	of map[uintptr]*thread
}{of: map[uintptr]*thread{}}

// change changes the thread of goroutine g, and tells its Homes.
func change(g uintptr, f func(*thread)) {
	threads.Lock()
	defer threads.Unlock()
	t := threads.of[g]
	if t == nil {
		t = new(thread)
		threads.of[g] = t
	}
	f(t)
	if len(t.homes) == 0 && t.locks == 0 {
		delete(threads.of, g)
	}
	all := t.homes
	for _, h := range all {
		h.locks.Store(t.lock())
		if len(all) == 1 {
			h.siblings.Store(nil)
			h.alone.Store(t.lock())
		} else {
			h.siblings.Store(&all)
			h.alone.Store(NotAlone)
		}
	}
}

func (h *Home) join(g uintptr) {
	change(g, func(t *thread) { t.homes = append(slices.Clip(t.homes), h) })
}

// Leave is the end of a loop. Any goroutine may call it.
func (h *Home) Leave() {
	h.siblings.Store(nil)
	change(h.Claimed(), func(t *thread) {
		t.homes = slices.DeleteFunc(slices.Clone(t.homes), func(other *Home) bool { return other == h })
	})
}

// Lock counts that a loop is about to lock the caller, goroutine g, to its thread, or with -1 that
// it is about to release it. Coroutines without work, which would be of no use afterwards, are
// ended.
func Lock(g uintptr, n int32) {
	var all []*Home
	change(g, func(t *thread) { all = t.homes })
	for _, h := range all {
		if keeper, ok := h.Slot.(interface{ EndIdle() }); ok {
			keeper.EndIdle()
		}
	}
	change(g, func(t *thread) { t.locks += n })
}

// Locked says which thread the caller, goroutine g, has been locked to.
func Locked(g uintptr, id int) {
	change(g, func(t *thread) {
		if t.id != id {
			t.id = id
			t.other++
		}
	})
}

// Runs reports whether goroutine g is the home goroutine home, or a coroutine that has a loop of it at
// the moment. Any goroutine may call it.
func Runs(home, g uintptr) bool {
	if home == g {
		return true
	}
	threads.Lock()
	defer threads.Unlock()
	t := threads.of[home]
	return t != nil && slices.ContainsFunc(t.homes, func(h *Home) bool { return h.Current() == g })
}

// Locks tells how often, and to which thread, loops have locked the home goroutine: a coroutine that was
// made with one number must not be entered with another. It is 0 if none has. Any goroutine may
// call it.
func (h *Home) Locks() int32 { return h.locks.Load() }

// NotAlone is what Alone returns if other loops have the same home goroutine.
const NotAlone = -1

// Alone is Locks if the loop is the only one of its home goroutine. Any goroutine may call it.
func (h *Home) Alone() int32 { return h.alone.Load() }

// Loop is what package coroutine needs of a loop beside its methods. Package aio sets it.
var Loop struct {
	Home func(loop any) *Home
	// Clock is where the latest reading of Realtime is, 0 if there is none in this iteration. It
	// belongs to the home goroutine.
	Clock func(loop any) *time.Duration
	// Now returns Realtime, read once in an iteration. The home goroutine calls it.
	Now func(loop any) time.Duration
}
