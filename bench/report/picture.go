package report

import (
	"maps"
	"math"
	"slices"
)

// picture shows one scenario: panels that share the vertical axis and the legend.
type picture struct {
	title, xLabel, yLabel string
	xMin, xMax            float64
	xTicks                []tick
	y                     axis
	panels                []*panel
	rows                  []string // of any panel, for the legend
	looks                 map[string]look
}

type panel struct {
	title  string
	curves map[string]curve // by row
}

// curve is one row in one panel. Only some of the points of a distribution are marked,
// because there are many.
type curve struct{ line, marks []point }

// point has a duration in nanoseconds as y.
type point struct{ x, y float64 }

// picture is nil if there is nothing to draw a line through.
func (s *Section) picture() *picture {
	var p *picture
	if values := s.sweepValues(); len(values) > 1 {
		p = s.sweepPicture(values)
	} else {
		p = s.distribution()
	}
	p.panels = slices.DeleteFunc(p.panels, func(panel *panel) bool { return len(panel.curves) == 0 })
	if len(p.panels) == 0 {
		return nil
	}
	drawn := map[string]bool{}
	low, high := math.Inf(1), 0.0
	for _, panel := range p.panels {
		for row, c := range panel.curves {
			drawn[row] = true
			for _, pt := range c.line {
				low, high = min(low, pt.y), max(high, pt.y)
			}
		}
	}
	if p.y = newAxis(low, high); p.y.log {
		p.yLabel += ", logarithmic"
	}
	p.rows = slices.SortedFunc(maps.Keys(drawn), s.report.Description.compareRows)
	p.looks = s.report.looks()
	return p
}

// drawn leaves out the floors of single rows: too many lines tell nothing.
func (s *Section) drawn(res *Result) bool {
	row := s.report.Description.Row(res.Backend)
	return row.Kind != Floor || row.Reference != ""
}

// sweepPicture shows the median over the swept parameter. There is a panel for each
// combination of the other parameters.
func (s *Section) sweepPicture(values []string) *picture {
	p := &picture{
		title: s.Name + ": median latency", xLabel: s.SweepLabel, yLabel: "p50 latency",
		xMin: -0.25, xMax: float64(len(values)) - 0.75,
	}
	for i, v := range values {
		p.xTicks = append(p.xTicks, tick{float64(i), v})
	}
	others := slices.DeleteFunc(slices.Clone(s.Keys), func(k string) bool { return k == s.Sweep })
	for _, g := range s.Groups {
		x := slices.Index(values, g.Params[s.Sweep])
		if x < 0 {
			continue
		}
		panel := p.panel(paramLabel(others, g.Params))
		for _, res := range g.Results {
			if s.drawn(res) {
				line := append(panel.curves[res.Backend].line, point{float64(x), float64(res.P50)})
				panel.curves[res.Backend] = curve{line, line}
			}
		}
	}
	return p
}

// sweepValues are the values of the sweep parameter in ascending order.
func (s *Section) sweepValues() []string {
	var values []string
	for _, g := range s.Groups {
		if v, ok := g.Params[s.Sweep]; ok && s.Sweep != "" {
			values = append(values, v)
		}
	}
	slices.SortFunc(values, compareValues)
	return slices.Compact(values)
}

func (p *picture) panel(title string) *panel {
	i := slices.IndexFunc(p.panels, func(panel *panel) bool { return panel.title == title })
	if i < 0 {
		i = len(p.panels)
		p.panels = append(p.panels, &panel{title, map[string]curve{}})
	}
	return p.panels[i]
}

// distribution shows how latency grows with the percentile, at typical settings. A
// result without a histogram is not drawn.
func (s *Section) distribution() *picture {
	p := &picture{title: s.Name + ": latency distribution", xLabel: "share of events that took no longer", yLabel: "latency"}
	for _, t := range percentileTicks {
		p.xMax = percentileX(t.at)
		p.xTicks = append(p.xTicks, tick{p.xMax, t.label})
	}
	for _, g := range s.Shown() {
		panel := p.panel(g.Label)
		for _, res := range g.Results {
			if len(res.Histogram) > 0 && s.drawn(res) {
				line, marks := histogramPoints(res.Histogram)
				panel.curves[res.Backend] = curve{line, marks}
			}
		}
	}
	return p
}

// histogramPoints is the line of a distribution, and the points at the labelled
// percentiles. It ends where the number of samples no longer tells anything: 1000 of
// them know nothing about 99.99 %.
func histogramPoints(buckets []Bucket) (line, marks []point) {
	const perNine, mostNines = 20, 4 // 99.99 %
	c := newCumulative(buckets)
	known := math.Log10(float64(c.total())) + 1e-9
	for _, t := range percentileTicks {
		if x := percentileX(t.at); x <= known {
			marks = append(marks, point{x, float64(c.at(t.at))})
		}
	}
	for i := 0; i <= perNine*mostNines && float64(i)/perNine <= known; i++ {
		x := float64(i) / perNine
		line = append(line, point{x, float64(c.at(fractionAt(x)))})
	}
	return line, marks
}
