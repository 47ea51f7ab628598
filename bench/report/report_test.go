package report

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// minimal is a valid result to start from.
func minimal() Result {
	return Result{Scenario: "wake", Backend: "epoll", N: 10, P50: 1, P90: 2, P99: 3, P999: 4, Max: 5}
}

func TestValidateRefuses(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Report)
		want  string
	}{
		{"schema", func(r *Report) { r.Schema = "aioloop-bench/9" }, `schema is "aioloop-bench/9"`},
		{"CPUs", func(r *Report) { r.Machine.CPUs = -1 }, "machine: a number of CPUs is negative"},
		{"clock", func(r *Report) { r.Machine.ClockNS = math.NaN() }, "machine: clock_ns is NaN"},
		{"year", func(r *Report) { r.Machine.Date = r.Machine.Date.AddDate(20000, 0, 0) }, "date: year 20001"},
		{"no scenario", func(r *Report) { r.Results[0].Scenario = "" }, "results[0]: scenario is missing"},
		{"no backend", func(r *Report) { r.Results[0].Backend = "" }, "results[0]: backend is missing"},
		{"no samples", func(r *Report) { r.Results[0].N = 0 }, "n is 0"},
		{"negative latency", func(r *Report) { r.Results[0].P50 = -1 }, "p50_ns is negative: -1"},
		{"p90 below p50", func(r *Report) { r.Results[0].P50 = 3 }, "p90_ns (2) is below p50_ns (3)"},
		{"max below p99.9", func(r *Report) { r.Results[0].Max = 3 }, "max_ns (3) is below p999_ns (4)"},
		{"negative CPU", func(r *Report) { r.Results[0].CPUNSPerOp = -1 }, "cpu_ns_per_op is -1"},
		{"infinite allocs", func(r *Report) { r.Results[0].AllocsPerOp = math.Inf(1) }, "allocs_per_op is +Inf"},
		{"duplicate", func(r *Report) { r.Results = append(r.Results, r.Results[0]) }, "results[1]: same scenario, backend and params as results[0]"},
		{"negative round", func(r *Report) { r.Results[0].Rounds = []time.Duration{1, -1} }, "rounds_p50_ns[1] is negative: -1"},
		{"no figure", func(r *Report) { r.Results[0].Figures = map[string]float64{"bytes": math.NaN()} }, `figures["bytes"] is NaN`},
		{"negative bucket", func(r *Report) { r.Results[0].Histogram = []Bucket{{-1, 1}} }, "histogram[0]: value is negative"},
		{"descending buckets", func(r *Report) { r.Results[0].Histogram = []Bucket{{2, 1}, {2, 1}} }, "histogram[1]: value 2 does not ascend"},
		{"empty bucket", func(r *Report) { r.Results[0].Histogram = []Bucket{{2, 0}} }, "histogram[0]: count is 0"},
		{"overflow", func(r *Report) { r.Results[0].Histogram = []Bucket{{2, math.MaxInt64}, {3, 1}} }, "histogram[1]: the counts overflow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Report{Results: []Result{minimal()}}
			if err := r.Validate(); err != nil {
				t.Fatalf("before: %v", err)
			}
			tt.spoil(r)
			err := r.Validate()
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, tt.want)
			}
		})
	}
}

func TestIdentityTellsParamsApart(t *testing.T) {
	a, b := minimal(), minimal()
	a.Params = map[string]string{"a": "1", "b": "2"}
	b.Params = map[string]string{"a": `1" "b"="2`}
	if err := (&Report{Results: []Result{a, b}}).Validate(); err != nil {
		t.Errorf("different parameters taken for the same: %v", err)
	}
}

// TestWritersValidate: no writer lets a report out that could not be read back.
func TestWritersValidate(t *testing.T) {
	bad := minimal()
	bad.N = -1
	r := &Report{Results: []Result{bad}}
	var out strings.Builder
	for name, err := range map[string]error{
		"JSON":  r.WriteJSON(&out),
		"table": r.WriteTable(&out),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("wrote %q", out.String())
	}
}

type failingWriter struct{}

var errDisk = errors.New("disk is full")

func (failingWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestWritersPassErrorsOn(t *testing.T) {
	r := &Report{Results: []Result{minimal()}}
	for name, err := range map[string]error{
		"JSON":  r.WriteJSON(failingWriter{}),
		"table": r.WriteTable(failingWriter{}),
	} {
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: got %v, want %v", name, err, errDisk)
		}
	}
}
