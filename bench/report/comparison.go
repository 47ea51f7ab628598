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
			list = append(list, g.comparisons(joinNonEmpty(": ", s.Name, s.label(g)))...)
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
		if g.desc.row(other.Backend).Kind != Peer {
			continue
		}
		if r, ok := ours.RatioTo(other); ok {
			list = append(list, comparison{where, ours, other, r})
		}
	}
	return list
}

// best is the own row with the lowest p50, or nil.
func (g group) best() *Result {
	var best *Result
	for _, res := range g.results {
		if g.desc.row(res.Backend).Kind == Own && (best == nil || res.P50 < best.P50) {
			best = res
		}
	}
	return best
}

// even tells if neither has won: the rounds disagree, and the difference is small or the
// run as a whole says the opposite of their median.
func (d comparison) even() bool {
	small := d.Median <= parity && d.Median >= 1/parity
	if d.Rounds < 2 { // no spread to judge by
		return small
	}
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

// comparisonList is one section of the page.
type comparisonList struct {
	Count, Table string
}

// mostDefeats is how many the page shows.
const mostDefeats = 30

// listDefeats has the worst first.
func listDefeats(comparisons []comparison) comparisonList {
	list := slices.DeleteFunc(slices.Clone(comparisons), func(d comparison) bool { return !d.lost() })
	slices.SortStableFunc(list, func(a, b comparison) int { return cmp.Compare(b.Median, a.Median) })
	t := mdTable{words: 3, heads: []string{"setting", "ours", "theirs", "p50: ours", "theirs", "ratio", "p99 ratio", "CPU/event: ours", "theirs", "CPU ratio"}}
	for _, d := range list[:min(len(list), mostDefeats)] {
		t.add(d.cells()...)
	}
	return comparisonList{countOf(len(list), "setting", "settings"), t.String()}
}

// score is what came of all comparisons, in one sentence.
func score(list []comparison) string {
	won, lost := 0, 0
	for _, d := range list {
		if d.won() {
			won++
		}
		if d.lost() {
			lost++
		}
	}
	return fmt.Sprintf("Against everything else, each time with our fastest row: %d of %d comparisons are won, %d are even, %d are lost.", won, len(list), len(list)-won-lost, lost)
}

func p99Of(res *Result) float64 { p99, _ := res.tails(); return float64(p99) }

func (d comparison) cells() []string {
	return []string{
		markdown(d.where), markdown(d.ours.Backend), peerName(d.other.Backend),
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
