package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed page.css
var pageCSS string

var page = template.Must(template.New("page").Parse(pageTemplate))

// pageData is what the template sees. Everything of type template.HTML was made by
// this package's own drawing code, which escapes names itself.
type pageData struct {
	Text     *Description
	CSS      template.CSS
	Machine  []fact
	Clock    string
	Glance   glance
	Sections []pageSection
}

type fact struct{ Name, Value string }

// glance is the p50 of every row in every group: who wins where, on one screen.
type glance struct {
	Rows   []swatch
	Groups []glanceGroup
}

// glanceGroup is one line of it. Scenario is empty if it is that of the line above.
type glanceGroup struct {
	Scenario, Anchor, Label string
	Cells                   []cell
}

type cell struct {
	Text string
	Lead bool
}

// swatch is the name of a row and the number of its colour.
type swatch struct {
	Name  string
	Style int
}

type pageSection struct {
	Name, About, Anchor string
	Keys, Numbers       []string
	Groups              [][]pageRow
	RatioHeads          []string
	Ratios              []pageRatios
	Notes               []string
	Sweeps              []pagePlots
	Shown               []pagePlots
	Hidden              []pagePlots
}

type pageRow struct {
	Params  []string
	Row     swatch
	Numbers []string
	Lead    bool
}

// pageRatios is one group's ratios to what it is compared with.
type pageRatios struct {
	Label  string
	Rows   []pageRatioRow
	Hidden bool // one of a sweep, folded away
}

type pageRatioRow struct {
	Row   swatch
	Cells []string
}

// pagePlots is the pictures of the same thing: zero-based first.
type pagePlots struct {
	Label string
	Plots []template.HTML
}

// WriteHTML writes one page with everything: machine, tables and plots. The page
// needs no other file and no network, follows the reader's choice of light or
// dark, and runs no script.
func (r *Report) WriteHTML(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	data, err := r.pageData()
	if err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	var buf bytes.Buffer
	if err := page.Execute(&buf, data); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	if _, err := buf.WriteTo(w); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	return nil
}

func (r *Report) pageData() (pageData, error) {
	styles := r.styles()
	sections := r.sections()
	data := pageData{
		Text:    &r.Description,
		CSS:     template.CSS(pageCSS + plotCSS() + swatchCSS()),
		Machine: r.Machine.facts(),
		Glance:  r.glance(sections, styles),
	}
	if r.Machine.ClockNS > 0 {
		data.Clock = formatNS(r.Machine.ClockNS)
	}
	for k, s := range sections {
		ps, err := s.page(styles)
		if err != nil {
			return pageData{}, fmt.Errorf("scenario %q: %w", s.Name, err)
		}
		ps.Anchor = anchor(k)
		data.Sections = append(data.Sections, ps)
	}
	return data, nil
}

// anchor is counted and not made from a name, because names from a file can be
// anything, also twice the same once the odd characters are gone.
func anchor(section int) string { return fmt.Sprintf("scenario-%d", section+1) }

