package report

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Schema names the JSON format that this package writes and reads. It changes
// when a reader of the old format would misunderstand the new one.
const Schema = "aioloop-bench/1"

// Report is everything that one benchmark run leaves behind.
type Report struct {
	// Schema is the format of the JSON encoding. Leave it empty or set it to
	// the constant [Schema].
	Schema string `json:"schema"`
	// Machine is where and when the results were taken.
	Machine Machine `json:"machine"`
	// Run says how they were taken. A report written by hand may lack it.
	Run *Run `json:"run,omitempty"`
	// Verdict is the answer in a few sentences. It is empty if nothing wrote one.
	Verdict Verdict `json:"verdict,omitzero"`
	// Absent are the rows that were not measured, and why.
	Absent []Absence `json:"absent,omitempty"`
	// Results holds one entry for each scenario, parameter set and row. Their
	// order does not matter for what is printed.
	Results []Result `json:"results"`
	// Description is how the results are shown. It is not in the JSON: who reads a report
	// sets it again.
	Description Description `json:"-"`
}

// Run is how the results of a report were taken, so that it can be repeated.
type Run struct {
	// Name is what people call it.
	Name string `json:"name,omitempty"`
	// Version is the version of the library that was measured, as git describes it.
	Version string `json:"version,omitempty"`
	// Options are those of aiobench that decide what is measured; names of files are
	// not among them.
	Options []string `json:"options,omitempty"`
	// Quick is set if only a first look was taken.
	Quick bool `json:"quick,omitempty"`
	// Took is how long it took, in JSON in nanoseconds.
	Took time.Duration `json:"took_ns,omitempty"`
}

// Result is what was measured for one row of one scenario.
type Result struct {
	// Scenario is what was measured.
	Scenario string `json:"scenario"`
	// Backend is the name of the row: what is measured, or what it is compared with.
	Backend string `json:"backend"`
	// Params are the settings of this measurement, for example
	// "gap_us": "20". Rows of one scenario with equal Params are compared
	// with each other, so every row of such a group needs the same keys.
	Params map[string]string `json:"params"`
	// N is the number of samples behind the percentiles.
	N int64 `json:"n"`
	// P50 to Max are percentiles of the latency, in JSON in nanoseconds. P99 counts
	// from 100 samples on, P999 from 1000; JSON and tables leave it out before.
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns,omitzero"`
	P999 time.Duration `json:"p999_ns,omitzero"`
	Max  time.Duration `json:"max_ns"`
	// CPUNSPerOp is the CPU time of the whole process divided by the number
	// of events, in nanoseconds. Zero means that it was not measured.
	CPUNSPerOp float64 `json:"cpu_ns_per_op"`
	// AllocsPerOp is the number of heap allocations for each event.
	AllocsPerOp float64 `json:"allocs_per_op"`
	// Histogram is the distribution behind the percentiles, ascending, empty
	// buckets left out.
	Histogram []Bucket `json:"histogram,omitempty"`
	// Rounds is the p50 of each round, in the order of time. Rows of one group took
	// turns: what stands at the same place was measured at nearly the same time.
	Rounds []time.Duration `json:"rounds_p50_ns,omitempty"`
	// TimeNSPerOp is how long an event took where several are under way at a time: the time of
	// all rounds divided by the number of events, in nanoseconds. Zero means that they came one
	// after the other, and P50 says it.
	TimeNSPerOp float64 `json:"time_ns_per_op,omitempty"`
	// RoundsTime is the same for each round, next to Rounds.
	RoundsTime []time.Duration `json:"rounds_time_ns,omitempty"`
	// Figures are what was measured other than latency, by name with its unit, for
	// example "bytes/fd".
	Figures map[string]float64 `json:"figures,omitempty"`
	// Notes are sentences a reader of the numbers has to know, for example
	// that a thread could not be pinned.
	Notes []string `json:"notes,omitempty"`
}

// SamplesP99 and SamplesP999 are how many samples a percentile takes. Of fewer, it says
// no more than the maximum.
const (
	SamplesP99  = 100
	SamplesP999 = 1000
)

func (res *Result) tailCell(d time.Duration, samples int64) string {
	if res.N < samples {
		return notMeasured
	}
	return formatNS(float64(d))
}

// Bucket is one step of a distribution: the largest value that the bucket
// stands for, in nanoseconds, and the number of samples in it.
type Bucket [2]int64

// Value is the largest duration that belongs to the bucket.
func (b Bucket) Value() time.Duration { return time.Duration(b[0]) }

