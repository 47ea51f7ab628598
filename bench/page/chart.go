package page

import (
	"math"
	"slices"
	"time"

	"github.com/aioloop/aioloop/bench/plot"
	"github.com/aioloop/aioloop/bench/report"
)

// chart is the picture at the head of the page. It is a table with a track in each line,
// so that its letters stay as large as those of the page at every width.
type chart struct {
	Title string
	Ticks []place
	Bands []band
}

type band struct {
	Label string
	Lines []chartLine
}

// chartLine is a dot at the p50 and a whisker to the p99, in per cent of the track.
type chartLine struct {
	*report.Result
	Own, Leads bool
	At, Length float64
}

// place is where something is on the track, in per cent.
type place struct {
	At    float64
	Label string
}

// newChart returns nil if none of what the chart shows was measured.
func newChart(r *report.Report) *chart {
	c := &chart{Title: r.Description.Chart.Title}
	low, high := math.Inf(1), 0.0
	for _, b := range r.Description.Chart.Bands {
		band := band{b.Label, chartLines(r, b)}
		for _, l := range band.Lines {
			low, high = min(low, float64(l.P50)), max(high, float64(tail(l.Result)))
		}
		if len(band.Lines) > 0 {
			c.Bands = append(c.Bands, band)
		}
	}
	if len(c.Bands) == 0 {
		return nil
	}
	axis := plot.LogAxis(low, high)
	for _, t := range axis.Ticks {
		c.Ticks = append(c.Ticks, place{100 * axis.Share(t.At), t.Label})
	}
	for _, b := range c.Bands {
		for i := range b.Lines {
			l := &b.Lines[i]
			l.At = 100 * axis.Share(float64(l.P50))
			l.Length = 100*axis.Share(float64(tail(l.Result))) - l.At
		}
	}
	return c
}

// chartLines are the rows of one situation. The leaders are those of the rows shown.
func chartLines(r *report.Report, b report.Band) (lines []chartLine) {
	lowest := time.Duration(math.MaxInt64)
	for i := range r.Results {
		res := &r.Results[i]
		if res.Scenario == b.Scenario && report.Has(res.Params, b.Params) && slices.Contains(r.Description.Chart.Rows, res.Backend) {
			lines = append(lines, chartLine{Result: res, Own: r.Description.Row(res.Backend).Kind == report.Own})
			lowest = min(lowest, res.P50)
		}
	}
	slices.SortStableFunc(lines, func(x, y chartLine) int { return r.Description.CompareRows(x.Backend, y.Backend) })
	for i := range lines {
		lines[i].Leads = float64(lines[i].P50) <= report.Parity*float64(lowest)
	}
	return lines
}

// tail is the p99, or the p50 if there are too few samples for a p99.
func tail(res *report.Result) time.Duration {
	if res.N < report.SamplesP99 {
		return res.P50
	}
	return max(res.P99, res.P50)
}
