package plot

import (
	"math"
	"strconv"
)

// Axis is an axis for nanoseconds.
type Axis struct {
	Ticks []Tick
	// Log is set if the axis is logarithmic.
	Log bool

	min, max float64 // decimal logarithms if Log is set
}

// Tick is a mark on an axis, at a value.
type Tick struct {
	At    float64
	Label string
}

// tooWide is how many times the smallest value the largest may be before an axis that
// starts at zero hides the small ones.
const tooWide = 50

// NewAxis starts at zero, unless the values call for a logarithmic axis.
func NewAxis(low, high float64) Axis {
	if high >= tooWide*max(low, 1) {
		return LogAxis(low, high)
	}
	return linearAxis(high)
}

// Share is how far up the axis a value is, from 0 to 1. What a logarithmic axis cannot
// show, such as a zero, is at its lower end.
func (a Axis) Share(ns float64) float64 {
	if a.Log {
		ns = max(math.Log10(ns), a.min)
	}
	return (ns - a.min) / (a.max - a.min)
}

// linearAxis ends at the first tick that nothing exceeds.
func linearAxis(top float64) Axis {
	top = max(top, 1)
	step := niceStep(top / 5)
	count := int(math.Ceil(top / step))
	a := Axis{max: step * float64(count)}
	for i := range count + 1 {
		v := step * float64(i)
		a.Ticks = append(a.Ticks, Tick{v, tickLabel(v)})
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

// LogAxis covers whole powers of ten.
func LogAxis(bottom, top float64) Axis {
	first := math.Floor(math.Log10(max(bottom, 1)))
	last := max(math.Ceil(math.Log10(max(top, 10))), first+1)
	a := Axis{min: first, max: last, Log: true}
	for e := first; e <= last; e++ {
		v := math.Pow(10, e)
		a.Ticks = append(a.Ticks, Tick{v, tickLabel(v)})
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
