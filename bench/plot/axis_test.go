package plot

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func axisLabels(a Axis) string {
	var labels []string
	for _, t := range a.Ticks {
		labels = append(labels, t.Label)
	}
	return strings.Join(labels, ", ")
}

func TestLinearAxis(t *testing.T) {
	for top, want := range map[float64]string{
		0:       "0 ns, 0.2 ns, 0.4 ns, 0.6 ns, 0.8 ns, 1 ns",
		58:      "0 ns, 20 ns, 40 ns, 60 ns",
		2000:    "0 ns, 500 ns, 1 µs, 1.5 µs, 2 µs",
		109_000: "0 ns, 25 µs, 50 µs, 75 µs, 100 µs, 125 µs",
		15e6:    "0 ns, 5 ms, 10 ms, 15 ms",
		60e9:    "0 ns, 20 s, 40 s, 60 s",
	} {
		if got := axisLabels(linearAxis(top)); got != want {
			t.Errorf("linearAxis(%v): %s, want %s", top, got, want)
		}
	}
}

// TestLinearAxisProperties: from zero, nothing sticks out, little room is wasted, and
// there are as many ticks as a reader can use.
func TestLinearAxisProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := rapid.Float64Range(1, 1e11).Draw(t, "top")
		a := linearAxis(top)
		if a.min != 0 || a.Ticks[0].At != 0 || a.max < top || a.max > 2*top {
			t.Fatalf("from %v to %v for %v", a.min, a.max, top)
		}
		if n := len(a.Ticks); n < 3 || n > 7 {
			t.Fatalf("%d ticks: %s", n, axisLabels(a))
		}
	})
}

func TestLogAxis(t *testing.T) {
	tests := []struct {
		bottom, top float64
		labels      string
	}{
		{0, 0, "1 ns, 10 ns"},
		{290, 109_000, "100 ns, 1 µs, 10 µs, 100 µs, 1 ms"},
		{100, 1000, "100 ns, 1 µs"},
		{1e8, 5e9, "100 ms, 1 s, 10 s"},
	}
	for _, tt := range tests {
		a := LogAxis(tt.bottom, tt.top)
		if got := axisLabels(a); got != tt.labels {
			t.Errorf("LogAxis(%v, %v): %s, want %s", tt.bottom, tt.top, got, tt.labels)
		}
	}
	a := LogAxis(100, 1000)
	if a.Share(1000) != 1 || a.Share(0) != 0 || a.Share(10) != 0 {
		t.Errorf("shares %v %v %v on %v to %v", a.Share(1000), a.Share(0), a.Share(10), a.min, a.max)
	}
}

// TestAxisOfValues: an axis starts at zero unless that would hide the small values.
func TestAxisOfValues(t *testing.T) {
	if a := NewAxis(100, 4900); a.Log || a.Share(0) != 0 {
		t.Errorf("%+v", a)
	}
	if a := NewAxis(100, 5000); !a.Log {
		t.Errorf("%+v", a)
	}
}
