package goroutine

import (
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
