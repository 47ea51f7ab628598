package report

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// pictureOf is the picture of the only scenario of a report.
func pictureOf(t *testing.T, r *Report) *picture {
	t.Helper()
	sections := r.Sections()
	if len(sections) != 1 {
		t.Fatalf("%d scenarios", len(sections))
	}
	return sections[0].picture()
}

// TestOnePicturePerScenario: the median over the sweep, or else the distribution. An axis
// that does not start at zero says so.
func TestOnePicturePerScenario(t *testing.T) {
	for _, s := range syntheticReport().Sections() {
		want := s.Name + ": latency distribution"
		if s.Sweep != "" {
			want = s.Name + ": median latency"
		}
		p := s.picture()
		if p == nil || p.title != want {
			t.Fatalf("%+v, want %q", p, want)
		}
		if p.y.log != strings.HasSuffix(p.yLabel, ", logarithmic") || !p.y.log && p.y.min != 0 {
			t.Errorf("%s: axis from %v, called %q", s.Name, p.y.min, p.yLabel)
		}
	}
}

func TestPanelsOfSweep(t *testing.T) {
	r := described()
	for i, gap := range []string{"100", "5"} {
		for _, polling := range []string{"on", "off"} {
			res := minimal()
			res.Params = map[string]string{"polling": polling, "gap_us": gap}
			res.P50 = time.Duration(1 + i)
			r.Results = append(r.Results, res)
		}
	}
	p := pictureOf(t, r)
	if len(p.panels) != 2 || p.panels[0].title != "polling off" || p.panels[1].title != "polling on" {
		t.Fatalf("panels %+v", p.panels)
	}
	if want := []tick{{0, "5"}, {1, "100"}}; !slices.Equal(p.xTicks, want) {
		t.Errorf("ticks %v, want %v", p.xTicks, want)
	}
	want := []point{{0, 2}, {1, 1}}
	if got := p.panels[1].curves["epoll"].line; !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
}

// TestSweepOfOneValue: there is nothing to draw a line through.
func TestSweepOfOneValue(t *testing.T) {
	res := minimal()
	res.Params = map[string]string{"gap_us": "5"}
	res.Histogram = []Bucket{{1, 6}, {5, 4}}
	if p := pictureOf(t, described(res)); p.title != "wake: latency distribution" {
		t.Errorf("%+v", p)
	}
}

// TestFloorsAreNotDrawn: the floors of single rows stand in the tables only.
func TestFloorsAreNotDrawn(t *testing.T) {
	r := described()
	for _, row := range []string{"futex (C)", "epoll-et (C)", "mine", "epoll"} {
		res := minimal()
		res.Backend, res.Histogram = row, []Bucket{{1, 6}, {5, 4}}
		r.Results = append(r.Results, res)
	}
	if got, want := pictureOf(t, r).rows, []string{"epoll", "futex (C)", "mine"}; !slices.Equal(got, want) {
		t.Errorf("drawn are %q, want %q", got, want)
	}
	r.Results = []Result{minimal()}
	if p := pictureOf(t, r); p != nil {
		t.Errorf("a picture of a result without a histogram: %+v", p)
	}
}

// TestHistogramPoints: 1000 samples from 1 to 1000 ns.
func TestHistogramPoints(t *testing.T) {
	var buckets []Bucket
	for i := int64(1); i <= 1000; i++ {
		buckets = append(buckets, Bucket{i, 1})
	}
	line, marks := histogramPoints(buckets)
	var got []float64
	for _, m := range marks {
		got = append(got, m.y)
	}
	if want := []float64{1, 500, 900, 990, 999}; !slices.Equal(got, want) {
		t.Errorf("marks at %v, want %v: 1000 samples do not know 99.99 %%", got, want)
	}
	if end := line[len(line)-1]; math.Abs(end.x-3) > 1e-9 {
		t.Errorf("the line ends at %v, want 99.9 %%", end)
	}
	for i := 1; i < len(line); i++ {
		if line[i].x < line[i-1].x || line[i].y < line[i-1].y {
			t.Fatalf("the line falls from %v to %v", line[i-1], line[i])
		}
	}
}
