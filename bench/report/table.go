package report

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Column is a column of numbers in the table of a scenario.
type Column struct {
	Head string
	// Cell is what stands in the column for a result of a group, a dash if nothing.
	Cell func(Group, *Result) string
}

// columns are those that all scenarios have, and one for each figure of this one. The
// column ratio is the cost of a row divided by the lowest of its group.
func (s *Section) columns() []Column {
	duration := func(head string, of func(*Result) float64) Column {
		return Column{head, func(_ Group, res *Result) string { return formatNS(of(res)) }}
	}
	list := append(s.timeColumns(), []Column{
		{"n", func(_ Group, res *Result) string { return strconv.FormatInt(res.N, 10) }},
		duration("p50", func(res *Result) float64 { return float64(res.P50) }),
		duration("p90", func(res *Result) float64 { return float64(res.P90) }),
		{"p99", func(_ Group, res *Result) string { return res.tailCell(res.P99, SamplesP99) }},
		{"p99.9", func(_ Group, res *Result) string { return res.tailCell(res.P999, SamplesP999) }},
		duration("max", func(res *Result) float64 { return float64(res.Max) }),
		{"CPU/event", func(_ Group, res *Result) string { return formatCPU(res.CPUNSPerOp) }},
		{"allocs/op", s.allocsCell},
		{"ratio", func(g Group, res *Result) string { return formatRatio(res.Cost(), g.lowest) }},
	}...)
	names := map[string]bool{}
	for _, g := range s.Groups {
		for _, res := range g.Results {
			for name := range res.Figures {
				names[name] = true
			}
		}
	}
	for _, name := range sortedKeys(names) {
		list = append(list, Column{Printable(name), func(_ Group, res *Result) string { return res.figureCell(name) }})
	}
	return list
}

func (s *Section) allocsCell(_ Group, res *Result) string {
	if s.report.Description.Row(res.Backend).Process {
		return notMeasured
	}
	return formatAllocs(res.AllocsPerOp)
}

func (res *Result) figureCell(name string) string {
	if v, ok := res.Figures[name]; ok {
		return formatFigure(v)
	}
	return notMeasured
}

// table is a table of a scenario: names of parameters and columns, and a block of lines
// for each group.
type table struct {
	Keys, Heads []string
	Blocks      [][]line
}

// line is one result in a table.
type line struct {
	Row           string
	Params, Cells []string
	Leads         bool
}

func (s *Section) results() table { return s.table(s.Columns, func(Row) bool { return true }) }

// ratios has no lines for rows that others are compared with.
func (s *Section) ratios(columns []Column) table {
	return s.table(columns, func(row Row) bool { return !row.Process })
}

func (s *Section) table(columns []Column, has func(Row) bool) table {
	var t table
	for _, k := range s.Keys {
		t.Keys = append(t.Keys, Printable(k))
	}
	for _, c := range columns {
		t.Heads = append(t.Heads, c.Head)
	}
	for _, g := range s.Groups {
		var block []line
		for _, res := range g.Results {
			if has(s.report.Description.Row(res.Backend)) {
				block = append(block, s.line(g, res, columns))
			}
		}
		t.Blocks = append(t.Blocks, block)
	}
	return t
}

func (s *Section) line(g Group, res *Result, columns []Column) line {
	l := line{Row: res.Backend, Leads: g.Leads(res)}
	for _, k := range s.Keys {
		cell := notMeasured
		if v, ok := g.Params[k]; ok {
			cell = Printable(v)
		}
		l.Params = append(l.Params, cell)
	}
	for _, c := range columns {
		l.Cells = append(l.Cells, c.Cell(g, res))
	}
	return l
}

// WriteTable writes one aligned table of plain text for each scenario. A blank
// line separates the groups of rows that are compared with each other. The last
// column is the cost of a row divided by the lowest cost of its group: 1.00× is the
// best.
func (r *Report) WriteTable(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	b := bufio.NewWriter(w)
	if line := Printable(r.Machine.String()); line != "" {
		fmt.Fprintf(b, "%s\n", line)
	}
	if r.Machine.ClockNS > 0 {
		fmt.Fprintf(b, "one clock read costs %s\n", formatNS(r.Machine.ClockNS))
	}
	for _, s := range r.Sections() {
		s.writeTable(b)
	}
	if r.Description.About != "" {
		fmt.Fprintf(b, "\n%s\n", r.Description.About)
	}
	r.Verdict.write(b)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func (v *Verdict) write(b *bufio.Writer) {
	if v.Headline == "" {
		return
	}
	fmt.Fprintf(b, "\n%s\n", v.Headline)
	for _, line := range slices.Concat(v.Lines, v.Notes) {
		fmt.Fprintf(b, "- %s\n", line)
	}
}

func (s *Section) writeTable(b *bufio.Writer) {
	fmt.Fprintf(b, "\n%s\n", Printable(s.Name))
	if s.About != "" {
		fmt.Fprintf(b, "  %s\n", s.About)
	}
	b.WriteByte('\n')
	s.results().write(b)
	if len(s.Ratios) > 0 {
		fmt.Fprintf(b, "\n  %s divided by that of another row in the same round: median (lowest–highest)\n\n", s.CostHead())
		s.ratios(s.Ratios).write(b)
	}
	if len(s.CPURatios) > 0 {
		b.WriteString("\n  CPU/event divided by that of another row\n\n")
		s.ratios(s.CPURatios).write(b)
	}
	for i, note := range s.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "  note: %s\n", note)
	}
}

// write lets tabwriter align everything to the right. The names of the rows belong to
// the left, so they are filled up to the same width.
func (t table) write(b *bufio.Writer) {
	var buf bytes.Buffer
	tw := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', tabwriter.AlignRight)
	width, most := len("backend"), 0
	for _, block := range t.Blocks {
		most = max(most, len(block))
		for _, l := range block {
			width = max(width, utf8.RuneCountInString(Printable(l.Row)))
		}
	}
	writeCells(tw, t.Keys, fill("backend", width), t.Heads)
	for i, block := range t.Blocks {
		// A truly empty line would end the block that tabwriter aligns.
		if i > 0 && most > 1 {
			writeCells(tw, make([]string, len(t.Keys)), "", make([]string, len(t.Heads)))
		}
		for _, l := range block {
			writeCells(tw, l.Params, fill(Printable(l.Row), width), l.Cells)
		}
	}
	tw.Flush() // a bytes.Buffer does not fail
	for line := range bytes.Lines(buf.Bytes()) {
		b.Write(append(bytes.TrimRight(line, " \n"), '\n'))
	}
}

func fill(s string, width int) string {
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

func writeCells(w io.Writer, params []string, name string, numbers []string) {
	for _, cells := range [][]string{params, {name}, numbers} {
		for _, c := range cells {
			fmt.Fprintf(w, "%s\t", c)
		}
	}
	fmt.Fprintln(w)
}
