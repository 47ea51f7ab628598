package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// valueAxis is a vertical axis for nanoseconds. Its ends and ticks are places: the
// value itself, or its decimal logarithm. gonum has a logarithmic scale too, but
// makes room for the label of the axis as if it stood on the highest value.
type valueAxis struct {
	min, max float64
	log      bool
	// unit is what the labels of a linear axis are in.
	unit  string
	ticks plot.ConstantTicks
}

// place is where a value belongs on the axis. What a logarithmic axis cannot show,
// such as a zero, goes to its lower end.
func (a valueAxis) place(ns float64) float64 {
	if a.log {
		return max(math.Log10(ns), a.min)
	}
	return ns
}

// unitOf is the unit in which an axis up to top nanoseconds reads best. Labels on
// axes are short, so they change to the next unit earlier than tables do.
func unitOf(top float64) (name string, ns float64) {
	switch {
	case top < 2e3:
		return "ns", 1
	case top < 2e6:
		return "µs", 1e3
	case top < 2e9:
		return "ms", 1e6
	}
	return "s", 1e9
}

// linearAxis starts at zero and ends at the first tick that nothing exceeds.
func linearAxis(top float64) valueAxis {
	top = max(top, 1)
	step := niceStep(top / 5)
	count := int(math.Ceil(top / step))
	unit, scale := unitOf(top)
	a := valueAxis{max: step * float64(count), unit: unit}
	for i := range count + 1 {
		v := step * float64(i)
		a.ticks = append(a.ticks, plot.Tick{Value: v, Label: shortNumber(v / scale)})
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

// shortNumber hides the rounding errors of steps such as 0.1.
func shortNumber(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// logAxis covers whole powers of ten, each labelled with its own unit.
func logAxis(bottom, top float64) valueAxis {
	first := math.Floor(math.Log10(max(bottom, 1)))
	last := math.Ceil(math.Log10(max(top, 10)))
	if last <= first {
		last = first + 1
	}
	a := valueAxis{min: first, max: last, log: true}
	for e := first; e <= last; e++ {
		a.ticks = append(a.ticks, plot.Tick{Value: e, Label: powerLabel(math.Pow(10, e))})
		for m := 2.0; m < 10 && e < last; m++ {
			a.ticks = append(a.ticks, plot.Tick{Value: e + math.Log10(m)})
		}
	}
	return a
}

// powerLabel writes a power of ten: 1 µs, 10 µs, 100 µs, 1 ms.
func powerLabel(ns float64) string {
	for _, u := range []struct {
		name string
		ns   float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if ns >= u.ns*0.999 {
			return shortNumber(ns/u.ns) + " " + u.name
		}
	}
	return shortNumber(ns) + " ns"
}

// percentileTicks are the labels under a distribution.
var percentileTicks = []struct {
	fraction float64
	label    string
}{
	{0, "0 %"}, {0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"}, {0.9999, "99.99 %"},
}

// percentileX places a fraction of the samples so that each further nine takes
// the same width. What matters about latency is in the nines.
func percentileX(fraction float64) float64 { return -math.Log10(1 - fraction) }

// fractionAt is the inverse of percentileX.
func fractionAt(x float64) float64 { return 1 - math.Pow(10, -x) }
