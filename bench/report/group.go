package report

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// section is everything about one scenario, in the order it is shown.
type section struct {
	Scenario
	desc   *Description
	keys   []string
	groups []group
	notes  []string
}

// group is the set of results that are compared with each other: same scenario,
// same parameters. There is one result for each row.
type group struct {
	desc    *Description
	params  map[string]string
	results []*Result
	// lowest is the lowest p50 of the group.
	lowest time.Duration
}

// parity is the ratio up to which two rows count as equally good, because runs
// differ by more than that.
const parity = 1.05

// leads tells if a result is the best of its group or on a par with it. It is false
// where there is no other row.
func (g group) leads(res *Result) bool {
	return len(g.results) > 1 && float64(res.P50) <= parity*float64(g.lowest)
}

// sections sorts the results of a report into what a reader sees.
func (r *Report) sections() []section {
	byName := map[string][]*Result{}
	for i := range r.Results {
		res := &r.Results[i]
		byName[res.Scenario] = append(byName[res.Scenario], res)
	}
	d := &r.Description
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.scenarioRank(a), d.scenarioRank(b)), cmp.Compare(a, b))
	})
	sections := make([]section, len(names))
	for i, name := range names {
		sections[i] = newSection(d, name, byName[name])
	}
	return sections
}

func newSection(d *Description, name string, results []*Result) section {
	s := section{Scenario: d.scenario(name), desc: d}
	s.keys = paramKeys(s.Params, results)
	slices.SortStableFunc(results, func(a, b *Result) int {
		return cmp.Or(
			compareParams(s.keys, a.Params, b.Params),
			d.compareRows(a.Backend, b.Backend),
		)
	})
	for _, res := range results {
		s.add(res)
	}
	s.notes = d.collectNotes(results)
	return s
}

// add expects the results in sorted order.
func (s *section) add(res *Result) {
	n := len(s.groups)
	if n == 0 || compareParams(s.keys, s.groups[n-1].params, res.Params) != 0 {
		s.groups = append(s.groups, group{desc: s.desc, params: res.Params, results: []*Result{res}, lowest: res.P50})
		return
	}
	g := &s.groups[n-1]
	g.results = append(g.results, res)
	g.lowest = min(g.lowest, res.P50)
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

// label describes the parameters of a group in words: "size 20, speed high".
func (s section) label(g group) string {
	return paramLabel(s.keys, g.params)
}

func paramLabel(keys []string, params map[string]string) string {
	var parts []string
	for _, k := range keys {
		if v, ok := params[k]; ok {
			parts = append(parts, printable(k+" "+v))
		}
	}
	return strings.Join(parts, ", ")
}

// rowsOf is the set of row names in a list of results, in their order.
func (d *Description) rowsOf(results []*Result) []string {
	set := map[string]struct{}{}
	for _, res := range results {
		set[res.Backend] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(set), d.compareRows)
}

// collectNotes says each note once, and to which rows it belongs unless it
// belongs to all of them.
func (d *Description) collectNotes(results []*Result) []string {
	var order []string
	holders := map[string][]*Result{}
	for _, res := range results {
		for _, note := range res.Notes {
			if holders[note] == nil {
				order = append(order, note)
			}
			holders[note] = append(holders[note], res)
		}
	}
	notes := make([]string, len(order))
	for i, note := range order {
		notes[i] = printable(note)
		if names := d.rowsOf(holders[note]); len(names) < len(d.rowsOf(results)) {
			notes[i] += printable(" (" + strings.Join(names, ", ") + ")")
		}
	}
	return notes
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
