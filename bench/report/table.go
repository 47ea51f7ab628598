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

// numberHeaders are the columns behind the parameters and the name of the row, unless
// the section has more.
var numberHeaders = []string{"n", "p50", "p90", "p99", "p99.9", "max", "CPU/event", "allocs/op", "ratio"}

// floorHeader is the column of the ratio to the row's own floor.
const floorHeader = "÷floor"

// numberHeader is numberHeaders and what only some scenarios have.
func (s section) numberHeader() []string {
	headers := slices.Clone(numberHeaders)
	if s.hasFloor() {
		headers = append(headers, floorHeader)
	}
	return append(headers, s.figureNames()...)
}

func (s section) figureNames() []string {
	names := map[string]bool{}
	for _, g := range s.groups {
		for _, res := range g.results {
			for name := range res.Figures {
				names[name] = true
			}
		}
	}
	return sortedKeys(names)
}

// numbers is one row under numberHeader.
func (s section) numbers(g group, res *Result) []string {
	cells := []string{
		formatCPU(res.CPUNSPerOp),
		formatAllocs(res.AllocsPerOp),
		formatRatio(res.P50, g.lowest),
	}
	if s.desc.row(res.Backend).Process {
		cells[1] = notMeasured // a program of its own
	}
	cells = slices.Concat([]string{strconv.FormatInt(res.N, 10)}, res.latencyCells(), cells)
	if s.hasFloor() {
		cells = append(cells, g.floorCell(res))
	}
	for _, name := range s.figureNames() {
		cell := notMeasured
		if v, ok := res.Figures[name]; ok {
			cell = formatFigure(v)
		}
		cells = append(cells, cell)
	}
	return cells
}

// paramCells is one row under the names of the section's parameters.
func (s section) paramCells(g group) []string {
	cells := make([]string, len(s.keys))
	for i, k := range s.keys {
		cells[i] = notMeasured
		if v, ok := g.params[k]; ok {
			cells[i] = printable(v)
		}
	}
	return cells
}

// WriteTable writes one aligned table of plain text for each scenario. A blank
// line separates the groups of rows that are compared with each other. The last
// column is the p50 of a row divided by the lowest p50 of its group: 1.00× is the
// best.
func (r *Report) WriteTable(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	b := bufio.NewWriter(w)
	if line := printable(r.Machine.String()); line != "" {
		fmt.Fprintf(b, "%s\n", line)
	}
	if r.Machine.ClockNS > 0 {
		fmt.Fprintf(b, "one clock read costs %s\n", formatNS(r.Machine.ClockNS))
	}
	for _, s := range r.sections() {
		s.writeTable(b)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func (s section) writeTable(b *bufio.Writer) {
	fmt.Fprintf(b, "\n%s\n", printable(s.Name))
	if s.About != "" {
		fmt.Fprintf(b, "  %s\n", s.About)
	}
	b.WriteByte('\n')
	b.Write(trimLines(s.alignedCells()))
	s.writeRatios(b)
	for i, note := range s.notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "  note: %s\n", note)
	}
}

// alignedCells lets tabwriter align everything to the right. The names of the
// rows belong to the left, so they come filled up to the same width.
func (s section) alignedCells() []byte {
	var buf bytes.Buffer
	tw := tabwriter.NewWriter(&buf, 0, 0, 2, ' ', tabwriter.AlignRight)
	width := s.nameWidth()
	writeCells(tw, s.header(), fill("backend", width), s.numberHeader())
	for i, g := range s.groups {
		// A truly empty line would end the block that tabwriter aligns.
		if i > 0 && s.severalRows() {
			writeCells(tw, make([]string, len(s.keys)), "", make([]string, len(s.numberHeader())))
		}
		for _, res := range g.results {
			writeCells(tw, s.paramCells(g), fill(printable(res.Backend), width), s.numbers(g, res))
		}
	}
	tw.Flush() // a bytes.Buffer does not fail
	return buf.Bytes()
}

func (s section) header() []string {
	keys := make([]string, len(s.keys))
	for i, k := range s.keys {
		keys[i] = printable(k)
	}
	return keys
}

// severalRows tells if there is anything to compare within a group. If not, lines
// between the groups only make the table longer.
func (s section) severalRows() bool {
	for _, g := range s.groups {
		if len(g.results) > 1 {
			return true
		}
	}
	return false
}

func (s section) nameWidth() int {
	width := len("backend")
	for _, g := range s.groups {
		for _, res := range g.results {
			width = max(width, utf8.RuneCountInString(printable(res.Backend)))
		}
	}
	return width
}

func fill(s string, width int) string {
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

func writeCells(w io.Writer, params []string, name string, numbers []string) {
	for _, c := range params {
		fmt.Fprintf(w, "%s\t", c)
	}
	fmt.Fprintf(w, "%s\t", name)
	for _, c := range numbers {
		fmt.Fprintf(w, "%s\t", c)
	}
	fmt.Fprintln(w)
}

// trimLines removes the blanks that alignment leaves at the end of lines.
func trimLines(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " ")
	}
	return bytes.Join(lines, []byte("\n"))
}
