package aio

import (
	"testing"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// neighbours returns goroutine numbers whose places are the same.
func neighbours(n int) (all []uintptr) {
	for g := uintptr(1); len(all) < n; g++ {
		if len(all) == 0 || place(g, 0) == place(all[0], 0) {
			all = append(all, g)
		}
	}
	return all
}

// Goroutines whose numbers lead to the same place are all known, but for one more than
// there are places; and who leaves makes room for it.
func TestYieldersWithTheSamePlace(t *testing.T) {
	all := neighbours(probes + 1)
	var taken []*yielder
	for _, g := range all {
		y := aboutToStop(g)
		defer y.leave()
		taken = append(taken, y)
	}
	for i, g := range all {
		if got, want := stopsSoon(g), i < probes; got != want {
			t.Errorf("goroutine %d of those with one place: known %v, want %v", i, got, want)
		}
	}
	taken[1].leave()
	if stopsSoon(all[1]) {
		t.Error("it is known after it has left")
	}
	if !stopsSoon(all[0]) || !stopsSoon(all[2]) {
		t.Error("the others are not known any more")
	}
	defer aboutToStop(all[probes]).leave()
	if !stopsSoon(all[probes]) {
		t.Error("it is not known though there is room")
	}
}

// A parked loop that runs inside a callback of another leaves that one's place alone.
func TestInnerLoopLeavesTheOuterOneItsPlace(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		outer, inner := newLoop(), newLoop()
		me := uintptr(goroutine.Current())
		for range 2 { // the second time the inner one has a home goroutine
			must(t, outer.ScheduleOnce(func() {
				_, err := inner.TryPoll()
				must(t, err)
				if !stopsSoon(me) {
					t.Error("the callback of the outer loop is not about to stop any more")
				}
			}))
			_, err := outer.TryPoll()
			must(t, err)
		}
		if stopsSoon(me) {
			t.Error("outside a callback it is taken for one")
		}
	})
}

// A loop that sleeps leaves its place to others.
func TestSleepingLoopIsNoYielder(t *testing.T) {
	eachParked(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		asleep(t, c)
		eventually(t, "the place is left", func() bool { return !stopsSoon(c.home.goroutine.Load()) })
	})
}
