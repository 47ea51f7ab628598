package aio

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The timers of a list against a sorted slice: QEMU's own data structure. Around the time
// of the latest run, so that some are late and some are not.
func TestTimerHeapAgainstASortedList(t *testing.T) {
	c := newLoopOn(t, Ppoll)
	t.Cleanup(func() { c.timers[Virtual].abandon() })
	c.VirtualClock().Stop()
	latest := time.Duration(0)
	rapid.Check(t, func(t *rapid.T) {
		ref := sortedTimers{}
		var fired []int
		timers := make([]*Timer, 40)
		for i := range timers {
			timers[i] = c.NewTimer(Virtual, func() { fired = append(fired, i) })
		}
		t.Repeat(map[string]func(*rapid.T){
			"mod": func(t *rapid.T) {
				i, d := rapid.IntRange(0, len(timers)-1).Draw(t, "timer"), latest+deadline(t)
				if err := timers[i].Mod(d); err != nil {
					t.Fatal(err)
				}
				ref.arm(i, d)
			},
			"anticipate": func(t *rapid.T) {
				i, d := rapid.IntRange(0, len(timers)-1).Draw(t, "timer"), latest+deadline(t)
				if err := timers[i].ModAnticipate(d); err != nil {
					t.Fatal(err)
				}
				if at, ok := ref.find(i); !ok || d < at {
					ref.arm(i, d)
				}
			},
			"del": func(t *rapid.T) {
				i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
				timers[i].Del()
				ref.disarm(i)
			},
			"": func(t *rapid.T) { checkHeap(t, c, timers, &ref) },
		})
		want := ref.order()
		latest += latestDeadline
		runAll(t, c, latest)
		if !slices.Equal(fired, want) {
			t.Fatalf("fired %v, want %v", fired, want)
		}
	})
}

// deadline draws from few values, so that equal ones are common.
func deadline(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(-20, 20).Draw(t, "deadline")) * time.Second
}

const latestDeadline = 20 * time.Second

// runAll moves the clock to the last deadline for the length of one iteration, so that
// the time of the latest run is that.
func runAll(t *rapid.T, c *Context, latest time.Duration) {
	c.VirtualClock().Set(latest)
	c.VirtualClock().Start()
	if _, err := c.TryPoll(); err != nil {
		t.Fatal(err)
	}
	c.VirtualClock().Stop()
	c.VirtualClock().Set(0)
}

func checkHeap(t *rapid.T, c *Context, timers []*Timer, ref *sortedTimers) {
	l := &c.timers[Virtual]
	if n := len(l.heaps[0]) + len(l.heaps[1]); n != len(*ref) {
		t.Fatalf("%d in the heaps, want %d", n, len(*ref))
	}
	for which, h := range l.heaps {
		for i, e := range h {
			if int(e.timer.place) != i || int(e.timer.heap) != which {
				t.Fatalf("the timer at %d of heap %d believes to be at %d of %d", i, which, e.timer.place, e.timer.heap)
			}
			if i > 0 && e.before(&h[(i-1)/4]) {
				t.Fatalf("the entry at %d belongs above its parent", i)
			}
			if late := which == int(l.late); late != (e.deadline <= l.runNow) {
				t.Fatalf("a timer for %v, the latest run was at %v, late: %t", e.deadline, l.runNow, late)
			}
		}
	}
	for i, timer := range timers {
		d, ok := timer.Deadline()
		want, armed := ref.find(i)
		if ok != armed || ok && d != want {
			t.Fatalf("timer %d: %v, %v; want %v, %v", i, d, ok, want, armed)
		}
	}
	if next := time.Duration(l.next.Load()); len(*ref) == 0 && next != never || len(*ref) > 0 && next != ref.least() {
		t.Fatalf("next is %v", next)
	}
}

// sortedTimers is the reference: armed timers in the order of arming.
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

func (s *sortedTimers) least() time.Duration { return s.sorted()[0].deadline }

func (s *sortedTimers) order() (ids []int) {
	for _, a := range s.sorted() {
		ids = append(ids, a.id)
	}
	return ids
}
