package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
)

func TestPlotNames(t *testing.T) {
	names := syntheticReport().PlotNames()
	for _, want := range []string{
		"wake-p50", "wake-p50-log", "wake-cpu", "idle-fds-p50", "idle-fds-p50-log", "idle-fds-cpu", "producers-p50",
		"wake-polling-off-gap_us-20-distribution", "wake-polling-on-gap_us-20-distribution-log", "pingpong-pinned-yes-distribution", "self-bh-distribution",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if slices.Contains(names, "pingpong-p50") {
		t.Error("pingpong has no sweep")
	}
}

func TestPlotNamesAreUnique(t *testing.T) {
	a, b := minimal(), minimal()
	a.Params, b.Params = map[string]string{"x": "1+2"}, map[string]string{"x": "1 2"}
	r := described(a, b)
	want := []string{"wake-x-1-2-distribution", "wake-x-1-2-distribution-2"}
	if got := r.PlotNames(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestZeroBasedFirst: every picture starts at zero, and a logarithmic one only stands
// behind the zero-based one of the same name.
func TestZeroBasedFirst(t *testing.T) {
	var zeroBased string
	for _, f := range syntheticReport().figures() {
		axis := f.valueAxis()
		if f.log {
			if f.name != zeroBased+"-log" || !strings.Contains(f.yAxisLabel(axis), "logarithmic") {
				t.Errorf("%s with axis %q stands behind %s", f.name, f.yAxisLabel(axis), zeroBased)
			}
			continue
		}
		zeroBased = f.name
		if axis.min != 0 || axis.ticks[0].Label != "0" {
			t.Errorf("%s: axis from %v", f.name, axis.min)
		}
	}
}

func findFigure(t *testing.T, r *Report, name string) figure {
	t.Helper()
	for _, f := range r.figures() {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no figure %q", name)
	return figure{}
}

func TestSweepPanels(t *testing.T) {
	r := described()
	for _, polling := range []string{"on", "off"} {
		for i, gap := range []string{"100", "5"} {
			res := minimal()
			res.Params = map[string]string{"polling": polling, "gap_us": gap}
			res.CPUNSPerOp = float64(1 + i)
			r.Results = append(r.Results, res)
		}
	}
	f := findFigure(t, r, "wake-cpu")
	if len(f.panels) != 2 || f.panels[0].title != "polling off" || f.panels[1].title != "polling on" {
		t.Fatalf("panels %+v", f.panels)
	}
	if f.xTicks[0].Label != "5" || f.xTicks[1].Label != "100" {
		t.Errorf("ticks %+v", f.xTicks)
	}
	want := plotter.XYs{{X: 0, Y: 2}, {X: 1, Y: 1}}
	if got := f.panels[1].curves[0].points; !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
}

func TestSweepNeedsTwoValues(t *testing.T) {
	res := minimal()
	res.Params = map[string]string{"gap_us": "5"}
	r := described(res)
	if got := r.PlotNames(); !slices.Equal(got, []string{"wake-gap_us-5-distribution"}) {
		t.Errorf("got %q", got)
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
		got = append(got, m.Y)
	}
	if want := []float64{1, 500, 900, 990, 999}; !slices.Equal(got, want) {
		t.Errorf("marks at %v, want %v: 1000 samples do not know 99.99 %%", got, want)
	}
	if end := line[len(line)-1]; math.Abs(end.X-3) > 1e-9 {
		t.Errorf("the line ends at %v, want 99.9 %%", end)
	}
	for i := 1; i < len(line); i++ {
		if line[i].X < line[i-1].X || line[i].Y < line[i-1].Y {
			t.Fatalf("the line falls from %v to %v", line[i-1], line[i])
		}
	}
}

func TestDistributionWithoutHistogram(t *testing.T) {
	res := minimal()
	res.N = SamplesP999
	c := distCurve(&res, 0)
	var got []float64
	for _, p := range c.points {
		got = append(got, p.Y)
	}
	if want := []float64{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
}

// TestSplitKeepsAxis: panels that become pictures of their own stay comparable.
func TestSplitKeepsAxis(t *testing.T) {
	f := findFigure(t, syntheticReport(), "wake-p50")
	if parts := f.split(); len(parts) != 2 || len(parts[0].panels) != 1 || parts[1].panels[0].title != "polling on" {
		t.Fatalf("got %+v", parts)
	}
	pictures, err := f.inline()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pictures {
		if !strings.Contains(string(p), ">125</text>") {
			t.Errorf("picture %d does not end at 125 µs", i)
		}
	}
}

func TestUnpaddedPlotters(t *testing.T) {
	f := findFigure(t, syntheticReport(), "wake-p50")
	axis := f.valueAxis()
	if boxes := f.plot(f.panels[0], axis).GlyphBoxes(nil); len(boxes) > 0 {
		t.Errorf("%d glyph boxes push the zero off the axis", len(boxes))
	}
}
