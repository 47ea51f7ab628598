package report

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawDurations(t *rapid.T, label string) []time.Duration {
	// Exponents first, so that all powers of ten occur alike.
	d := rapid.Custom(func(t *rapid.T) time.Duration {
		top := int64(math.Pow10(rapid.IntRange(1, 10).Draw(t, "power")))
		return time.Duration(rapid.Int64Range(1, top).Draw(t, "ns"))
	})
	return rapid.SliceOfN(d, 1, 300).Draw(t, label)
}

func record(durations []time.Duration) *Recorder {
	r := NewRecorder()
	for _, d := range durations {
		r.Record(d)
	}
	return r
}

// TestRecorderModel compares with a sorted list of all samples: same rank, three
// digits.
func TestRecorderModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := drawDurations(t, "samples")
		r := record(samples)
		slices.Sort(samples)
		for _, p := range []float64{0.1, 25, 50, 90, 99, 99.9, 100} {
			rank := max(int(math.Ceil(p/100*float64(len(samples))-1e-6)), 1)
			want, got := samples[rank-1], r.Percentile(p)
			if got < want || float64(got) > float64(want)*1.001 {
				t.Fatalf("p%v of %v: got %v, want %v", p, samples, got, want)
			}
		}
		if r.N() != int64(len(samples)) || newCumulative(r.Buckets()).total() != r.N() || r.Max() != samples[len(samples)-1] {
			t.Fatalf("n %d, max %v, buckets %v", r.N(), r.Max(), r.Buckets())
		}
	})
}

func TestRecorderMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawDurations(t, "a"), drawDurations(t, "b")
		merged := record(a)
		merged.Merge(record(b))
		all := record(append(a, b...))
		var got, want Result
		merged.Summarize(&got)
		all.Summarize(&want)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestRecorderSummaryIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		res := Result{Scenario: "s", Backend: "b"}
		record(drawDurations(t, "samples")).Summarize(&res)
		if err := res.validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRecorderClamps(t *testing.T) {
	r := record([]time.Duration{-time.Second, 0, time.Nanosecond, time.Minute, time.Hour})
	if r.Clamped() != 3 || r.N() != 5 || r.Max() != MaxDuration || r.Percentile(0) != MinDuration {
		t.Errorf("clamped %d of %d, from %v to %v", r.Clamped(), r.N(), r.Percentile(0), r.Max())
	}
	var res Result
	r.Summarize(&res)
	want := []string{"3 of 5 samples lay outside 1ns to 1m0s and were counted at the limit"}
	if !slices.Equal(res.Notes, want) {
		t.Errorf("notes %q, want %q", res.Notes, want)
	}
}

func TestRecorderReset(t *testing.T) {
	r := record([]time.Duration{5, time.Hour})
	r.Reset()
	if r.N() != 0 || r.Max() != 0 || r.Clamped() != 0 || r.Percentile(50) != 0 || r.Buckets() != nil {
		t.Errorf("left after Reset: n %d, max %v, clamped %d", r.N(), r.Max(), r.Clamped())
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	r := NewRecorder()
	d := time.Duration(1)
	allocs := testing.AllocsPerRun(1000, func() {
		d = d*7%MaxDuration + 1
		r.Record(d)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per Record", allocs)
	}
}

func BenchmarkRecord(b *testing.B) {
	r := NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		r.Record(28_400)
	}
}
