//go:build linux

package park

import (
	"runtime"
	"sync/atomic"

	"github.com/aioloop/aioloop/internal/goroutine"
)

// A goroutine that another one makes runnable runs on the same P as soon as that one stops.
// If it stops soon, that takes 200 ns. If it goes on, an idle P steals the goroutine after
// 100 µs. An idle P notices a written eventfd within 30 µs in either case. So it matters
// whether a notifier is about to stop. Two are: the callback of another parked loop, which
// returns to that loop, and the caller of Do, which waits for the answer.

// marks are the goroutines that are about to stop. Each is in one of the few slots that a
// hash of its number names. A goroutine that finds its slots taken is treated as one that
// keeps running. A goroutine that runs one loop inside another has a slot for each.
var marks [64]struct {
	Mark
	_ [56]byte // a cache line each
}

// Mark is a slot among the marks: the number of a goroutine, or 0.
type Mark struct{ atomic.Uintptr }

// probes is how many slots there are for one goroutine.
const probes = 4

// slot returns slot i for goroutine g. The hash is Fibonacci's: the numbers are addresses, a
// few hundred bytes apart.
func slot(g uintptr, i int) *Mark {
	hash := uint64(g) * 0x9e3779b97f4a7c15 >> 32 // an int of 32 bits would be negative half the time
	return &marks[(hash+uint64(i))%uint64(len(marks))].Mark
}

// MarkStopping records that goroutine g is about to stop, until Clear. It returns nil if
// its slots are taken.
func MarkStopping(g uintptr) *Mark {
	for i := range probes {
		if m := slot(g, i); m.CompareAndSwap(0, g) {
			return m
		}
	}
	return nil
}

// Clear removes the mark. On nil it does nothing.
func (m *Mark) Clear() {
	if m != nil {
		m.Store(0)
	}
}

// IsMarked reports whether goroutine g has a mark.
func IsMarked(g uintptr) bool {
	for i := range probes {
		if slot(g, i).Load() == g {
			return true
		}
	}
	return false
}

// IsStopping reports whether the caller's goroutine is about to stop. With one P, nothing
// else can run before it does.
func IsStopping() bool {
	return IsMarked(uintptr(goroutine.Current())) || runtime.GOMAXPROCS(0) == 1
}

// Stopping calls f for a goroutine that waits for a parked loop right afterwards.
func Stopping(f func() error) error {
	defer MarkStopping(uintptr(goroutine.Current())).Clear()
	return f()
}
