package report

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"text/tabwriter"
)

// Ratio is how many times as long one row took as another: the median over the
// rounds, and the lowest and the highest of them. In each round the two were measured
// at nearly the same time, so that a machine that changes its speed does not weigh.
type Ratio struct {
	Median, Low, High float64
	// Rounds is the number of rounds behind it. With 1 there is no spread.
	Rounds int
}

// RatioTo divides the p50 of a result by that of another one of the same group, round
// by round. Results without rounds, or with different numbers of them, are compared
// as a whole. It is false if the other one took no time at all.
func (res *Result) RatioTo(other *Result) (Ratio, bool) {
	if len(res.Rounds) == 0 || len(res.Rounds) != len(other.Rounds) {
		if other.P50 <= 0 {
			return Ratio{}, false
		}
		r := float64(res.P50) / float64(other.P50)
		return Ratio{r, r, r, 1}, true
	}
	var ratios []float64
	for i, d := range res.Rounds {
		if other.Rounds[i] <= 0 {
			return Ratio{}, false
		}
		ratios = append(ratios, float64(d)/float64(other.Rounds[i]))
	}
	slices.Sort(ratios)
	return Ratio{medianOf(ratios), ratios[0], ratios[len(ratios)-1], len(ratios)}, true
}

// medianOf expects sorted values. Of an even number it is the mean of the two in the
// middle.
func medianOf(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String is "1.03 (0.99–1.10)", or the median alone if there was one round only.
func (r Ratio) String() string {
	if r.Rounds < 2 {
		return formatTimes(r.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", formatTimes(r.Median), formatTimes(r.Low), formatTimes(r.High))
}

// formatTimes keeps two digits of small numbers, too.
func formatTimes(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v < 0.001 && v > 0:
		return "<0.001"
	case v < 0.0995 && v > 0:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// reference is a column of ratios: what the row of a line is divided by.
type reference struct {
	label string
	of    func(Row) string
}

var floorReference = reference{"floor", func(r Row) string { return r.Floor }}

// allReferences are the columns of a scenario that has all rows.
func (d *Description) allReferences() []reference {
	list := []reference{floorReference}
	for _, row := range d.Rows {
		if row.Reference != "" {
			list = append(list, reference{row.Reference, func(Row) string { return row.Name }})
		}
	}
	return list
}

// find returns the result of a row, or nil.
func (g group) find(row string) *Result {
	for _, res := range g.results {
		if res.Backend == row {
			return res
		}
	}
	return nil
}

// ratio is that of a result to a reference, if the group has both.
func (g group) ratio(res *Result, ref reference) (Ratio, bool) {
	other := g.find(ref.of(g.desc.row(res.Backend)))
	if other == nil || other == res {
		return Ratio{}, false
	}
	return res.RatioTo(other)
}

func (g group) floorCell(res *Result) string {
	if r, ok := g.ratio(res, floorReference); ok {
		return formatTimes(r.Median) + "×"
	}
	return notMeasured
}

// ownResults are the lines of a table of ratios.
func (g group) ownResults() []*Result {
	return slices.DeleteFunc(slices.Clone(g.results), func(res *Result) bool { return g.desc.row(res.Backend).Process })
}

// references are the columns of a section that have anything in them.
func (s section) references() (list []reference) {
	for _, ref := range s.desc.allReferences() {
		if slices.ContainsFunc(s.groups, func(g group) bool { return g.hasReference(ref) }) {
			list = append(list, ref)
		}
	}
	return list
}

func (g group) hasReference(ref reference) bool {
	return slices.ContainsFunc(g.ownResults(), func(res *Result) bool {
		_, ok := g.ratio(res, ref)
		return ok
	})
}

func (s section) hasFloor() bool {
	return slices.ContainsFunc(s.groups, func(g group) bool { return g.hasReference(floorReference) })
}

func ratioHeads(refs []reference) (heads []string) {
	for _, ref := range refs {
		heads = append(heads, "÷"+ref.label)
	}
	return heads
}

func (g group) ratioCells(res *Result, refs []reference) []string {
	cells := make([]string, len(refs))
	for i, ref := range refs {
		cells[i] = notMeasured
		if r, ok := g.ratio(res, ref); ok {
			cells[i] = r.String()
		}
	}
	return cells
}

// writeRatios writes the table of ratios below that of the latencies.
func (s section) writeRatios(b *bufio.Writer) {
	refs := s.references()
	if len(refs) == 0 {
		return
	}
	var buf bytes.Buffer
	tw := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', tabwriter.AlignRight)
	width := s.nameWidth()
	writeCells(tw, s.header(), fill("backend", width), ratioHeads(refs))
	for _, g := range s.groups {
		for _, res := range g.ownResults() {
			writeCells(tw, s.paramCells(g), fill(printable(res.Backend), width), g.ratioCells(res, refs))
		}
	}
	tw.Flush() // a bytes.Buffer does not fail
	fmt.Fprint(b, "\n  p50 divided by that of another row in the same round: median (lowest–highest)\n\n")
	b.Write(trimLines(buf.Bytes()))
}

// pageRatios is the same for the page.
func (s section) pageRatios(styles map[string]int) (heads []string, list []pageRatios) {
	refs := s.references()
	if len(refs) == 0 {
		return nil, nil
	}
	middle := ""
	if values := s.sweepValues(); len(values) > 1 {
		middle = values[len(values)/2]
	}
	for _, g := range s.groups {
		p := pageRatios{Label: s.label(g), Hidden: middle != "" && g.params[s.Sweep] != middle}
		for _, res := range g.ownResults() {
			p.Rows = append(p.Rows, pageRatioRow{swatch{printable(res.Backend), styles[res.Backend]}, g.ratioCells(res, refs)})
		}
		list = append(list, p)
	}
	return ratioHeads(refs), list
}