// facts are the fields of the machine that are known, with their names.
func (m Machine) facts() []fact {
	all := []fact{
		{"CPU", m.CPU},
		{"CPUs", positive(m.CPUs)},
		{"Virtualization", m.Virtualization},
		{"Governor", m.Governor},
		{"Kernel", prefixed("Linux ", m.Kernel)},
		{"Go", m.toolchain()},
		{"GOMAXPROCS", positive(m.GOMAXPROCS)},
	}
	if m.ClockNS > 0 {
		all = append(all, fact{"One clock read", formatNS(m.ClockNS)})
	}
	if !m.Date.IsZero() {
		all = append(all, fact{"Date", m.Date.Format("2006-01-02 15:04 MST")})
	}
	known := all[:0]
	for _, f := range all {
		if f.Value != "" {
			known = append(known, f)
		}
	}
	return known
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (r *Report) glance(sections []section, styles map[string]int) glance {
	var gl glance
	names := r.rowNames()
	for _, name := range names {
		gl.Rows = append(gl.Rows, swatch{printable(name), styles[name]})
	}
	for k, s := range sections {
		for i, g := range s.groups {
			line := glanceGroup{Anchor: anchor(k), Label: s.label(g), Cells: g.glanceCells(names)}
			if i == 0 {
				line.Scenario = printable(s.Name)
			}
			gl.Groups = append(gl.Groups, line)
		}
	}
	return gl
}

func (g group) glanceCells(names []string) []cell {
	cells := make([]cell, len(names))
	for i, name := range names {
		cells[i].Text = notMeasured
		for _, res := range g.results {
			if res.Backend == name {
				cells[i] = cell{formatDuration(res.P50), g.leads(res)}
			}
		}
	}
	return cells
}

func (s section) page(styles map[string]int) (pageSection, error) {
	ps := pageSection{
		Name:    printable(s.Name),
		About:   s.About,
		Keys:    s.header(),
		Numbers: s.numberHeader(),
		Notes:   s.notes,
	}
	for _, g := range s.groups {
		ps.Groups = append(ps.Groups, s.pageRows(g, styles))
	}
	ps.RatioHeads, ps.Ratios = s.pageRatios(styles)
	figures := s.figures(styles)
	for _, pair := range figures.sweeps {
		plots, err := inlineAll(pair)
		if err != nil {
			return ps, err
		}
		ps.Sweeps = append(ps.Sweeps, plots)
	}
	return ps, s.addDistributions(&ps, figures.dists)
}

func (s section) pageRows(g group, styles map[string]int) []pageRow {
	lines := make([]pageRow, len(g.results))
	for i, res := range g.results {
		lines[i] = pageRow{
			Params:  s.paramCells(g),
			Row:     swatch{printable(res.Backend), styles[res.Backend]},
			Numbers: s.numbers(g, res),
			Lead:    g.leads(res),
		}
	}
	return lines
}

// addDistributions shows all distributions of a scenario without a sweep. Of a
// sweep it shows the one in the middle for each setting of the other parameters,
// and folds the rest away: they are many, and alike.
func (s section) addDistributions(ps *pageSection, dists [][]figure) error {
	middle := ""
	if values := s.sweepValues(); len(values) > 1 {
		middle = values[len(values)/2]
	}
	for i, g := range s.groups {
		plots, err := inlineAll(dists[i])
		if err != nil {
			return err
		}
		if middle == "" || g.params[s.Sweep] == middle {
			ps.Shown = append(ps.Shown, plots)
		} else {
			ps.Hidden = append(ps.Hidden, plots)
		}
	}
	return nil
}

func inlineAll(figures []figure) (pagePlots, error) {
	p := pagePlots{Label: figures[0].label}
	for _, f := range figures {
		plots, err := f.inline()
		if err != nil {
			return p, err
		}
		p.Plots = append(p.Plots, plots...)
	}
	return p, nil
}

// inline draws each panel as a picture of its own, so that the page can put them
// below each other where it is narrow.
func (f figure) inline() ([]template.HTML, error) {
	axis := f.valueAxis()
	var plots []template.HTML
	for _, single := range f.split() {
		svg, err := single.svg(axis, frame{margin: 2}, "")
		if err != nil {
			return nil, err
		}
		plots = append(plots, template.HTML(svg))
	}
	return plots, nil
}

// swatchCSS colours the marks in front of the names of rows.
func swatchCSS() string {
	rules := func(pick func(rowStyle) string) (css string) {
		for i, s := range rowStyles {
			css += fmt.Sprintf(".b-row%d{background:%s}\n", i, pick(s))
		}
		return css
	}
	return rules(func(s rowStyle) string { return s.light }) +
		"@media (prefers-color-scheme:dark){\n" + rules(func(s rowStyle) string { return s.dark }) + "}\n"
}
