package park

import "testing"

// neighbours returns goroutine numbers whose slots are the same.
func neighbours(n int) (all []uintptr) {
	for g := uintptr(1); len(all) < n; g++ {
		if len(all) == 0 || slot(g, 0) == slot(all[0], 0) {
			all = append(all, g)
		}
	}
	return all
}

// Goroutines whose numbers lead to the same slot are all known, but for one more than there
// are slots. A Clear makes room for it.
func TestMarksWithTheSameSlot(t *testing.T) {
	all := neighbours(probes + 1)
	var taken []*Mark
	for _, g := range all {
		m := MarkStopping(g)
		defer m.Clear()
		taken = append(taken, m)
	}
	for i, g := range all {
		if got, want := IsMarked(g), i < probes; got != want {
			t.Errorf("goroutine %d of those with one place: known %v, want %v", i, got, want)
		}
	}
	taken[1].Clear()
	if IsMarked(all[1]) {
		t.Error("it is known after it has left")
	}
	if !IsMarked(all[0]) || !IsMarked(all[2]) {
		t.Error("the others are not known any more")
	}
	defer MarkStopping(all[probes]).Clear()
	if !IsMarked(all[probes]) {
		t.Error("it is not known though there is room")
	}
}
