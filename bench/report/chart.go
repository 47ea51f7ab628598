package report

import (
	"math"
	"time"

	"github.com/aioloop/aioloop/bench/plot"
)

// chart is the picture at the head of the page. It is a table with a track in each line,
// so that its letters stay as large as those of the page at every width.
type chart struct {
	Title string
	Ticks []place
	Bands []chartBand
}

type chartBand struct {
	Label string
	Lines []chartLine
}

// chartLine is a dot at the p50 and a whisker to the p99, in per cent of the track.
type chartLine struct {
	*Result
	Own, Leads bool
	At, Length float64
}

// place is where something is on the track, in per cent.
type place struct {
	At    float64
	Label string
}

// chart is nil if none of what it shows was measured.
func (r *Report) chart(sections []*Section) *chart {
	c := &chart{Title: r.Description.Chart.Title}
	low, high := math.Inf(1), 0.0
	for _, b := range r.Description.Chart.Bands {
		band := chartBand{b.Label, r.chartLines(b, sections)}
		for _, l := range band.Lines {
			low, high = min(low, float64(l.P50)), max(high, float64(l.tail()))
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
			l.Length = 100*axis.Share(float64(l.tail())) - l.At
		}
	}
	return c
}

// chartLines are the rows of one situation. The leaders are those of the rows shown.
func (r *Report) chartLines(b Band, sections []*Section) (lines []chartLine) {
	shown := Group{}
	for _, s := range sections {
		for _, g := range s.Groups {
			if s.Name != b.Scenario || !g.has(b.Params) {
				continue
			}
			for _, row := range r.Description.Chart.Rows {
				if res := g.find(row); res != nil {
					shown.add(res)
				}
			}
		}
	}
	for _, res := range shown.Results {
		lines = append(lines, chartLine{Result: res, Own: r.Description.Row(res.Backend).Kind == Own, Leads: shown.Leads(res)})
	}
	return lines
}

// tail is the p99, or the p50 if there are too few samples for a p99.
func (res *Result) tail() time.Duration {
	if res.N < SamplesP99 {
		return res.P50
	}
	return max(res.P99, res.P50)
}
