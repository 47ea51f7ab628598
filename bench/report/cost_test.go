package report

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestOverlapping: where events overlap, rows are compared by the time of all, and by CPU time.
func TestOverlapping(t *testing.T) {
	result := func(row string, p50, each time.Duration, cpu float64) Result {
		r := Result{Scenario: "file", Backend: row, N: 10, P50: p50, P90: p50, P99: p50, P999: p50, Max: p50, CPUNSPerOp: cpu}
		r.TimeNSPerOp, r.Rounds, r.RoundsTime = float64(each), []time.Duration{p50, p50}, []time.Duration{each, each}
		return r
	}
	r := &Report{
		Results:     []Result{result("loop", 16000, 1000, 900), result("goroutines", 1000, 2000, 1800)},
		Description: Description{Rows: []Row{{Name: "loop", Kind: Own}, {Name: "goroutines", Reference: "goroutines"}}},
	}
	loop, goroutines := &r.Results[0], &r.Results[1]
	if ratio, outcome := loop.Against(goroutines); outcome != Faster || ratio.Median != 0.5 {
		t.Errorf("%v, %v", ratio, outcome)
	}
	s := r.Sections()[0]
	if !s.Overlapping() || s.CostHead() != "time/event" || !s.Groups[0].Leads(loop) || s.Groups[0].Leads(goroutines) {
		t.Errorf("overlapping is %v, by %s", s.Overlapping(), s.CostHead())
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"time/event divided by", "0.50 (0.50–0.50)", "CPU/event divided by", "events/s", "1000000"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &b)
		}
	}
	plain := &Report{Results: []Result{minimal()}}
	if s := plain.Sections()[0]; s.Overlapping() || s.CostHead() != "p50" || len(s.CPURatios) > 0 || loop.Cost() != 1000 || plain.Results[0].Cost() != 1 {
		t.Error("one event after the other is compared by something else than the p50")
	}
	for _, spoil := range []func(*Result){func(r *Result) { r.TimeNSPerOp = -1 }, func(r *Result) { r.RoundsTime = []time.Duration{-1} }} {
		bad := &Report{Results: []Result{minimal()}}
		spoil(&bad.Results[0])
		if bad.Validate() == nil {
			t.Error("a negative time is valid")
		}
	}
}
