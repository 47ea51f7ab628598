package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/bench/report"
)

// TestRawSamples: a program that sorts the samples finds the percentiles of the report, within the
// three digits of its histograms. Files of an earlier run are replaced.
func TestRawSamples(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		c := newChild(t, "plain", "-quick", "-scenario", "pingpong,self-bh", "-backend", "epoll,goroutine+channel", "-raw", filepath.Join(dir, "raw"), "-out", dir)
		c.run(t, 0)
	}
	r, err := report.ReadJSON(strings.NewReader(read(t, filepath.Join(dir, "results.json"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range r.Results {
		name := fmt.Sprintf("%s,backend=%s", res.Scenario, res.Backend)
		if pinned := res.Params["pinned"]; pinned != "" {
			name += ",pinned=" + pinned
		}
		var samples []float64
		for _, line := range strings.Fields(read(t, filepath.Join(dir, "raw", name+".txt"))) {
			ns, err := strconv.ParseInt(line, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			samples = append(samples, float64(ns))
		}
		slices.Sort(samples)
		if int64(len(samples)) != res.N {
			t.Fatalf("%s: %d samples instead of %d", name, len(samples), res.N)
		}
		p50, longest := samples[(len(samples)-1)/2], samples[len(samples)-1]
		if got := float64(res.P50); got < p50*0.998 || got > p50*1.002+1 || float64(res.Max) != longest {
			t.Errorf("%s: p50 %v, max %v; of the samples %v, %v", name, res.P50, res.Max, p50, longest)
		}
	}
	if files, err := os.ReadDir(filepath.Join(dir, "raw")); err != nil || len(files) != len(r.Results) {
		t.Errorf("%v, %d files for %d results", err, len(files), len(r.Results))
	}
}
