package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// tailResult is a result of n samples that take 1 to n µs.
func tailResult(n int) Result {
	rec := NewRecorder()
	for i := range n {
		rec.Record(time.Duration(i+1) * time.Microsecond)
	}
	res := Result{Scenario: "wake", Backend: "epoll"}
	rec.Summarize(&res)
	return res
}

var tailCases = []struct {
	n         int
	p99, p999 bool
}{{1, false, false}, {99, false, false}, {100, true, false}, {999, true, false}, {1000, true, true}}

// TestTailsNeedSamples: p99 takes 100 samples and p99.9 takes 1000, in each form.
func TestTailsNeedSamples(t *testing.T) {
	for _, c := range tailCases {
		res := tailResult(c.n)
		s := described(res).Sections()[0]
		cells := s.results().Blocks[0][0].Cells
		checkTail(t, c.n, "table p99", cells[3] != notMeasured, c.p99)
		checkTail(t, c.n, "table p99.9", cells[4] != notMeasured, c.p999)
	}
}

func TestTailsInJSON(t *testing.T) {
	for _, c := range tailCases {
		// A caller, or an older file, may give more than the samples tell.
		res := tailResult(c.n)
		res.P99, res.P999 = res.Max, res.Max
		var b bytes.Buffer
		if err := (&Report{Results: []Result{res}}).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var got struct{ Results []map[string]any }
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		_, p99 := got.Results[0]["p99_ns"]
		_, p999 := got.Results[0]["p999_ns"]
		checkTail(t, c.n, "JSON p99", p99, c.p99)
		checkTail(t, c.n, "JSON p99.9", p999, c.p999)
		if _, err := ReadJSON(&b); err != nil {
			t.Errorf("%d samples: %v", c.n, err)
		}
	}
}

func TestTailsInTable(t *testing.T) {
	table := tableOf(t, &Report{Results: []Result{tailResult(99)}})
	if strings.Contains(table, "98.1 µs") || strings.Contains(table, "98.0 µs") || strings.Count(table, notMeasured) < 2 {
		t.Errorf("it shows a tail of 99 samples:\n%s", table)
	}
}

func checkTail(t *testing.T, n int, where string, got, want bool) {
	t.Helper()
	if got != want {
		t.Errorf("%d samples: %s is there: %v, want %v", n, where, got, want)
	}
}