// Count is the number of samples in the bucket.
func (b Bucket) Count() int64 { return b[1] }

// ErrInvalid is wrapped by every error about the content of a report, as
// opposed to errors of reading and writing it.
var ErrInvalid = errors.New("invalid report")

// Validate reports the first thing in the report that cannot be true:
// missing names, percentiles that descend, negative figures, or two results
// for the same scenario, row and parameters. The error wraps [ErrInvalid].
func (r *Report) Validate() error {
	if r.Schema != "" && r.Schema != Schema {
		return fmt.Errorf("%w: schema is %q, only %q is understood", ErrInvalid, r.Schema, Schema)
	}
	if err := r.Machine.validate(); err != nil {
		return fmt.Errorf("%w: machine: %w", ErrInvalid, err)
	}
	seen := make(map[string]int, len(r.Results))
	for i := range r.Results {
		res := &r.Results[i]
		if err := res.validate(); err != nil {
			return fmt.Errorf("%w: results[%d]: %w", ErrInvalid, i, err)
		}
		key := res.identity()
		if first, dup := seen[key]; dup {
			return fmt.Errorf("%w: results[%d]: same scenario, backend and params as results[%d]", ErrInvalid, i, first)
		}
		seen[key] = i
	}
	return nil
}

// identity is equal for two results exactly if a table could not tell them
// apart. Quoting keeps odd names from running into each other.
func (res *Result) identity() string {
	id := fmt.Sprintf("%q %q", res.Scenario, res.Backend)
	for _, k := range sortedKeys(res.Params) {
		id += fmt.Sprintf(" %q=%q", k, res.Params[k])
	}
	return id
}

func (res *Result) validate() error {
	switch {
	case res.Scenario == "":
		return errors.New("scenario is missing")
	case res.Backend == "":
		return errors.New("backend is missing")
	case res.N <= 0:
		return fmt.Errorf("n is %d, a result needs at least one sample", res.N)
	}
	if err := res.validatePercentiles(); err != nil {
		return err
	}
	if err := checkFigure("cpu_ns_per_op", res.CPUNSPerOp); err != nil {
		return err
	}
	if err := checkFigure("allocs_per_op", res.AllocsPerOp); err != nil {
		return err
	}
	if err := checkFigure("time_ns_per_op", res.TimeNSPerOp); err != nil {
		return err
	}
	if err := res.validateExtras(); err != nil {
		return err
	}
	return validateHistogram(res.Histogram)
}

func (res *Result) validateExtras() error {
	for i, d := range res.Rounds {
		if d < 0 {
			return fmt.Errorf("rounds_p50_ns[%d] is negative: %d", i, d)
		}
	}
	for i, d := range res.RoundsTime {
		if d < 0 {
			return fmt.Errorf("rounds_time_ns[%d] is negative: %d", i, d)
		}
	}
	for _, name := range sortedKeys(res.Figures) {
		if v := res.Figures[name]; math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("figures[%q] is %v, it has to be finite", name, v)
		}
	}
	return nil
}

func (res *Result) validatePercentiles() error {
	names := [...]string{"p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"}
	values := [...]time.Duration{res.P50, res.P90, res.P99, res.P999, res.Max}
	if res.N < SamplesP99 && res.P99 == 0 {
		values[2] = res.P90
	}
	if res.N < SamplesP999 && res.P999 == 0 {
		values[3] = values[2]
	}
	if values[0] < 0 {
		return fmt.Errorf("%s is negative: %d", names[0], values[0])
	}
	for i := 1; i < len(values); i++ {
		if values[i] < values[i-1] {
			return fmt.Errorf("%s (%d) is below %s (%d)", names[i], values[i], names[i-1], values[i-1])
		}
	}
	return nil
}

func checkFigure(name string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return fmt.Errorf("%s is %v, it has to be a finite number that is not negative", name, v)
	}
	return nil
}

func validateHistogram(buckets []Bucket) error {
	var total int64
	for i, b := range buckets {
		switch {
		case b[0] < 0:
			return fmt.Errorf("histogram[%d]: value is negative: %d", i, b[0])
		case i > 0 && b[0] <= buckets[i-1][0]:
			return fmt.Errorf("histogram[%d]: value %d does not ascend", i, b[0])
		case b[1] <= 0:
			return fmt.Errorf("histogram[%d]: count is %d, empty buckets are left out", i, b[1])
		case total > math.MaxInt64-b[1]:
			return fmt.Errorf("histogram[%d]: the counts overflow", i)
		}
		total += b[1]
	}
	return nil
}
