package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/plotter"
)

// cumulative is a distribution that answers which value a share of its samples
// does not exceed.
type cumulative struct {
	buckets []Bucket
	// sums[i] is the number of samples in buckets[0] to buckets[i].
	sums []int64
}

func newCumulative(buckets []Bucket) cumulative {
	c := cumulative{buckets: buckets, sums: make([]int64, len(buckets))}
	var sum int64
	for i, b := range buckets {
		sum += b.Count()
		c.sums[i] = sum
	}
	return c
}

func (c cumulative) total() int64 {
	if len(c.sums) == 0 {
		return 0
	}
	return c.sums[len(c.sums)-1]
}

// at is the value of the sample with the rank that fraction asks for. The smallest
// sample answers for 0. Without samples it is zero.
func (c cumulative) at(fraction float64) time.Duration {
	if len(c.buckets) == 0 {
		return 0
	}
	// A hair less before rounding up: 0.9 × 10 must be rank 9, not 10.
	rank := int64(math.Ceil(fraction*float64(c.total()) - 1e-6))
	i, _ := slices.BinarySearch(c.sums, max(rank, 1))
	return c.buckets[min(i, len(c.buckets)-1)].Value()
}

// histogramPoints is the line of a distribution, and the points of it that lie at
// the labelled percentiles. It ends where the number of samples no longer tells
// anything: 1000 of them know nothing about 99.99 %.
func histogramPoints(buckets []Bucket) (line, marks plotter.XYs) {
	const step = 0.04
	c := newCumulative(buckets)
	last := math.Log10(float64(c.total()))
	for _, t := range percentileTicks {
		if x := percentileX(t.fraction); x <= last+1e-9 {
			marks = append(marks, plotter.XY{X: x, Y: float64(c.at(t.fraction))})
		}
	}
	end := min(last, percentileX(percentileTicks[len(percentileTicks)-1].fraction))
	for x := 0.0; x < end; x += step {
		line = append(line, plotter.XY{X: x, Y: float64(c.at(fractionAt(x)))})
	}
	line = append(line, plotter.XY{X: end, Y: float64(c.at(fractionAt(end)))})
	line = append(line, marks...)
	slices.SortFunc(line, func(a, b plotter.XY) int {
		return cmp.Compare(a.X, b.X)
	})
	return slices.Compact(line), marks
}
