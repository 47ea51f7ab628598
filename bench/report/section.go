package report

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Section is everything about one scenario, in the order it is shown.
type Section struct {
	Scenario
	// Keys are the parameters that the results have.
	Keys   []string
	Groups []Group
	// Columns are those of the table of results, Ratios those of costs divided by the
	// cost of another row, and CPURatios the same of CPU times if the section is Overlapping.
	Columns, Ratios, CPURatios []Column
	Notes                      []string

	report *Report
}

// Group is the set of results that are compared with each other: same scenario,
// same parameters. There is one result for each row.
type Group struct {
	Label   string // the parameters in words
	Params  map[string]string
	Results []*Result

	lowest time.Duration // the lowest cost
}

// Parity is the ratio up to which two rows count as equally good, because runs
// differ by more than that.
const Parity = 1.05

// Leads tells if a result is the best of its group or on a par with it. It is false
// where there is no other row.
func (g Group) Leads(res *Result) bool {
	return len(g.Results) > 1 && float64(res.Cost()) <= Parity*float64(g.lowest)
}

// Sections sorts the results of a report into what a reader sees.
func (r *Report) Sections() []*Section {
	byName := map[string][]*Result{}
	for i := range r.Results {
		res := &r.Results[i]
		byName[res.Scenario] = append(byName[res.Scenario], res)
	}
	d := &r.Description
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.scenarioRank(a), d.scenarioRank(b)), cmp.Compare(a, b))
	})
	sections := make([]*Section, len(names))
	for i, name := range names {
		sections[i] = r.newSection(name, byName[name])
	}
	return sections
}

func (r *Report) newSection(name string, results []*Result) *Section {
	d := &r.Description
	s := &Section{Scenario: d.scenario(name), report: r}
	s.Keys = paramKeys(s.Params, results)
	slices.SortStableFunc(results, func(a, b *Result) int {
		return cmp.Or(
			compareParams(s.Keys, a.Params, b.Params),
			d.CompareRows(a.Backend, b.Backend),
		)
	})
	for _, res := range results {
		s.add(res)
	}
	s.Columns, s.Ratios = s.columns(), s.ratioColumns((*Result).RatioTo)
	if s.Overlapping() {
		s.CPURatios = s.ratioColumns((*Result).cpuRatioTo)
	}
	s.Notes = d.collectNotes(results)
	return s
}

// add expects the results in sorted order.
func (s *Section) add(res *Result) {
	n := len(s.Groups)
	if n == 0 || compareParams(s.Keys, s.Groups[n-1].Params, res.Params) != 0 {
		s.Groups = append(s.Groups, Group{Label: s.report.Description.label(s.Keys, res.Params), Params: res.Params, lowest: res.Cost()})
		n++
	}
	g := &s.Groups[n-1]
	g.Results = append(g.Results, res)
	g.lowest = min(g.lowest, res.Cost())
}

// Shown are the groups that stand for all: those of typical settings, or the one in the
// middle.
func (s *Section) Shown() (list []Group) {
	for _, want := range s.Typical {
		if i := slices.IndexFunc(s.Groups, func(g Group) bool { return Has(g.Params, want) }); i >= 0 {
			list = append(list, s.Groups[i])
		}
	}
	if len(list) == 0 {
		list = append(list, s.Groups[len(s.Groups)/2])
	}
	return list
}

// Has tells if parameters are those that are wanted, and maybe more.
func Has(params, want map[string]string) bool {
	for k, v := range want {
		if params[k] != v {
			return false
		}
	}
	return true
}

// find returns the result of a row, or nil.
func (g Group) find(row string) *Result {
	for _, res := range g.Results {
		if res.Backend == row {
			return res
		}
	}
	return nil
}

// paramKeys is the union of the keys that the results have, known ones first.
func paramKeys(known []string, results []*Result) []string {
	used := map[string]string{}
	for _, res := range results {
		maps.Copy(used, res.Params)
	}
	keys := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		_, ok := used[k]
		return !ok
	})
	for _, k := range sortedKeys(used) {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func compareParams(keys []string, a, b map[string]string) int {
	for _, k := range keys {
		av, aok := a[k]
		bv, bok := b[k]
		if aok != bok {
			return cmp.Compare(btoi(bok), btoi(aok))
		}
		if c := compareValues(av, bv); c != 0 {
			return c
		}
	}
	return 0
}

// compareValues sorts numbers by size, before words, and words by alphabet.
// Numbers of equal size that are written differently stay different.
func compareValues(a, b string) int {
	an, aerr := strconv.ParseInt(a, 10, 64)
	bn, berr := strconv.ParseInt(b, 10, 64)
	if (aerr == nil) != (berr == nil) {
		return cmp.Compare(btoi(berr == nil), btoi(aerr == nil))
	}
	if aerr == nil {
		return cmp.Or(cmp.Compare(an, bn), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// RowNames are all rows of the report, each once.
func (r *Report) RowNames() []string {
	set := map[string]bool{}
	for i := range r.Results {
		set[r.Results[i].Backend] = true
	}
	return slices.SortedFunc(maps.Keys(set), r.Description.CompareRows)
}

// collectNotes says each note once, and to which rows it belongs unless it
// belongs to all of them.
func (d *Description) collectNotes(results []*Result) []string {
	var order []string
	rows, holders := map[string]bool{}, map[string]map[string]bool{}
	for _, res := range results {
		rows[res.Backend] = true
		for _, note := range res.Notes {
			if holders[note] == nil {
				order = append(order, note)
				holders[note] = map[string]bool{}
			}
			holders[note][res.Backend] = true
		}
	}
	notes := make([]string, len(order))
	for i, note := range order {
		notes[i] = Printable(note)
		if names := slices.SortedFunc(maps.Keys(holders[note]), d.CompareRows); len(names) < len(rows) {
			notes[i] += Printable(" (" + strings.Join(names, ", ") + ")")
		}
	}
	return notes
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
