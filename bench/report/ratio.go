package report

import (
	"fmt"
	"slices"
)

// Ratio is how many times as long one row took as another: the median over the
// rounds, and the lowest and the highest of them. In each round the two were measured
// at nearly the same time, so that a machine that changes its speed does not weigh.
type Ratio struct {
	Median, Low, High float64
	// Rounds is the number of rounds behind it. With 1 there is no spread.
	Rounds int
}

// RatioTo divides the cost of a result by that of another one of the same group, round
// by round. Results without rounds, or with different numbers of them, are compared
// as a whole. It is false if the other one took no time at all.
func (res *Result) RatioTo(other *Result) (Ratio, bool) {
	rounds, others := res.roundCosts(), other.roundCosts()
	if len(rounds) == 0 || len(rounds) != len(others) {
		if other.Cost() <= 0 {
			return Ratio{}, false
		}
		r := float64(res.Cost()) / float64(other.Cost())
		return Ratio{r, r, r, 1}, true
	}
	var ratios []float64
	for i, d := range rounds {
		if others[i] <= 0 {
			return Ratio{}, false
		}
		ratios = append(ratios, float64(d)/float64(others[i]))
	}
	slices.Sort(ratios)
	return Ratio{medianOf(ratios), ratios[0], ratios[len(ratios)-1], len(ratios)}, true
}

// medianOf expects sorted values. Of an even number it is the mean of the two in the
// middle.
func medianOf(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// String is "1.03 (0.99–1.10)", or the median alone if there was one round only.
func (r Ratio) String() string {
	if r.Rounds < 2 {
		return formatTimes(r.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", formatTimes(r.Median), formatTimes(r.Low), formatTimes(r.High))
}

// formatTimes keeps two digits of small numbers, too.
func formatTimes(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v < 0.001 && v > 0:
		return "<0.001"
	case v < 0.0995 && v > 0:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// divide is a way to compare two results: RatioTo or cpuRatioTo.
type divide func(res, other *Result) (Ratio, bool)

// ratioColumns are the columns of ratios that have anything in them: to the floor of a
// row, and to each row that others are compared with.
func (s *Section) ratioColumns(of divide) (list []Column) {
	d := &s.report.Description
	add := func(head string, to func(Group, *Result) string) {
		c := Column{"÷" + head, func(g Group, res *Result) string { return g.ratioCell(of, res, to(g, res)) }}
		if s.hasAny(c) {
			list = append(list, c)
		}
	}
	add("floor", s.floor)
	for _, other := range d.Rows {
		if other.Reference != "" {
			add(other.Reference, func(Group, *Result) string { return other.Name })
		}
	}
	return list
}

// floor is the row that does the same as that of a result with nothing around it.
func (s *Section) floor(g Group, res *Result) string {
	for _, name := range s.Floors[res.Backend] {
		if g.find(name) != nil {
			return name
		}
	}
	return s.report.Description.Row(res.Backend).Floor
}

// hasAny tells if a column has anything for the rows of a table of ratios.
func (s *Section) hasAny(c Column) bool {
	for _, g := range s.Groups {
		for _, res := range g.Results {
			if !s.report.Description.Row(res.Backend).Process && c.Cell(g, res) != notMeasured {
				return true
			}
		}
	}
	return false
}

func (g Group) ratioCell(of divide, res *Result, to string) string {
	other := g.find(to)
	if other == nil || other == res {
		return notMeasured
	}
	if r, ok := of(res, other); ok {
		return r.String()
	}
	return notMeasured
}

// Outcome says how a row does beside another. It is the one definition of faster, equal and
// slower: the page, the verdict and the score of docs/performance.md all use it.
type Outcome int

const (
	Unknown Outcome = iota // one of them took no time
	Faster
	Equal // another round, or another run, would turn it round
	Slower
)

func (o Outcome) String() string { return [...]string{"", "faster", "equal", "slower"}[o] }

// Against compares a result with another one of its group. They are equal if their medians
// are within Parity, which is how much one run differs from the next, if each was ahead in
// some round, and if the run as a whole contradicts the median of the rounds.
func (res *Result) Against(other *Result) (Ratio, Outcome) {
	r, ok := res.RatioTo(other)
	switch {
	case !ok:
		return r, Unknown
	case r.Median < 1/Parity && r.High < 1 && res.Cost() < other.Cost():
		return r, Faster
	case r.Median > Parity && r.Low > 1 && res.Cost() > other.Cost():
		return r, Slower
	}
	return r, Equal
}
