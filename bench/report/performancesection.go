package report

import "slices"

// typicalGroup is the one whose table stands on the page.
func (s section) typicalGroup() group {
	for _, want := range s.Typical {
		for _, g := range s.groups {
			if hasAll(g.params, want) {
				return g
			}
		}
	}
	return s.groups[len(s.groups)/2]
}

func hasAll(params, want map[string]string) bool {
	for k, v := range want {
		if params[k] != v {
			return false
		}
	}
	return true
}

func (r *Report) performanceSection(s section, files map[string][]byte) (performanceSection, error) {
	g := s.typicalGroup()
	ps := performanceSection{Name: markdown(s.Name), About: s.About, Label: markdown(s.label(g)), Times: s.timesTable(g)}
	var err error
	ps.Plots, err = r.performancePlots(s, files)
	return ps, err
}

// timesTable leaves out the floors: the table of ratios has them.
func (s section) timesTable(g group) string {
	t := mdTable{words: 1, heads: []string{"", "p50", "p90", "p99", "p99.9", "max", "CPU/event"}}
	var names []string
	for _, name := range s.figureNames() {
		if slices.ContainsFunc(g.results, func(res *Result) bool { _, ok := res.Figures[name]; return ok }) {
			names = append(names, name)
			t.heads = append(t.heads, markdown(name))
		}
	}
	for _, res := range g.results {
		if s.desc.row(res.Backend).Kind == Floor {
			continue
		}
		cells := slices.Concat([]string{s.rowName(res.Backend)}, res.latencyCells(), []string{formatCPU(res.CPUNSPerOp)})
		cells[1] = g.leading(res)
		for _, name := range names {
			cells = append(cells, figureCell(res, name))
		}
		t.add(cells...)
	}
	return t.String()
}

// rowName is the name of a row: italics if it is not one of ours.
func (s section) rowName(row string) string {
	if s.desc.row(row).Kind == Own {
		return markdown(row)
	}
	return peerName(row)
}

func figureCell(res *Result, name string) string {
	if v, ok := res.Figures[name]; ok {
		return formatFigure(v)
	}
	return notMeasured
}

// leading is the p50 of a result, in bold if it is the best or on a par with it.
func (g group) leading(res *Result) string {
	if g.leads(res) {
		return "**" + formatDuration(res.P50) + "**"
	}
	return formatDuration(res.P50)
}

// performancePlots adds to the files the picture of the median over the sweep, if the
// section has one: with a logarithmic axis where the values call for it.
func (r *Report) performancePlots(s section, files map[string][]byte) ([]performancePlot, error) {
	sweep := s.only(drawn).sweepFigures(metrics[0], r.styles())
	if len(sweep) == 0 {
		return nil, nil
	}
	f := sweep[len(sweep)-1]
	svg, err := f.svg(f.valueAxis(), frame{title: f.title, caption: r.Machine.String(), margin: margin}, standaloneHead())
	if err != nil {
		return nil, err
	}
	file := slug(s.Name) + ".svg"
	files[file] = []byte(svg)
	return []performancePlot{{markdown(f.title), file}}, nil
}

// only is a section without the other rows, and without groups that have none left.
func (s section) only(keep func(Row) bool) section {
	groups := s.groups
	s.groups = nil
	for _, g := range groups {
		g.results = slices.DeleteFunc(slices.Clone(g.results), func(res *Result) bool { return !keep(s.desc.row(res.Backend)) })
		if len(g.results) > 0 {
			s.groups = append(s.groups, g)
		}
	}
	return s
}
