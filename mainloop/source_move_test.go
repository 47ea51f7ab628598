package mainloop

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestSetPriorityOfClosing changes the priority at the point where Close refuses new
// sources and has not read the list yet: the source stays in the list.
func TestSetPriorityOfClosing(t *testing.T) {
	m, err := NewMainContext()
	if err != nil {
		t.Fatal(err)
	}
	var finalized atomic.Int32
	s, err := NewSource("s", Funcs{
		Dispatch: func() bool { return true },
		Finalize: func() { finalized.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Attach(m); err != nil {
		t.Fatal(err)
	}
	m.owner.Store(closed)
	if err := s.SetPriority(1); err != nil {
		t.Error(err)
	}
	m.owner.Store(nobody)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if n := finalized.Load(); n != 1 {
		t.Errorf("Finalize was called %d times", n)
	}
}

// A source that has moved to another MainContext while Close closes the sources lives on.
func TestCloseSparesASourceThatHasMoved(t *testing.T) {
	from, to := openMain(t), openMain(t)
	var mover *Source
	openSource(t, from, "first", Funcs{Finalize: func() {
		must(t, mover.Detach())
		must(t, mover.Attach(to))
	}})
	ran := 0
	mover = openSource(t, from, "mover", Funcs{
		Prepare:  func() (time.Duration, bool, error) { return 0, ran == 0, nil },
		Dispatch: func() bool { ran++; return true },
	})
	must(t, from.Close())
	if block(t, to); ran != 1 {
		t.Errorf("the source ran %d times", ran)
	}
}
