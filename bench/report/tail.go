package report

import "time"

// SamplesP99 and SamplesP999 are how many samples a percentile takes. Of fewer, it says
// no more than the maximum.
const (
	SamplesP99  = 100
	SamplesP999 = 1000
)

// tails are P99 and P999, or zero where the samples do not tell them.
func (res *Result) tails() (p99, p999 time.Duration) {
	if res.N >= SamplesP99 {
		p99 = res.P99
	}
	if res.N >= SamplesP999 {
		p999 = res.P999
	}
	return p99, p999
}

// latencyCells are the percentiles of a result, with a dash for those that its samples
// do not tell.
func (res *Result) latencyCells() []string {
	p99, p999 := res.tails()
	return []string{formatDuration(res.P50), formatDuration(res.P90), res.tailCell(p99, SamplesP99), res.tailCell(p999, SamplesP999), formatDuration(res.Max)}
}

func (res *Result) tailCell(d time.Duration, samples int64) string {
	if res.N < samples {
		return notMeasured
	}
	return formatDuration(d)
}
