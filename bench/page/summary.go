package page

import (
	"slices"

	"github.com/aioloop/aioloop/bench/report"
)

// summary is the table of a scenario that fits a narrow page: a line for each setting,
// with the fastest row of each family of our own and the fastest of all others.
type summary struct {
	Families []string
	Lines    []summaryLine
	Tally    tally
}

// tally counts outcomes.
type tally [4]int

type summaryLine struct {
	Label string
	Own   []*report.Result // one for each family, nil if it has none here
	Best  *report.Result
	Other *report.Result
	Ratio report.Ratio // how many times as fast, or as slow
	report.Outcome
}

// Leads tells if a row is the best of ours or on a par with it.
func (l summaryLine) Leads(res *report.Result) bool {
	return res != nil && float64(res.Cost()) <= report.Parity*float64(l.Best.Cost())
}

// summarize returns nil if no row of ours was measured.
func summarize(d *report.Description, s *report.Section) *summary {
	t := &summary{Families: families(d, s)}
	if len(t.Families) == 0 {
		return nil
	}
	for _, g := range s.Groups {
		l := summaryLine{Label: g.Label, Other: fastest(g, func(row report.Row) bool { return row.Kind == report.Peer }, d)}
		for _, f := range t.Families {
			best := fastest(g, func(row report.Row) bool { return family(row) == f }, d)
			l.Own = append(l.Own, best)
			if best != nil && (l.Best == nil || best.Cost() < l.Best.Cost()) {
				l.Best = best
			}
		}
		if l.Best == nil {
			continue
		}
		if l.Other != nil {
			l.Ratio, l.Outcome = l.Best.Against(l.Other)
			l.Ratio = report.Ratio{Median: max(l.Ratio.Median, 1/l.Ratio.Median)}
		}
		t.Tally[l.Outcome]++
		t.Lines = append(t.Lines, l)
	}
	return t
}

// family is the row that an own one is a variant of, or empty for all others.
func family(row report.Row) string {
	switch {
	case row.Kind != report.Own:
		return ""
	case row.Colour != "":
		return row.Colour
	}
	return row.Name
}

func families(d *report.Description, s *report.Section) (list []string) {
	for _, g := range s.Groups {
		for _, res := range g.Results {
			if f := family(d.Row(res.Backend)); f != "" && !slices.Contains(list, f) {
				list = append(list, f)
			}
		}
	}
	slices.SortStableFunc(list, d.CompareRows)
	return list
}

// fastest is the result with the lowest cost of the rows that are asked for, or nil.
func fastest(g report.Group, of func(report.Row) bool, d *report.Description) (best *report.Result) {
	for _, res := range g.Results {
		if of(d.Row(res.Backend)) && (best == nil || res.Cost() < best.Cost()) {
			best = res
		}
	}
	return best
}
