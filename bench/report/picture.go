package report

import (
	"slices"

	"github.com/aioloop/aioloop/bench/plot"
)

// Picture shows the median over the swept parameter, with a panel for each combination of
// the other parameters. It is nil if there is no sweep to draw a line along.
func (s *Section) Picture() *plot.Picture {
	values := s.sweepValues()
	if len(values) < 2 {
		return nil
	}
	p := &plot.Picture{Title: s.Name + ": median latency", XLabel: s.SweepLabel, YLabel: "p50 latency"}
	for i, v := range values {
		p.XTicks = append(p.XTicks, plot.Tick{At: float64(i), Label: groupDigits(v)})
	}
	looks, others := s.report.looks(), slices.DeleteFunc(slices.Clone(s.Keys), func(k string) bool { return k == s.Sweep })
	for _, g := range s.Groups {
		x := slices.Index(values, g.Params[s.Sweep])
		if x < 0 {
			continue
		}
		title := s.report.Description.label(others, g.Params)
		for _, res := range g.Results {
			if s.drawn(res) {
				line := lineIn(p, title, res.Backend)
				line.Look = looks[res.Backend]
				line.Points = append(line.Points, plot.Point{X: float64(x), Y: float64(res.P50)})
			}
		}
	}
	p.Panels = slices.DeleteFunc(p.Panels, func(panel plot.Panel) bool {
		return !slices.ContainsFunc(panel.Lines, func(l plot.Line) bool { return len(l.Points) > 1 })
	})
	if len(p.Panels) == 0 {
		return nil
	}
	return p
}

// lineIn returns a line of a panel, both of them new if need be.
func lineIn(p *plot.Picture, title, name string) *plot.Line {
	i := slices.IndexFunc(p.Panels, func(panel plot.Panel) bool { return panel.Title == title })
	if i < 0 {
		i = len(p.Panels)
		p.Panels = append(p.Panels, plot.Panel{Title: title})
	}
	lines := &p.Panels[i].Lines
	j := slices.IndexFunc(*lines, func(l plot.Line) bool { return l.Name == name })
	if j < 0 {
		j = len(*lines)
		*lines = append(*lines, plot.Line{Name: name})
	}
	return &(*lines)[j]
}

// drawn leaves out the floors of single rows: too many lines tell nothing.
func (s *Section) drawn(res *Result) bool {
	row := s.report.Description.Row(res.Backend)
	return row.Kind != Floor || row.Reference != ""
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

// SVG returns the picture of the scenario as a complete file, or nil if there is none.
func (s *Section) SVG() []byte {
	if p := s.Picture(); p != nil {
		return p.SVG(s.report.Machine.String())
	}
	return nil
}

// looks gives a look to each row of the description, always the same, and then to each
// other row of the report.
func (r *Report) looks() map[string]plot.Look {
	looks, own, used := map[string]plot.Look{}, 0, [plot.Colours]int{}
	add := func(row Row) {
		l, shared := looks[row.Colour]
		if !shared {
			l.Colour = own % plot.Colours
			own++
		}
		l.Number = used[l.Colour]
		used[l.Colour]++
		looks[row.Name] = l
	}
	for _, row := range r.Description.Rows {
		add(row)
	}
	for _, name := range r.RowNames() {
		if _, ok := looks[name]; !ok {
			add(Row{Name: name})
		}
	}
	return looks
}
