package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aioloop/aioloop/bench/report"
)

// comparison compares our fastest row of a group with one other. All ratios are ours
// divided by theirs.
type comparison struct {
	section     *report.Section
	group       report.Group
	ours, other *report.Result
	report.Ratio
	report.Outcome
}

// comparisons are all comparisons of a report, in its order.
func comparisons(r *report.Report) (list []comparison) {
	for _, s := range r.Sections() {
		for _, g := range s.Groups {
			ours := best(r, g)
			for _, other := range g.Results {
				if ours == nil || r.Description.Row(other.Backend).Kind != report.Peer {
					continue
				}
				if ratio, outcome := ours.Against(other); outcome != report.Unknown {
					list = append(list, comparison{s, g, ours, other, ratio, outcome})
				}
			}
		}
	}
	return list
}

// best is our row with the lowest cost, or nil.
func best(r *report.Report, g report.Group) *report.Result {
	var best *report.Result
	for _, res := range g.Results {
		if r.Description.Row(res.Backend).Kind == report.Own && (best == nil || res.Cost() < best.Cost()) {
			best = res
		}
	}
	return best
}

// tail is the ratio of the p99s, cpu that of the CPU times; 0 if it is not known.
func (d comparison) tail() float64 {
	if min(d.ours.N, d.other.N) < report.SamplesP99 {
		return 0
	}
	return quotient(float64(d.ours.P99), float64(d.other.P99))
}

func (d comparison) cpu() float64 { return quotient(d.ours.CPUNSPerOp, d.other.CPUNSPerOp) }

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
	list := slices.DeleteFunc(slices.Clone(comparisons), func(d comparison) bool { return d.Outcome != report.Slower })
	slices.SortStableFunc(list, func(a, b comparison) int { return cmp.Compare(b.Median, a.Median) })
	t := mdTable{words: 3, heads: []string{"setting", "ours", "theirs", "p50: ours", "theirs", "ratio", "p99 ratio", "CPU/event: ours", "theirs", "CPU ratio"}}
	for _, d := range list[:min(len(list), mostDefeats)] {
		t.add(d.cells()...)
	}
	return comparisonList{countOf(len(list), "setting", "settings"), t.String()}
}

// score is what came of all comparisons, in one sentence.
func score(list []comparison) string {
	n := map[report.Outcome]int{}
	for _, d := range list {
		n[d.Outcome]++
	}
	return fmt.Sprintf("Against other event loops and plain Go, each time with our fastest row: %d of %d comparisons are won, %d are even, %d are lost.",
		n[report.Faster], len(list), n[report.Equal], n[report.Slower])
}

func (d comparison) cells() []string {
	where := d.section.Name
	if d.group.Label != "" {
		where += ": " + d.group.Label
	}
	return []string{
		markdown(where), markdown(d.ours.Backend), "*" + markdown(d.other.Backend) + "*",
		d.cell(d.section.CostHead(), d.ours), d.cell(d.section.CostHead(), d.other), markdown(d.Ratio.String()), formatKnown(d.tail()),
		d.cell("CPU/event", d.ours), d.cell("CPU/event", d.other), formatKnown(d.cpu()),
	}
}

// cell is what the table of the scenario has for a result.
func (d comparison) cell(head string, res *report.Result) string {
	i := slices.IndexFunc(d.section.Columns, func(c report.Column) bool { return c.Head == head })
	return d.section.Columns[i].Cell(d.group, res)
}

// nothing stands where there is no number.
const nothing = "–"

func formatKnown(v float64) string {
	if v == 0 {
		return nothing
	}
	return markdown(report.Ratio{Median: v}.String())
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
