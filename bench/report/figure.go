package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// figure is one picture before it is drawn: panels side by side that share the
// vertical axis and the legend.
type figure struct {
	// name is what WriteSVG knows the picture by.
	name, title string
	// label is the title within the section of the scenario.
	label          string
	xLabel, yLabel string
	xMin, xMax     float64
	xTicks         plot.ConstantTicks
	panels         []panel
	log            bool
}

type panel struct {
	title  string
	curves []curve
}

// curve is one row in one panel. Markers stand only where marks says, because a
// distribution has many more points than is good to mark.
type curve struct {
	row    string
	style  int
	points plotter.XYs
	marks  plotter.XYs
}

// sectionFigures are the pictures of one scenario.
type sectionFigures struct {
	// sweeps show latency or cost over the scenario's sweep parameter.
	sweeps [][]figure
	// dists are distributions, one entry for each group. Each entry of both is
	// the zero-based picture and, if it is needed, the logarithmic one.
	dists [][]figure
}

func (f sectionFigures) all() []figure {
	return append(slices.Concat(f.sweeps...), slices.Concat(f.dists...)...)
}

// tooWide is how many times the smallest value the largest may be before the
// zero-based picture needs a logarithmic one next to it.
const tooWide = 50

// withLog returns f and, where its values call for it, the same with a
// logarithmic axis.
func (f figure) withLog() []figure {
	low, high := f.valueRange()
	if high < tooWide*max(low, 1) {
		return []figure{f}
	}
	g := f
	g.log = true
	g.name += "-log"
	return []figure{f, g}
}

// valueRange is over all panels, so that they can be compared.
func (f figure) valueRange() (low, high float64) {
	low = math.Inf(1)
	for _, p := range f.panels {
		for _, c := range p.curves {
			for _, pt := range c.points {
				low, high = min(low, pt.Y), max(high, pt.Y)
			}
		}
	}
	return min(low, high), high
}

func (f figure) valueAxis() valueAxis {
	low, high := f.valueRange()
	if f.log {
		return logAxis(low, high)
	}
	return linearAxis(high)
}

// split makes one figure for each panel. Each must keep the vertical axis of the
// whole, so the axis is settled before, with valueAxis.
func (f figure) split() []figure {
	figures := make([]figure, len(f.panels))
	for i, p := range f.panels {
		figures[i] = f
		figures[i].panels = []panel{p}
	}
	return figures
}

// metric is a figure of a Result that a sweep can show.
type metric struct {
	suffix, words, axis string
	value               func(*Result) (ns float64, ok bool)
}

var metrics = []metric{
	{"p50", "median latency", "p50 latency", func(r *Result) (float64, bool) { return float64(r.P50), true }},
	{"cpu", "CPU time per event", "CPU time per event", func(r *Result) (float64, bool) { return r.CPUNSPerOp, r.CPUNSPerOp > 0 }},
}

// figures makes all pictures of a section. styles is the result of assignStyles.
func (s section) figures(styles map[string]int) sectionFigures {
	var f sectionFigures
	for _, m := range metrics {
		if sweep := s.sweepFigures(m, styles); sweep != nil {
			f.sweeps = append(f.sweeps, sweep)
		}
	}
	for _, g := range s.groups {
		f.dists = append(f.dists, s.distFigure(g, styles).withLog())
	}
	return f
}

// sweepFigures is empty if there is nothing to draw a line through.
func (s section) sweepFigures(m metric, styles map[string]int) []figure {
	values := s.sweepValues()
	if len(values) < 2 {
		return nil
	}
	f := figure{
		name:   fmt.Sprintf("%s-%s", s.Name, m.suffix),
		title:  fmt.Sprintf("%s: %s", s.Name, m.words),
		label:  m.axis,
		xLabel: s.SweepLabel,
		yLabel: m.axis,
		xMin:   -0.25,
		xMax:   float64(len(values)) - 0.75,
	}
	for i, v := range values {
		f.xTicks = append(f.xTicks, plot.Tick{Value: float64(i), Label: printable(v)})
	}
	f.panels = s.sweepPanels(m, values, styles)
	if len(f.panels) == 0 {
		return nil
	}
	return f.withLog()
}

