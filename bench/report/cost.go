package report

import "time"

// Cost is what an event takes, by which rows are compared: the p50, or where several events are under
// way at a time, the time of all divided by their number. There the p50 says little: of
// sixteen goroutines that read, the one that runs is quick, and the others wait outside of what is
// timed.
func (res *Result) Cost() time.Duration {
	if res.TimeNSPerOp > 0 {
		return time.Duration(res.TimeNSPerOp + 0.5)
	}
	return res.P50
}

// roundCosts are the costs of the rounds.
func (res *Result) roundCosts() []time.Duration {
	if res.TimeNSPerOp > 0 {
		return res.RoundsTime
	}
	return res.Rounds
}

// Overlapping tells if several events were under way at a time in any of the results.
func (s *Section) Overlapping() bool {
	for _, g := range s.Groups {
		for _, res := range g.Results {
			if res.TimeNSPerOp > 0 {
				return true
			}
		}
	}
	return false
}

// CostHead is the head of the column that rows are compared by.
func (s *Section) CostHead() string {
	if s.Overlapping() {
		return timeHead
	}
	return "p50"
}

const timeHead = "time/event"

// timeColumns are those that a section has only if it is Overlapping.
func (s *Section) timeColumns() []Column {
	if !s.Overlapping() {
		return nil
	}
	return []Column{
		{timeHead, func(_ Group, res *Result) string { return formatCPU(res.TimeNSPerOp) }},
		{"events/s", func(_ Group, res *Result) string {
			if res.TimeNSPerOp <= 0 {
				return notMeasured
			}
			return formatFigure(1e9 / res.TimeNSPerOp)
		}},
	}
}

// cpuRatioTo divides the CPU times of an event.
func (res *Result) cpuRatioTo(other *Result) (Ratio, bool) {
	if res.CPUNSPerOp <= 0 || other.CPUNSPerOp <= 0 {
		return Ratio{}, false
	}
	r := res.CPUNSPerOp / other.CPUNSPerOp
	return Ratio{r, r, r, 1}, true
}
