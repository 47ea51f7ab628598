// Package terminal prints of a report what fits a screen: the medians of the typical
// settings, what is not shown, and the verdict as the last lines. The complete table is
// [report.Report.WriteTable].
package terminal

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aioloop/aioloop/bench/report"
)

// Width is how many columns a line has at most.
const Width = 100

const (
	labelWidth = 31
	// fewSettings is up to how many settings all of them are shown.
	fewSettings = 20
	// seldom is in which part of the lines a row has to take part to be shown.
	seldom = 6
)

// Write prints a report. Table is the file with everything, empty if there is none.
func Write(w io.Writer, r *report.Report, table string) error {
	var b bytes.Buffer
	paragraph(&b, "", "", r.Machine.String())
	lines, all := settings(r)
	chunks, without := columns(r, lines)
	for i := range lines {
		lines[i].mark(&r.Description, without)
	}
	fmt.Fprintln(&b, "\nHalf of the operations took at most so long (p50); * is the fastest of its line, floors (C) apart:")
	if slices.ContainsFunc(lines, setting.overlaps) {
		fmt.Fprintln(&b, "(file-*: many are under way at a time; the time of all, divided by their number)")
	}
	for _, c := range chunks {
		c.write(&b, lines)
	}
	b.WriteByte('\n')
	paragraph(&b, "", "  ", unseen(len(lines), all, without, table))
	b.WriteByte('\n')
	writeVerdict(&b, r.Verdict)
	_, err := w.Write(b.Bytes())
	return err
}

func unseen(shown, all int, without []string, table string) string {
	text := "Not shown: p90 to max, CPU, allocations, ratios, notes"
	if more := all - shown; more > 0 {
		text += fmt.Sprintf("; %d of %d settings", more, all)
	}
	if len(without) > 0 {
		text += "; " + strings.Join(without, ", ")
	}
	if table == "" {
		return text + "."
	}
	return text + ". All of it is in " + table + "."
}

func writeVerdict(b *bytes.Buffer, v report.Verdict) {
	if v.Headline == "" {
		return
	}
	paragraph(b, "", "", v.Headline)
	for _, line := range v.Lines {
		paragraph(b, "- ", "  ", line)
	}
	for _, note := range v.Notes {
		paragraph(b, "", "  ", note)
	}
}

// setting is a line: a group of results that are compared with each other.
type setting struct {
	label  string
	group  report.Group
	marked map[string]bool // the rows that are the fastest
}

// settings are those to show, and how many there are.
func settings(r *report.Report) (lines []setting, all int) {
	sections := r.Sections()
	for _, s := range sections {
		all += len(s.Groups)
	}
	for _, s := range sections {
		groups := s.Groups
		if all > fewSettings {
			groups = s.Shown()
		}
		for _, g := range groups {
			lines = append(lines, setting{label: strings.Trim(s.Name+": "+g.Label, ": "), group: g})
		}
	}
	return lines, all
}

func (s setting) result(row string) *report.Result {
	for _, res := range s.group.Results {
		if res.Backend == row {
			return res
		}
	}
	return nil
}

// overlaps tells if several events were under way at a time.
func (s setting) overlaps() bool {
	return slices.ContainsFunc(s.group.Results, func(res *report.Result) bool { return res.TimeNSPerOp > 0 })
}

func (s setting) cell(row string) string {
	res := s.result(row)
	if res == nil {
		return ""
	}
	mark := " "
	if s.marked[row] {
		mark = "*"
	}
	return report.Short(float64(res.Cost())) + mark
}

// mark marks the rows with the lowest cost and those on a par with them, floors and what is
// not shown apart. A row without company gets no mark.
func (s *setting) mark(d *report.Description, without []string) {
	costs := map[string]time.Duration{}
	for _, res := range s.group.Results {
		if d.Row(res.Backend).Kind != report.Floor && !slices.Contains(without, report.Printable(res.Backend)) {
			costs[res.Backend] = res.Cost()
		}
	}
	if len(costs) < 2 {
		return
	}
	best := slices.Min(slices.Collect(maps.Values(costs)))
	s.marked = map[string]bool{}
	for row, cost := range costs {
		s.marked[row] = float64(cost) <= report.Parity*float64(best)
	}
}

