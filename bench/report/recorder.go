package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of durations that a Recorder keeps. Within it, three digits of a
// value are exact.
const (
	MinDuration = time.Nanosecond
	MaxDuration = 60 * time.Second
)

// Recorder counts durations in a histogram of fixed size (about 230 KiB). It is
// not safe for concurrent use: give each goroutine its own and [Recorder.Merge]
// them afterwards.
type Recorder struct {
	hist    *hdrhistogram.Histogram
	max     time.Duration
	clamped int64
	raw     []time.Duration
	keep    bool
}

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder {
	return &Recorder{hist: hdrhistogram.New(int64(MinDuration), int64(MaxDuration), 3)}
}

// Record counts one duration. Values outside [MinDuration] to [MaxDuration] are
// counted at the nearer end, and [Recorder.Clamped] tells how many there were.
// Record does not allocate.
func (r *Recorder) Record(d time.Duration) {
	if d < MinDuration || d > MaxDuration {
		d = min(max(d, MinDuration), MaxDuration)
		r.clamped++
	}
	if d > r.max {
		r.max = d
	}
	if r.keep {
		r.raw = append(r.raw, d)
	}
	// After clamping the only error left is 2^63 samples.
	_ = r.hist.RecordValue(int64(d))
}

// Merge adds everything that other has counted. other stays as it is.
func (r *Recorder) Merge(other *Recorder) {
	r.hist.Merge(other.hist)
	r.max = max(r.max, other.max)
	r.clamped += other.clamped
}

// Reset forgets everything without giving memory back, for use after warming up.
func (r *Recorder) Reset() {
	r.hist.Reset()
	r.max, r.clamped, r.raw = 0, 0, r.raw[:0]
}

// rawRoom is for how many samples KeepRaw makes room, so that Record seldom allocates.
const rawRoom = 1 << 18

// KeepRaw has every duration from now on kept as it is, in addition to the histogram.
func (r *Recorder) KeepRaw() { r.keep, r.raw = true, make([]time.Duration, 0, rawRoom) }

// Raw are the durations since KeepRaw or Reset, in the order in which they were recorded.
// They are valid until the next Reset. Merge does not add to them.
func (r *Recorder) Raw() []time.Duration { return r.raw }

// N is the number of durations counted.
func (r *Recorder) N() int64 { return r.hist.TotalCount() }

// Clamped is the number of durations that lay outside the range.
func (r *Recorder) Clamped() int64 { return r.clamped }

// Max is the longest duration counted, exact, or zero if there was none.
func (r *Recorder) Max() time.Duration { return r.max }

// Percentile is the smallest duration that at least p percent of the samples do not
// exceed, with three exact digits, or zero if there are no samples. The histogram's
// own percentiles round the rank to the nearest sample, so that less than p percent
// may lie below.
func (r *Recorder) Percentile(p float64) time.Duration {
	return newCumulative(r.Buckets()).at(p / 100)
}

// Buckets is the distribution: ascending values, empty buckets left out. The
// value of each is its upper end, or [Recorder.Max] in the last one.
func (r *Recorder) Buckets() []Bucket {
	var buckets []Bucket
	for _, bar := range r.hist.Distribution() {
		if bar.Count > 0 {
			buckets = append(buckets, Bucket{min(bar.To, int64(r.max)), bar.Count})
		}
	}
	return buckets
}

// Summarize writes what was recorded into res: N, the percentiles, the
// histogram, and a note if samples were clamped. It leaves the other fields
// alone.
func (r *Recorder) Summarize(res *Result) {
	res.N = r.N()
	res.Histogram = r.Buckets()
	c := newCumulative(res.Histogram)
	res.P50, res.P90, res.P99, res.P999 = c.at(0.5), c.at(0.9), c.at(0.99), c.at(0.999)
	res.Max = r.Max()
	if r.clamped > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%d of %d samples lay outside %v to %v and were counted at the limit", r.clamped, res.N, MinDuration, MaxDuration))
	}
}

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
