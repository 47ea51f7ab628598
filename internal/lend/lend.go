// Package lend says which goroutine a loop belongs to at the moment. Each coroutine is a goroutine
// of its own: while one runs, the home goroutine waits, and the loop is lent to it.
package lend

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Home is the goroutine that a loop belongs to. Its methods are called on that goroutine, but for
// Current, Claimed and Lent, which any goroutine may call.
type Home struct {
	current word    // who runs: the home goroutine, or a coroutine that it waits for; 0 before Claim
	claimed uintptr // the home goroutine itself
	Depth   int32   // of nested Polls

	// Other loops of the same home goroutine are lent together. All but few Homes are alone.
	siblings atomic.Pointer[[]*Home]

	Slot any // what package coroutine keeps for the loop
}

// Current returns the number of the goroutine that runs, 0 before Claim.
func (h *Home) Current() uintptr { return h.current.load() }

// Claim makes g the home goroutine. It is called once.
func (h *Home) Claim(g uintptr) {
	h.claimed = g
	h.join(g)
	h.current.publish(g)
}

// Lent reports whether a coroutine runs.
func (h *Home) Lent() bool { return h.current.load() != 0 && h.current.load() != h.claimed }

// Lend makes goroutine to the one that runs, and returns the one before it, which gets the loop
// back from the next Lend.
func (h *Home) Lend(to uintptr) (before uintptr) {
	before = h.current.own()
	h.current.set(to)
	if all := h.siblings.Load(); all != nil {
		lendAll(*all, before, to)
	}
	return before
}

func lendAll(all []*Home, before, to uintptr) {
	for _, h := range all {
		if h.current.load() == before {
			h.current.set(to)
		}
	}
}

// homes are the Homes that are claimed and not left, by their goroutine.
var homes = struct {
	sync.Mutex
	of map[uintptr][]*Home
}{of: map[uintptr][]*Home{}}

func (h *Home) join(g uintptr) {
	homes.Lock()
	defer homes.Unlock()
	setHomes(g, append(slices.Clip(homes.of[g]), h))
}

// Leave is the end of a loop. Any goroutine may call it.
func (h *Home) Leave() {
	homes.Lock()
	defer homes.Unlock()
	rest := slices.DeleteFunc(slices.Clone(homes.of[h.claimed]), func(other *Home) bool { return other == h })
	h.siblings.Store(nil)
	setHomes(h.claimed, rest)
}

// setHomes is called with the lock held.
func setHomes(g uintptr, all []*Home) {
	if len(all) == 0 {
		delete(homes.of, g)
		return
	}
	homes.of[g] = all
	for _, h := range all {
		if len(all) == 1 {
			h.siblings.Store(nil)
		} else {
			h.siblings.Store(&all)
		}
	}
}

// Loop is what package coroutine needs of a loop beside its methods. Package aio sets it.
var Loop struct {
	Home func(loop any) *Home
	// Now returns Realtime, read once in an iteration. The home goroutine calls it.
	Now func(loop any) time.Duration
}
