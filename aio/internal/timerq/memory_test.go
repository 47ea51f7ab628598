package timerq

import (
	"testing"
	"time"
)

// What was removed is not held on to: neither heap refers to it behind its end.
func TestRemovedItemsAreLetGo(t *testing.T) {
	const n = 40
	q := NewQueue[int]()
	items := make([]Item[int], n)
	for i := range items {
		items[i] = NewItem(i)
		q.Arm(&items[i], time.Duration(i*7%n))
	}
	for i := range items { // some from the middle of the heap
		if i%3 == 0 {
			q.Remove(&items[i])
			letGo(t, &q)
		}
	}
	for now := range time.Duration(n) { // each second one waits for the next run, in the other heap
		q.Begin(now)
		letGo(t, &q)
		for item := q.Due(); item != nil; item = q.Due() {
			q.Remove(item)
			if item.Value%2 == 0 {
				q.Arm(item, now)
			}
		}
		letGo(t, &q)
	}
}

// letGo fails if the memory behind the end of a heap refers to an item.
func letGo(t *testing.T, q *Queue[int]) {
	t.Helper()
	for which, h := range q.heaps {
		for i, e := range h[len(h):cap(h)] {
			if e.item != nil {
				t.Fatalf("heap %d of %d items refers to item %d at %d", which, len(h), e.item.Value, len(h)+i)
			}
		}
	}
}
