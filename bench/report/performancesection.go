package report

import (
	"fmt"
	"slices"
)

// typical are the settings whose tables stand on the page, by scenario. Of others, it
// is the middle of the sweep.
var typical = map[string][]map[string]string{
	"wake":      {{"polling": "off", "gap_us": "20"}, {"polling": "on", "gap_us": "20"}},
	"pingpong":  {{"pinned": "yes"}},
	"mainloop":  {{"pinned": "yes"}},
	"idle-fds":  {{"idle_fds": "8192"}},
	"producers": {{"pinned": "yes", "producers": "8"}},
	"timers":    {{"do": "rearm", "timers": "100000"}, {"do": "fire", "timers": "100000"}},
	"contexts":  {{"contexts": "100"}},
	"busy":      {{"from": "loop", "gomaxprocs": "4", "computing": "2"}},
}

// typicalGroups are at most two, and at least one.
func (s section) typicalGroups() (list []group) {
	for _, g := range s.groups {
		if slices.ContainsFunc(typical[s.name], func(want map[string]string) bool { return hasAll(g.params, want) }) && len(list) < 2 {
			list = append(list, g)
		}
	}
	if len(list) == 0 {
		list = append(list, s.groups[len(s.groups)/2])
	}
	return list
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
	ps := performanceSection{Name: markdown(s.name), About: s.about}
	for _, note := range s.notes {
		ps.Notes = append(ps.Notes, markdown(note))
	}
	groups := s.typicalGroups()
	for _, g := range groups {
		ps.Groups = append(ps.Groups, performanceGroup{markdown(s.label(g)), s.timesTable(g), g.ratiosTable()})
	}
	if len(s.groups) > len(groups) {
		ps.Others = s.everySetting()
	}
	var err error
	ps.Plots, err = r.performancePlots(s, groups, files)
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
		if isFloor(res.Backend) {
			continue
		}
		cells := slices.Concat([]string{markdownRow(res.Backend)}, res.latencyCells(), []string{formatCPU(res.CPUNSPerOp)})
		cells[1] = g.leading(res)
		for _, name := range names {
			cells = append(cells, figureCell(res, name))
		}
		t.add(cells...)
	}
	return t.String()
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

// goReferences are what only the page compares with.
var goReferences = []reference{
	{"goroutine+channel", always("goroutine+channel")},
	{"netpoller", always("netpoller")},
}

// ratiosTable has a column for each row of the library, and a line for each of those
// that it is compared with. It is empty if there are none.
func (g group) ratiosTable() string {
	t := mdTable{words: 1, heads: []string{""}}
	own := slices.DeleteFunc(slices.Clone(g.results), func(res *Result) bool { return !isLibrary(res.Backend) })
	for _, res := range own {
		t.heads = append(t.heads, markdownRow(res.Backend))
	}
	for _, ref := range slices.Concat(references, goReferences) {
		cells := []string{"*" + markdown(ref.label) + "*"}
		some := false
		for _, res := range own {
			r, ok := g.ratio(res, ref)
			some = some || ok
			cells = append(cells, ratioCell(r, ok))
		}
		if some {
			t.add(cells...)
		}
	}
	if len(t.rows) == 0 {
		return ""
	}
	return t.String()
}

func ratioCell(r Ratio, ok bool) string {
	if !ok {
		return notMeasured
	}
	return markdown(r.String())
}

// everySetting is the p50 of all rows but the floors.
func (s section) everySetting() string {
	var results []*Result
	for _, g := range s.groups {
		results = append(results, g.results...)
	}
	names := slices.DeleteFunc(rows(results), isFloor)
	t := mdTable{words: 1, heads: []string{"setting"}}
	for _, name := range names {
		t.heads = append(t.heads, markdownRow(name))
	}
	for _, g := range s.groups {
		cells := []string{markdown(s.label(g))}
		for _, name := range names {
			cell := notMeasured
			if res := g.find(name); res != nil {
				cell = g.leading(res)
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	return t.String()
}

// performancePlots adds the pictures of a section to the files: its sweeps, or the
// distributions at the settings that are shown, and the ratios there.
func (r *Report) performancePlots(s section, shown []group, files map[string][]byte) (plots []performancePlot, err error) {
	add := func(name, title, svg string) {
		file := uniqueName(name, files)
		files[file] = []byte(svg)
		plots = append(plots, performancePlot{markdown(title), file})
	}
	styles := assignStyles(r.rowNames())
	for _, f := range s.performanceFigures(shown, styles) {
		svg, err := f.svg(f.valueAxis(), frame{title: f.title, caption: r.Machine.String(), margin: margin}, standaloneHead())
		if err != nil {
			return nil, err
		}
		title := f.title
		if f.log {
			title += ", logarithmic"
		}
		add(f.name, title, svg)
	}
	for _, g := range shown {
		if svg := g.ratioFile(styles); svg != "" {
			add(slug(s.name, s.label(g), "ratios"), joinNonEmpty(", ", s.name+": ratios of p50", s.label(g)), svg)
		}
	}
	return plots, nil
}

func (s section) performanceFigures(shown []group, styles map[string]int) []figure {
	few := s.only(drawn)
	figures := few.figures(styles)
	if len(figures.sweeps) > 0 {
		return slices.Concat(figures.sweeps...)
	}
	var list []figure
	for i, g := range few.groups {
		if slices.ContainsFunc(shown, func(have group) bool { return compareParams(s.keys, have.params, g.params) == 0 }) {
			list = append(list, figures.dists[i]...)
		}
	}
	return list
}

// only is a section without the other rows, and without groups that have none left.
func (s section) only(keep func(row string) bool) section {
	groups := s.groups
	s.groups = nil
	for _, g := range groups {
		g.results = slices.DeleteFunc(slices.Clone(g.results), func(res *Result) bool { return !keep(res.Backend) })
		if len(g.results) > 0 {
			s.groups = append(s.groups, g)
		}
	}
	return s
}

func uniqueName(name string, files map[string][]byte) string {
	file := name + ".svg"
	for n := 2; files[file] != nil; n++ {
		file = fmt.Sprintf("%s-%d.svg", name, n)
	}
	return file
}