// sweepValues are the values of the sweep parameter in ascending order.
func (s section) sweepValues() []string {
	var values []string
	for _, g := range s.groups {
		if v, ok := g.params[s.Sweep]; ok && s.Sweep != "" {
			values = append(values, v)
		}
	}
	slices.SortFunc(values, compareValues)
	return slices.Compact(values)
}

// sweepPanels makes one panel for each combination of the other parameters.
// Groups are sorted, but their sweep parameter need not be the last key.
func (s section) sweepPanels(m metric, values []string, styles map[string]int) []panel {
	others := slices.DeleteFunc(slices.Clone(s.keys), func(k string) bool { return k == s.Sweep })
	var panels []panel
	for _, g := range s.groups {
		x := slices.Index(values, g.params[s.Sweep])
		if x < 0 {
			continue
		}
		title := paramLabel(others, g.params)
		i := slices.IndexFunc(panels, func(p panel) bool { return p.title == title })
		if i < 0 {
			i = len(panels)
			panels = append(panels, panel{title: title})
		}
		panels[i].addPoints(float64(x), g, m, styles)
	}
	return slices.DeleteFunc(panels, func(p panel) bool { return len(p.curves) == 0 })
}

func (p *panel) addPoints(x float64, g group, m metric, styles map[string]int) {
	for _, res := range g.results {
		y, ok := m.value(res)
		if !ok {
			continue
		}
		c := p.curve(res.Backend, styles)
		c.points = append(c.points, plotter.XY{X: x, Y: y})
		c.marks = c.points
	}
}

func (p *panel) curve(row string, styles map[string]int) *curve {
	i := slices.IndexFunc(p.curves, func(c curve) bool { return c.row == row })
	if i < 0 {
		i = len(p.curves)
		p.curves = append(p.curves, curve{row: row, style: styles[row]})
	}
	return &p.curves[i]
}

// distFigure shows how latency grows with the percentile, for one group.
func (s section) distFigure(g group, styles map[string]int) figure {
	f := figure{
		name:   slug(s.Name, s.label(g), "distribution"),
		title:  joinNonEmpty(", ", s.Name+": latency distribution", s.label(g)),
		label:  s.label(g),
		xLabel: "share of events that took no longer",
		yLabel: "latency",
		xMax:   percentileX(percentileTicks[len(percentileTicks)-1].fraction),
	}
	for _, t := range percentileTicks {
		f.xTicks = append(f.xTicks, plot.Tick{Value: percentileX(t.fraction), Label: t.label})
	}
	var p panel
	for _, res := range g.results {
		p.curves = append(p.curves, distCurve(res, styles[res.Backend]))
	}
	f.panels = []panel{p}
	return f
}

// distCurve draws a result that comes without a histogram through the percentiles
// that it has.
func distCurve(res *Result, style int) curve {
	c := curve{row: res.Backend, style: style}
	if len(res.Histogram) > 0 {
		c.points, c.marks = histogramPoints(res.Histogram)
		return c
	}
	for _, p := range []struct {
		fraction float64
		value    time.Duration
		samples  int64
	}{{0.5, res.P50, 1}, {0.9, res.P90, 1}, {0.99, res.P99, SamplesP99}, {0.999, res.P999, SamplesP999}} {
		if res.N >= p.samples {
			c.points = append(c.points, plotter.XY{X: percentileX(p.fraction), Y: float64(p.value)})
		}
	}
	c.marks = c.points
	return c
}

// slug makes a name for a file out of words: lower case letters, digits and
// single hyphens, with '_' kept, as parameters are spelled with it.
func slug(words ...string) string {
	keep := func(r rune) bool {
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z'
	}
	parts := strings.FieldsFunc(strings.ToLower(strings.Join(words, " ")), func(r rune) bool { return !keep(r) })
	return strings.Join(parts, "-")
}
