package report

import (
	"math"
	"strconv"
)

// axis is a vertical axis for nanoseconds.
type axis struct {
	min, max float64 // decimal logarithms if log is set
	log      bool
	ticks    []tick
}

// tick is a mark on an axis, at a value.
type tick struct {
	at    float64
	label string
}

// tooWide is how many times the smallest value the largest may be before an axis that
// starts at zero hides the small ones.
const tooWide = 50

// newAxis starts at zero, unless the values call for a logarithmic axis.
func newAxis(low, high float64) axis {
	if high >= tooWide*max(low, 1) {
		return logAxis(low, high)
	}
	return linearAxis(high)
}

// share is how far up the axis a value is, from 0 to 1. What a logarithmic axis cannot
// show, such as a zero, is at its lower end.
func (a axis) share(ns float64) float64 {
	if a.log {
		ns = max(math.Log10(ns), a.min)
	}
	return (ns - a.min) / (a.max - a.min)
}

// linearAxis ends at the first tick that nothing exceeds.
func linearAxis(top float64) axis {
	top = max(top, 1)
	step := niceStep(top / 5)
	count := int(math.Ceil(top / step))
	a := axis{max: step * float64(count)}
	for i := range count + 1 {
		v := step * float64(i)
		a.ticks = append(a.ticks, tick{v, tickLabel(v)})
	}
	return a
}

// niceStep rounds up to 1, 2, 2.5 or 5 times a power of ten.
func niceStep(atLeast float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(atLeast)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= atLeast*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logAxis covers whole powers of ten.
func logAxis(bottom, top float64) axis {
	first := math.Floor(math.Log10(max(bottom, 1)))
	last := max(math.Ceil(math.Log10(max(top, 10))), first+1)
	a := axis{min: first, max: last, log: true}
	for e := first; e <= last; e++ {
		v := math.Pow(10, e)
		a.ticks = append(a.ticks, tick{v, tickLabel(v)})
	}
	return a
}

var units = [...]string{"ns", "µs", "ms", "s"}

// tickLabel changes to the next unit earlier than tables do, and hides the rounding
// errors of steps such as 0.1.
func tickLabel(ns float64) string {
	unit := 0
	for ; ns >= 999.9 && unit < len(units)-1; unit++ {
		ns /= 1000
	}
	return strconv.FormatFloat(math.Round(ns*1e6)/1e6, 'f', -1, 64) + " " + units[unit]
}

// percentileTicks are the labels under a distribution. That of 0 has no room.
var percentileTicks = []tick{{0, ""}, {0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"}, {0.9999, "99.99 %"}}

// percentileX places a fraction of the samples so that each further nine takes
// the same width. What matters about latency is in the nines.
func percentileX(fraction float64) float64 { return -math.Log10(1 - fraction) }

// fractionAt is the inverse of percentileX.
func fractionAt(x float64) float64 { return 1 - math.Pow(10, -x) }
