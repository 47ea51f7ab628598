//go:build linux

package aio

import (
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// A goroutine that another one makes runnable runs on the same P, as soon as that
// stops: within 200 ns if it does, after 100 µs, when an idle P steals it, if it goes
// on. An eventfd written instead is noticed by an idle P within 30 µs in either
// case. So it matters whether a notifier is about to stop, and two are: the callback
// of another parked loop, which returns to that loop, and the caller of Do, who
// waits for the answer.

// yielders are the goroutines that are about to stop, each in one of the few places
// that a hash of its number names. Who finds them all taken passes for one that goes
// on. A goroutine that runs one loop inside another has a place for each.
var yielders [64]struct {
	yielder
	_ [56]byte // a cache line each
}

// yielder is a place among the yielders: the number of a goroutine, or 0.
type yielder struct{ atomic.Uintptr }

// probes is how many places there are for one goroutine.
const probes = 4

// place returns the place with number i for goroutine g. The hash is Fibonacci's: the
// numbers are addresses, a few hundred bytes apart.
func place(g uintptr, i int) *yielder {
	hash := uint64(g) * 0x9e3779b97f4a7c15 >> 32 // an int of 32 bits would be negative half the time
	return &yielders[(hash+uint64(i))%uint64(len(yielders))].yielder
}

// aboutToStop notes that goroutine g is, until the place is left. It returns nil if
// there is none.
func aboutToStop(g uintptr) *yielder {
	for i := range probes {
		if y := place(g, i); y.CompareAndSwap(0, g) {
			return y
		}
	}
	return nil
}

func (y *yielder) leave() {
	if y != nil {
		y.Store(0)
	}
}

// stopsSoon reports whether goroutine g has noted that it is about to stop.
func stopsSoon(g uintptr) bool {
	for i := range probes {
		if place(g, i).Load() == g {
			return true
		}
	}
	return false
}

// aboutToYield reports whether the caller's goroutine is about to stop. If there is
// one P, nothing else can run anyway before it does.
func aboutToYield() bool {
	return stopsSoon(uintptr(goroutine.Current())) || runtime.GOMAXPROCS(0) == 1
}

// resume and yield say that the home goroutine of a parked loop runs, or not.
func (p *parker) resume() {
	if p != nil && p.yielder == nil {
		p.yielder = aboutToStop(uintptr(goroutine.Current()))
	}
}

func (p *parker) yield() {
	if p != nil {
		p.yielder.leave()
		p.yielder = nil
	}
}

// yielding calls f for a goroutine that waits for the loop right afterwards.
func (p *parker) yielding(f func() error) error {
	if p == nil {
		return f()
	}
	defer aboutToStop(uintptr(goroutine.Current())).leave()
	return f()
}
