//go:build linux

package aio

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestQEMURule(t *testing.T) {
	qemu := Polling{Max: 32 * µs}
	for _, tc := range []struct {
		p                     Polling
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
		{Polling{Max: 32 * µs, Grow: 3}, 4 * µs, 20 * µs, 12 * µs},
		{Polling{Max: 32 * µs, Shrink: 2}, 16 * µs, 100 * µs, 8 * µs},
		{Polling{Max: 2 * µs}, 0, µs, 2 * µs},
	} {
		if got := tc.p.next(tc.window, tc.blocked); got != tc.want {
			t.Errorf("%+v: window %v, blocked %v: %v, want %v", tc.p, tc.window, tc.blocked, got, tc.want)
		}
	}
}

// Traffic that comes every 20 µs makes the window big enough; when it goes away,
// so does the window.
func TestQEMURuleFollowsTheTraffic(t *testing.T) {
	p, window := Polling{Max: 32 * µs}, time.Duration(0)
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
	late := pollSample{arrived: 10 * µs, blocked: 40 * µs, woken: true} // of interest to the learned rule only
	for rule, opens := range map[PollingRule]bool{PollLearned: true, PollQEMU: false} {
		r := newPollRule(Polling{Max: 32 * µs, Rule: rule})
		r.sample(late)
		if opened := r.window > 0; opened != opens {
			t.Errorf("rule %v: window %v", rule, r.window)
		}
	}
}

// Two kinds of gaps: the window serves the short ones and no more.
func TestLearnedWindowIsNoLongerThanItPays(t *testing.T) {
	r := newPollRule(Polling{Max: 32 * µs})
	for range 100 {
		r.sample(pollSample{arrived: 4 * µs, blocked: 9 * µs, woken: true})
		r.sample(pollSample{arrived: 300 * µs, blocked: 305 * µs, woken: true})
	}
	if r.window < 4*µs || r.window > 8*µs {
		t.Errorf("window %v", r.window)
	}
}

// What came at once counts too: it is lost when the window closes.
func TestLearnedRuleCountsWhatIsThereAtOnce(t *testing.T) {
	r := newPollRule(Polling{Max: 32 * µs})
	for range 20 {
		r.sample(pollSample{immediate: 10, arrived: time.Millisecond, blocked: time.Millisecond, woken: true})
	}
	if r.window == 0 || r.window > µs {
		t.Errorf("window %v", r.window)
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
		r := newPollRule(Polling{Max: limit})
		for range 5000 {
			s := pollSample{immediate: random.IntN(3) * random.IntN(math.MaxInt>>23), spun: r.window * time.Duration(random.IntN(2))}
			s.arrived = s.spun + time.Duration(random.Int64()>>random.IntN(63))/4
			s.blocked = s.arrived + time.Duration(random.Int64()>>random.IntN(63))/4
			if s.woken = random.IntN(2) == 0; !s.woken && random.IntN(2) == 0 {
				s.arrived = unknown
			}
			if r.sample(s); r.window < 0 || r.window > limit {
				t.Fatalf("Max %v: window %v after %+v", limit, r.window, s)
			}
			l := r.learned
			sum := int64(0)
			for _, w := range l.weights {
				sum += w
			}
			if sum != l.total || sum > (memory+1)*sampleWeight {
				t.Fatalf("weights %v, total %d", l.weights, l.total)
			}
		}
	}
}

func BenchmarkPollRule(b *testing.B) {
	b.ReportAllocs()
	r := newPollRule(Polling{Max: 32 * µs})
	for i := 0; b.Loop(); i++ {
		r.sample(pollSample{arrived: time.Duration(i%40) * µs, blocked: 50 * µs, woken: true})
	}
}
