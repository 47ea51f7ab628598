package goroutine

import (
	"iter"
	"runtime"
	"testing"
)

func TestCurrentIsStableWithinAGoroutine(t *testing.T) {
	before := Current()
	growStack(64)
	runtime.GC()
	runtime.Gosched()
	if after := Current(); after != before || before == 0 {
		t.Errorf("Current changed from %#x to %#x", before, after)
	}
}

func TestCurrentDiffersBetweenLiveGoroutines(t *testing.T) {
	const n = 1000
	ids, release := make(chan ID, n), make(chan struct{})
	defer close(release)
	for range n {
		go func() { ids <- Current(); <-release }()
	}
	seen := map[ID]bool{Current(): true}
	for range n {
		id := <-ids
		if seen[id] {
			t.Fatalf("two live goroutines have the id %#x", id)
		}
		seen[id] = true
	}
}

// growStack makes the runtime move the goroutine's stack.
func growStack(depth int) byte {
	var pad [4096]byte
	if depth == 0 {
		return pad[0]
	}
	return growStack(depth-1) + pad[depth]
}

func BenchmarkCurrent(b *testing.B) {
	for b.Loop() {
		Current()
	}
}

func TestIsCoroutine(t *testing.T) {
	for _, depth := range []int{0, 1000} {
		pull := func(depth int) bool {
			next, stop := iter.Pull(func(yield func(bool) bool) { yield(deep(depth)) })
			defer stop()
			is, _ := next()
			return is
		}
		pull2 := func(depth int) bool {
			next, stop := iter.Pull2(func(yield func(bool, int) bool) { yield(deep(depth), 0) })
			defer stop()
			is, _, _ := next()
			return is
		}
		if !pull(depth) || !pull2(depth) {
			t.Errorf("%d calls deep a coroutine is taken for a goroutine", depth)
		}
		if deep(depth) {
			t.Errorf("%d calls deep a goroutine is taken for a coroutine", depth)
		}
	}
}

// deep asks at the end of so many calls.
func deep(depth int) bool {
	if depth == 0 {
		return IsCoroutine()
	}
	is := deep(depth - 1)
	return is
}
