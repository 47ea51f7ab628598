package report

import (
	"cmp"
	"fmt"
	"slices"
)

// comparison compares our fastest row of a group with one opponent. All ratios are ours
// divided by theirs.
type comparison struct {
	where       string
	ours, other *Result
	Ratio
}

// comparisons are all comparisons of a report, in its order.
func comparisons(sections []section) (list []comparison) {
	for _, s := range sections {
		for _, g := range s.groups {
			list = append(list, g.comparisons(joinNonEmpty(": ", s.name, s.label(g)))...)
		}
	}
	return list
}

func (g group) comparisons(where string) []comparison {
	ours := g.best()
	if ours == nil {
		return nil
	}
	return g.against(ours, where)
}

// against compares a row with each opponent.
func (g group) against(ours *Result, where string) (list []comparison) {
	for _, other := range g.results {
		if !isOpponent(other.Backend) {
			continue
		}
		if r, ok := ours.RatioTo(other); ok {
			list = append(list, comparison{where, ours, other, r})
		}
	}
	return list
}

// best is the row of the library with the lowest p50, or nil.
func (g group) best() *Result {
	var best *Result
	for _, res := range g.results {
		if isLibrary(res.Backend) && (best == nil || res.P50 < best.P50) {
			best = res
		}
	}
	return best
}

// even tells if neither has won: the rounds disagree, and the difference is small or the
// run as a whole says the opposite of their median.
func (d comparison) even() bool {
	small := d.Median <= parity && d.Median >= 1/parity
	faster := d.ours.P50 <= d.other.P50
	return d.Low <= 1 && d.High >= 1 && (small || faster != (d.Median <= 1))
}

func (d comparison) lost() bool { return !d.even() && d.Median > 1 }
func (d comparison) won() bool  { return !d.even() && d.Median <= 1 }

// tail is the ratio of the p99s, cpu that of the CPU times; 0 if it is not known.
func (d comparison) tail() float64 { return quotient(p99Of(d.ours), p99Of(d.other)) }
func (d comparison) cpu() float64  { return quotient(d.ours.CPUNSPerOp, d.other.CPUNSPerOp) }

func quotient(a, b float64) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return a / b
}

// price is by how much a comparison that is not lost is lost elsewhere; up to parity it is
// not.
func (d comparison) price() float64 {
	if d.lost() {
		return 0
	}
	return max(d.tail(), d.cpu())
}

// comparisonList is one section of the page.
type comparisonList struct {
	Count, Table string
}

// openLines is how many lines of any list are not folded away.
const openLines = 60

func listComparisons(comparisons []comparison, one, many string, keep func(comparison) bool, worth func(comparison) float64) comparisonList {
	list := slices.DeleteFunc(slices.Clone(comparisons), func(d comparison) bool { return !keep(d) })
	slices.SortStableFunc(list, func(a, b comparison) int { return cmp.Compare(worth(b), worth(a)) })
	t := mdTable{words: 3, heads: []string{"setting", "ours", "theirs", "p50: ours", "theirs", "ratio", "p99 ratio", "CPU/event: ours", "theirs", "CPU ratio"}}
	for _, d := range list {
		t.add(d.cells()...)
	}
	return comparisonList{countOf(len(list), one, many), t.folded(openLines)}
}

func (d comparison) cells() []string {
	return []string{
		markdown(d.where), markdownRow(d.ours.Backend), markdownRow(d.other.Backend),
		formatDuration(d.ours.P50), formatDuration(d.other.P50), markdown(d.Ratio.String()), formatKnown(d.tail()),
		formatCPU(d.ours.CPUNSPerOp), formatCPU(d.other.CPUNSPerOp), formatKnown(d.cpu()),
	}
}

func formatKnown(v float64) string {
	if v == 0 {
		return notMeasured
	}
	return markdown(formatTimes(v))
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// matrix is each row of the library against each opponent: how many settings it has
// won, drawn and lost. The comparisons above are for the fastest row of a setting only.
func matrix(sections []section) string {
	scores := map[[2]string]*[3]int{}
	var all []*Result
	for _, s := range sections {
		for _, g := range s.groups {
			all = append(all, g.results...)
			for _, ours := range g.results {
				if isLibrary(ours.Backend) {
					g.count(ours, scores)
				}
			}
		}
	}
	names := rows(all)
	opponents := slices.DeleteFunc(slices.Clone(names), func(row string) bool { return !isOpponent(row) })
	t := mdTable{words: 1, heads: []string{""}}
	for _, other := range opponents {
		t.heads = append(t.heads, markdownRow(other))
	}
	for _, ours := range names {
		if !isLibrary(ours) {
			continue
		}
		cells := []string{markdownRow(ours)}
		for _, other := range opponents {
			cells = append(cells, scoreCell(scores[[2]string{ours, other}]))
		}
		t.add(cells...)
	}
	return t.String()
}

// count adds what a row has won, drawn and lost in a group.
func (g group) count(ours *Result, scores map[[2]string]*[3]int) {
	for _, d := range g.against(ours, "") {
		key := [2]string{ours.Backend, d.other.Backend}
		if scores[key] == nil {
			scores[key] = new([3]int)
		}
		switch {
		case d.won():
			scores[key][0]++
		case d.even():
			scores[key][1]++
		default:
			scores[key][2]++
		}
	}
}

func scoreCell(n *[3]int) string {
	if n == nil {
		return notMeasured
	}
	return fmt.Sprintf("%d / %d / %d", n[0], n[1], n[2])
}