// column is a row of the report. On the screen a line is a setting, whose name takes more
// room.
type column struct {
	row   string
	heads []string
	width int
}

// chunk is as many columns as fit side by side.
type chunk []column

// columns are those of the rows that take part in most of the lines, and then of others.
// Rows with results in a few lines only are left out.
func columns(r *report.Report, lines []setting) (chunks []chunk, without []string) {
	var main, others chunk
	for _, row := range r.RowNames() {
		c, n := newColumn(row), 0
		for _, s := range lines {
			if cell := s.cell(row); cell != "" {
				c.width = max(c.width, utf8.RuneCountInString(cell)+1)
				n++
			}
		}
		switch {
		case n*seldom <= len(lines):
			without = append(without, report.Printable(row))
		case 2*n > len(lines) && !r.Description.Row(row).Process:
			main = append(main, c)
		default:
			others = append(others, c)
		}
	}
	return append(main.split(), others.split()...), without
}

func newColumn(row string) column {
	name := report.Printable(row)
	for _, sign := range []string{"+", "-"} {
		name = strings.ReplaceAll(name, sign, " "+sign)
	}
	c := column{row: row, heads: strings.Fields(name)}
	for _, head := range c.heads {
		c.width = max(c.width, utf8.RuneCountInString(head)+2)
	}
	return c
}

func (all chunk) split() (chunks []chunk) {
	left := 0
	for _, c := range all {
		if left -= c.width; left < 0 || len(chunks) == 0 {
			chunks = append(chunks, nil)
			left = Width - labelWidth - c.width
		}
		last := len(chunks) - 1
		chunks[last] = append(chunks[last], c)
	}
	return chunks
}

func (all chunk) write(b *bytes.Buffer, lines []setting) {
	b.WriteByte('\n')
	height := 0
	for _, c := range all {
		height = max(height, len(c.heads))
	}
	for i := range height {
		var heads []string
		for _, c := range all {
			head := ""
			if at := i - height + len(c.heads); at >= 0 {
				head = c.heads[at] + " " // above the mark
			}
			heads = append(heads, head)
		}
		all.line(b, "", heads)
	}
	for _, s := range lines {
		var cells []string
		for _, c := range all {
			cells = append(cells, s.cell(c.row))
		}
		if strings.Join(cells, "") != "" {
			all.line(b, s.label, cells)
		}
	}
}

// line writes cells beside a label, which may take several lines.
func (all chunk) line(b *bytes.Buffer, label string, cells []string) {
	parts := wrap(label, labelWidth)
	for _, part := range parts[:len(parts)-1] {
		fmt.Fprintln(b, part)
	}
	line := pad(parts[len(parts)-1], -labelWidth)
	for i, c := range all {
		line += pad(cells[i], c.width)
	}
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

// pad fills up to a width in front, or behind if it is negative.
func pad(s string, width int) string {
	if width < 0 {
		return s + strings.Repeat(" ", max(-width-utf8.RuneCountInString(s), 0))
	}
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0)) + s
}

// wrap breaks a text into lines of at most width columns; later ones are indented.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Split(text, " ") {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, "  "+word)
		}
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(clip(line, width), report.Unbroken, " ")
	}
	return lines
}

func clip(s string, width int) string {
	if runes := []rune(s); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s
}

func paragraph(b *bytes.Buffer, first, rest, text string) {
	for i, line := range wrap(text, Width-len(rest)) {
		if i == 0 {
			fmt.Fprintln(b, first+line)
		} else {
			fmt.Fprintln(b, rest+strings.TrimPrefix(line, "  "))
		}
	}
}
