package report

import "slices"

// Outcome says how a row does beside another.
type Outcome int

const (
	Unknown Outcome = iota // one of them took no time
	Faster
	Equal
	Slower
)

func (o Outcome) String() string { return [...]string{"", "faster", "equal", "slower"}[o] }

// Against compares a result with another one of its group.
func (res *Result) Against(other *Result) (Ratio, Outcome) {
	r, ok := res.RatioTo(other)
	if !ok {
		return r, Unknown
	}
	return r, r.outcome(res.P50 <= other.P50)
}

// outcome is Equal if the rounds disagree, and the difference is small or the run as a
// whole says the opposite of their median.
func (r Ratio) outcome(faster bool) Outcome {
	small := r.Median <= Parity && r.Median >= 1/Parity
	switch disagree := r.Low <= 1 && r.High >= 1; {
	case disagree && (small || faster != (r.Median <= 1)), small && r.Rounds < 2: // one has no spread
		return Equal
	case r.Median > 1:
		return Slower
	}
	return Faster
}

// summary is the table of a scenario that fits a narrow page: a line for each setting,
// with the fastest row of each family of our own and the fastest of all others.
type summary struct {
	Families []string
	Lines    []summaryLine
	Tally    [4]int // of outcomes
}

type summaryLine struct {
	Label string
	Own   []*Result // one for each family, nil if it has none here
	Best  *Result
	Other *Result
	Ratio string
	Outcome
}

// Leads tells if a row is the best of ours or on a par with it.
func (l summaryLine) Leads(res *Result) bool {
	return res != nil && float64(res.P50) <= Parity*float64(l.Best.P50)
}

// summary is nil if no row of ours was measured.
func (s *Section) summary() *summary {
	t := &summary{Families: s.families()}
	if len(t.Families) == 0 {
		return nil
	}
	for _, g := range s.Groups {
		l := summaryLine{Label: g.Label, Other: g.fastest(s.isPeer)}
		for _, family := range t.Families {
			best := g.fastest(func(res *Result) bool { return s.family(res) == family })
			l.Own = append(l.Own, best)
			if best != nil && (l.Best == nil || best.P50 < l.Best.P50) {
				l.Best = best
			}
		}
		if l.Best == nil {
			continue
		}
		if l.Other != nil {
			var r Ratio
			r, l.Outcome = l.Best.Against(l.Other)
			l.Ratio = formatTimes(max(r.Median, 1/r.Median))
		}
		t.Tally[l.Outcome]++
		t.Lines = append(t.Lines, l)
	}
	return t
}

// family is the row that an own one is a variant of, or empty for all others.
func (s *Section) family(res *Result) string {
	row := s.report.Description.Row(res.Backend)
	switch {
	case row.Kind != Own:
		return ""
	case row.Colour != "":
		return row.Colour
	}
	return row.Name
}

func (s *Section) isPeer(res *Result) bool { return s.report.Description.Row(res.Backend).Kind == Peer }

func (s *Section) families() (list []string) {
	for _, g := range s.Groups {
		for _, res := range g.Results {
			if f := s.family(res); f != "" && !slices.Contains(list, f) {
				list = append(list, f)
			}
		}
	}
	slices.SortFunc(list, s.report.Description.compareRows)
	return list
}

// fastest is the result with the lowest p50 of those that are asked for, or nil.
func (g Group) fastest(of func(*Result) bool) (best *Result) {
	for _, res := range g.Results {
		if of(res) && (best == nil || res.P50 < best.P50) {
			best = res
		}
	}
	return best
}
