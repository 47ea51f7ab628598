package timerq

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The queue against a sorted slice, which is QEMU's own data structure. Deadlines lie
// around the time of the latest run, so some items are late and some are not.
func TestQueueAgainstASortedList(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		if !t.Run("", func(t *testing.T) { againstASortedList(t, seed) }) {
			t.Fatalf("seed %d", seed)
		}
	}
}

func againstASortedList(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	q, ref, latest := NewQueue[int](), sortedTimers{}, time.Duration(0)
	items := make([]Item[int], 40)
	for i := range items {
		items[i] = NewItem(i)
	}
	for range 300 {
		i := random.IntN(len(items))
		switch random.IntN(8) {
		case 0:
			latest += time.Duration(random.IntN(30))
			run(t, &q, &ref, latest)
		case 1, 2:
			q.Remove(&items[i])
			ref.disarm(i)
		default: // few values, so that equal ones are common
			deadline := latest + time.Duration(random.IntN(41)-20)
			first := q.Arm(&items[i], deadline)
			ref.arm(i, deadline)
			if least := ref.least(); deadline < least && !first {
				t.Fatalf("armed for %v, before %v, and not the first", deadline, least)
			}
		}
		check(t, &q, items, &ref)
	}
}

// run takes what is due and arms each second item of it again, into the past: such an item
// waits for the next run.
func run(t *testing.T, q *Queue[int], ref *sortedTimers, now time.Duration) {
	t.Helper()
	want := ref.due(now)
	var got []int
	q.Begin(now)
	for item := q.Due(); item != nil; item = q.Due() {
		q.Remove(item)
		got = append(got, item.Value)
		ref.disarm(item.Value)
		if len(got)%2 == 0 {
			q.Arm(item, now-1)
			ref.arm(item.Value, now-1)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("run at %v: %v, want %v", now, got, want)
	}
}

func check(t *testing.T, q *Queue[int], items []Item[int], ref *sortedTimers) {
	t.Helper()
	if n := len(q.heaps[0]) + len(q.heaps[1]); n != len(*ref) {
		t.Fatalf("%d in the heaps, want %d", n, len(*ref))
	}
	for which, h := range q.heaps {
		for i, e := range h {
			if int(e.item.index) != i || int(e.item.heap) != which {
				t.Fatalf("the item at %d of heap %d says %d of %d", i, which, e.item.index, e.item.heap)
			}
			if i > 0 && e.before(&h[(i-1)/4]) {
				t.Fatalf("the entry at %d belongs above its parent", i)
			}
			if late := which == int(q.late); late != (e.deadline <= q.runAt) {
				t.Fatalf("an item for %v, the latest run was at %v, late: %t", e.deadline, q.runAt, late)
			}
		}
	}
	for i := range items {
		want, armed := ref.find(i)
		if ok := items[i].Pending(); ok != armed || ok && items[i].Deadline() != want {
			t.Fatalf("item %d: %v, %v; want %v, %v", i, items[i].Deadline(), ok, want, armed)
		}
	}
	if q.Least() != ref.least() {
		t.Fatalf("the earliest is %v, want %v", q.Least(), ref.least())
	}
}

// sortedTimers is the reference: armed items in the order of arming.
type sortedTimers []armedTimer

type armedTimer struct {
	id       int
	deadline time.Duration
}

func (s *sortedTimers) disarm(id int) {
	*s = slices.DeleteFunc(*s, func(a armedTimer) bool { return a.id == id })
}

func (s *sortedTimers) arm(id int, d time.Duration) {
	s.disarm(id)
	*s = append(*s, armedTimer{id, d})
}

func (s *sortedTimers) find(id int) (time.Duration, bool) {
	for _, a := range *s {
		if a.id == id {
			return a.deadline, true
		}
	}
	return 0, false
}

func (s *sortedTimers) sorted() []armedTimer {
	return slices.SortedStableFunc(slices.Values(*s), func(a, b armedTimer) int { return cmp.Compare(a.deadline, b.deadline) })
}

func (s *sortedTimers) least() time.Duration {
	if len(*s) == 0 {
		return Never
	}
	return s.sorted()[0].deadline
}

func (s *sortedTimers) due(now time.Duration) (ids []int) {
	for _, a := range s.sorted() {
		if a.deadline <= now {
			ids = append(ids, a.id)
		}
	}
	return ids
}
