package polling

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const µs = time.Microsecond

func TestQEMURule(t *testing.T) {
	qemu := Config{Max: 32 * µs}
	for _, tc := range []struct {
		p                     Config
		window, blocked, want time.Duration
	}{
		{qemu, 0, 10 * µs, 4 * µs},
		{qemu, 4 * µs, 10 * µs, 8 * µs},
		{qemu, 16 * µs, 10 * µs, 16 * µs},
		{qemu, 16 * µs, 16 * µs, 16 * µs},
		{qemu, 16 * µs, 20 * µs, 32 * µs},
		{qemu, 20 * µs, 30 * µs, 32 * µs}, // never beyond Max
		{qemu, 16 * µs, 33 * µs, 0},
		{qemu, 0, time.Second, 0},
		{Config{Max: 32 * µs, Grow: 3}, 4 * µs, 20 * µs, 12 * µs},
		{Config{Max: 32 * µs, Shrink: 2}, 16 * µs, 100 * µs, 8 * µs},
		{Config{Max: 2 * µs}, 0, µs, 2 * µs},
		{Config{Max: time.Hour, Grow: math.MaxInt / 3}, 4 * µs, time.Minute, time.Hour}, // no overflow
	} {
		if got := tc.p.next(tc.window, tc.blocked); got != tc.want {
			t.Errorf("%+v: window %v, blocked %v: %v, want %v", tc.p, tc.window, tc.blocked, got, tc.want)
		}
	}
}

// Traffic that comes every 20 µs makes the window big enough; when it goes away,
// so does the window.
func TestQEMURuleFollowsTheTraffic(t *testing.T) {
	p, window := Config{Max: 32 * µs}, time.Duration(0)
	for range 10 {
		window = p.next(window, 20*µs)
	}
	if window < 20*µs || window > 32*µs {
		t.Errorf("window %v for events every 20 µs", window)
	}
	if window = p.next(window, time.Millisecond); window != 0 {
		t.Errorf("window %v after the traffic has gone", window)
	}
}

func TestPollingRuleIsTheOneAskedFor(t *testing.T) {
	late := Sample{Arrived: 10 * µs, Blocked: 40 * µs, Woken: true} // of interest to the learned rule only
	for _, learned := range []bool{true, false} {
		r := NewRule(Config{Max: 32 * µs, Learned: learned})
		r.Learn(late)
		if opened := r.Window > 0; opened != learned {
			t.Errorf("learned %v: window %v", learned, r.Window)
		}
	}
}

// Two kinds of gaps: the window serves the short ones and no more.
func TestLearnedWindowIsNoLongerThanItPays(t *testing.T) {
	r := NewRule(Config{Max: 32 * µs, Learned: true})
	for range 100 {
		r.Learn(Sample{Arrived: 4 * µs, Blocked: 9 * µs, Woken: true})
		r.Learn(Sample{Arrived: 300 * µs, Blocked: 305 * µs, Woken: true})
	}
	if r.Window < 4*µs || r.Window > 8*µs {
		t.Errorf("window %v", r.Window)
	}
}

// What came immediately counts too: it is lost when the window closes.
func TestLearnedRuleCountsWhatIsThereAtOnce(t *testing.T) {
	r := NewRule(Config{Max: 32 * µs, Learned: true})
	for range 20 {
		r.Learn(Sample{Immediate: 10, Arrived: time.Millisecond, Blocked: time.Millisecond, Woken: true})
	}
	if r.Window == 0 || r.Window > µs {
		t.Errorf("window %v", r.Window)
	}
}

func TestWakeupCostFollowsButNotAccidents(t *testing.T) {
	var w wakeupCost
	for range 100 {
		w.follow(30 * µs)
	}
	if w != wakeupCost(30*µs) {
		t.Errorf("%v after wake-ups of 30 µs", time.Duration(w))
	}
	if w.follow(time.Second); w > wakeupCost(40*µs) {
		t.Errorf("%v after an accident", time.Duration(w))
	}
	for range 100 {
		w.follow(2 * µs)
	}
	if w > wakeupCost(3*µs) {
		t.Errorf("%v after wake-ups of 2 µs", time.Duration(w))
	}
}

func TestWakeupCostIsBelowItsLimits(t *testing.T) {
	var w wakeupCost
	for _, limit := range []time.Duration{time.Second, 60 * µs, 100 * µs, 35 * µs, µs, 90 * µs} {
		w.limit(limit) // 1 µs was not a wake-up
	}
	if w < wakeupCost(35*µs) || w > wakeupCost(36*µs) {
		t.Errorf("%v", time.Duration(w))
	}
}

// Whatever it is told, the window stays within its limits.
func TestLearnedRuleStaysWithinItsLimits(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, limit := range []time.Duration{1, 7, 32 * µs, time.Hour, math.MaxInt64} {
		r := NewRule(Config{Max: limit, Learned: true})
		for range 5000 {
			s := Sample{Immediate: random.IntN(3) * random.IntN(math.MaxInt>>23), Spun: r.Window * time.Duration(random.IntN(2))}
			s.Arrived = s.Spun + time.Duration(random.Int64()>>random.IntN(63))/4
			s.Blocked = s.Arrived + time.Duration(random.Int64()>>random.IntN(63))/4
			if s.Woken = random.IntN(2) == 0; !s.Woken && random.IntN(2) == 0 {
				s.Arrived = Unknown
			}
			if r.Learn(s); r.Window < 0 || r.Window > limit {
				t.Fatalf("Max %v: window %v after %+v", limit, r.Window, s)
			}
			l := r.learned
			for _, h := range append(l.after[:], l.all) {
				sum := 0
				for _, w := range h.weights {
					sum += int(w)
				}
				if sum != int(h.total) || sum > memory*sampleWeight {
					t.Fatalf("weights %v, total %d", h.weights, h.total)
				}
			}
		}
	}
}

// With a Max beyond any use the sums of the rule stay within an int64: events that come soon
// open a window, the shortest of an hour's, and none is longer than an hour.
func TestLearnedRuleWithAnEnormousMax(t *testing.T) {
	for _, limit := range []time.Duration{2 * longestWindow, math.MaxInt64 / 2, math.MaxInt64} {
		r, hour := NewRule(Config{Max: limit, Learned: true}), NewRule(Config{Max: longestWindow, Learned: true})
		for range 2 * memory {
			for _, rule := range []*Rule{&r, &hour} {
				rule.Learn(Sample{Arrived: 10 * µs, Blocked: 15 * µs, Woken: true})
			}
			if r.Window != hour.Window || r.Window > longestWindow {
				t.Fatalf("Max %v: window %v, with an hour it is %v", limit, r.Window, hour.Window)
			}
		}
		if r.Window < 10*µs {
			t.Errorf("Max %v: window %v", limit, r.Window)
		}
	}
}

func BenchmarkPollRule(b *testing.B) {
	b.ReportAllocs()
	r := NewRule(Config{Max: 32 * µs, Learned: true})
	for i := 0; b.Loop(); i++ {
		r.Learn(Sample{Arrived: time.Duration(i%40) * µs, Blocked: 50 * µs, Woken: true})
	}
}
