package report

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func axisLabels(a valueAxis) string {
	var labels []string
	for _, t := range a.ticks {
		if t.Label != "" {
			labels = append(labels, t.Label)
		}
	}
	return strings.Join(labels, " ")
}

func TestLinearAxis(t *testing.T) {
	tests := []struct {
		top          float64
		labels, unit string
	}{
		{0, "0 0.2 0.4 0.6 0.8 1", "ns"},
		{58, "0 20 40 60", "ns"},
		{391, "0 100 200 300 400", "ns"},
		{2000, "0 0.5 1 1.5 2", "µs"},
		{109_000, "0 25 50 75 100 125", "µs"},
		{509_000, "0 200 400 600", "µs"},
		{15e6, "0 5 10 15", "ms"},
		{60e9, "0 20 40 60", "s"},
	}
	for _, tt := range tests {
		a := linearAxis(tt.top)
		if got := axisLabels(a); got != tt.labels || a.unit != tt.unit {
			t.Errorf("linearAxis(%v): %s %s, want %s %s", tt.top, got, a.unit, tt.labels, tt.unit)
		}
	}
}

// TestLinearAxisProperties: from zero, nothing sticks out, little room is wasted, and
// there are as many ticks as a reader can use.
func TestLinearAxisProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := rapid.Float64Range(1, 1e11).Draw(t, "top")
		a := linearAxis(top)
		if a.min != 0 || a.ticks[0].Value != 0 || a.max < top || a.max > 2*top {
			t.Fatalf("from %v to %v for %v", a.min, a.max, top)
		}
		if n := len(a.ticks); n < 3 || n > 7 {
			t.Fatalf("%d ticks: %s", n, axisLabels(a))
		}
	})
}

func TestLogAxis(t *testing.T) {
	tests := []struct {
		bottom, top float64
		labels      string
	}{
		{0, 0, "1 ns 10 ns"},
		{290, 109_000, "100 ns 1 µs 10 µs 100 µs 1 ms"},
		{100, 1000, "100 ns 1 µs"},
		{1e8, 5e9, "100 ms 1 s 10 s"},
	}
	for _, tt := range tests {
		a := logAxis(tt.bottom, tt.top)
		if got := axisLabels(a); got != tt.labels {
			t.Errorf("logAxis(%v, %v): %s, want %s", tt.bottom, tt.top, got, tt.labels)
		}
	}
	a := logAxis(100, 1000)
	if a.place(1000) != a.max || a.place(0) != a.min || a.place(10) != a.min {
		t.Errorf("places %v %v %v on %v to %v", a.place(1000), a.place(0), a.place(10), a.min, a.max)
	}
}

func TestPercentileX(t *testing.T) {
	for _, tick := range percentileTicks {
		if got := fractionAt(percentileX(tick.fraction)); math.Abs(got-tick.fraction) > 1e-12 {
			t.Errorf("%s comes back as %v", tick.label, got)
		}
	}
	if nine, ninetynine := percentileX(0.9), percentileX(0.99); math.Abs(ninetynine-2*nine) > 1e-9 {
		t.Errorf("90 %% at %v, 99 %% at %v: each nine takes the same width", nine, ninetynine)
	}
}
