package report

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

var outDir = flag.String("out", "", "write the synthetic report as JSON, text and SVG into this folder, to look at it")

// syntheticReport has the size and the shape of a real one: every scenario, all
// rows, all sweeps. It is the same at every call. Callers may reorder the results.
func syntheticReport() *Report {
	return &Report{Machine: syntheticMachine(), Description: testDescription(), Results: slices.Clone(syntheticResults())}
}

var syntheticResults = sync.OnceValue(makeSyntheticResults)

func makeSyntheticResults() []Result {
	s := synthesizer{rng: rand.New(rand.NewPCG(1, 2))}
	for _, gap := range []int{0, 5, 20, 50, 100, 500, 1000} {
		for _, polling := range []string{"off", "on"} {
			params := map[string]string{"gap_us": fmt.Sprint(gap), "polling": polling}
			hit := polling == "on" && gap < 100
			s.row("wake", "ppoll", params, pick(hit, 420, 29600), pick(hit, 21000+1000*float64(gap), 4800))
			s.row("wake", "epoll", params, pick(hit, 390, 29100), pick(hit, 20500+1000*float64(gap), 4300))
			s.row("wake", "io_uring", params, pick(hit, 290, 28400), pick(hit, 20100+1000*float64(gap), 3900))
			s.row("wake", "goroutine+channel", params, pick(gap < 5, 310, 109000), 6100)
			s.row("wake", "goroutine+channel blocking", params, 21000, 9000)
			s.row("wake", "netpoller", params, 41000+20*float64(gap), 7900)
		}
	}
	for _, pinned := range []string{"yes", "no"} {
		params := map[string]string{"pinned": pinned}
		base := pick(pinned == "yes", 1, 14)
		s.rows("pingpong", params, [7]float64{2180 * base, 1960 * base, 1760 * base, 300, 7600, 0, 1900 * base})
		s.rows("mainloop", params, [7]float64{2450 * base, 2460 * base, 2580 * base, 300, 7600, 4010 * base})
	}
	s.rows("self-bh", nil, [7]float64{58, 57, 55, 71, 0})
	s.rows("self-notifier", nil, [7]float64{612, 455, 384, 0, 2140})
	s.rows("self-timer", nil, [7]float64{96, 94, 91, 340, 0})
	for _, idle := range []float64{1, 8, 64, 512, 1024, 4096, 8192} {
		params := map[string]string{"idle_fds": fmt.Sprint(idle)}
		s.rows("idle-fds", params, [7]float64{600 + 62*idle, 470 + idle/400, 391 + idle/500, 0, 2190 + idle/300})
	}
	for _, n := range []float64{1, 2, 4, 8} {
		params := map[string]string{"producers": fmt.Sprint(n)}
		s.rows("producers", params, [7]float64{900 * n, 850 * n, 800 * n, 1400 * n, 2300 * n})
	}
	for _, n := range []float64{1, 1000} {
		s.rows("timers", map[string]string{"do": "fire", "timers": fmt.Sprint(n)}, [7]float64{180 + n/2, 180 + n/2, 180 + n/2, 270, 0, 1000 * n})
		s.rows("contexts", map[string]string{"contexts": fmt.Sprint(n)}, [7]float64{3000, 2800, 2700, 500})
	}
	s.rows("busy", map[string]string{"gomaxprocs": "2"}, [7]float64{50_000, 50_000, 50_000, 5000, 7000})
	return s.results
}

func syntheticMachine() Machine {
	return Machine{
		Kernel: "6.18.2", CPU: "Example CPU 3000 @ 2.30GHz", CPUs: 2, Virtualization: "virtual machine",
		Go: "go1.26.0", GOMAXPROCS: 2, GOOS: "linux", GOARCH: "amd64", ClockNS: 38.4,
		Date: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
	}
}

func pick(cond bool, yes, no float64) float64 {
	if cond {
		return yes
	}
	return no
}

type synthesizer struct {
	rng     *rand.Rand
	results []Result
}

// syntheticRows are those that medians belong to, in their order.
var syntheticRows = []string{"ppoll", "epoll", "io_uring", "goroutine+channel", "netpoller", "glib (C)", "epoll-et (C)"}

// rows makes a result for each of syntheticRows; a median of zero leaves it out.
func (s *synthesizer) rows(scenario string, params map[string]string, medians [7]float64) {
	for i, name := range syntheticRows {
		if medians[i] > 0 {
			s.row(scenario, name, params, medians[i], medians[i]*1.1)
		}
	}
}

func (s *synthesizer) row(scenario, backend string, params map[string]string, median, cpu float64) {
	rec := NewRecorder()
	for range 20_000 {
		v := median * math.Exp(0.12*s.rng.NormFloat64())
		if s.rng.Float64() < 0.02 {
			v += 900 * s.rng.ExpFloat64()
		}
		if s.rng.Float64() < 0.0015 {
			v += 60_000 * s.rng.ExpFloat64()
		}
		rec.Record(time.Duration(v))
	}
	res := Result{Scenario: scenario, Backend: backend, Params: maps.Clone(params), CPUNSPerOp: cpu}
	rec.Summarize(&res)
	for range 5 {
		res.Rounds = append(res.Rounds, time.Duration(median*math.Exp(0.03*s.rng.NormFloat64())))
	}
	if scenario == "idle-fds" {
		res.Figures = map[string]float64{"bytes/fd": 250}
	}
	if params["pinned"] == "yes" && backend == "netpoller" {
		res.Notes = append(res.Notes, "not pinned: the runtime moves its goroutine between threads")
	}
	s.results = append(s.results, res)
}

// TestSyntheticReport checks that a report of full size can be written in every
// form and leaves the files for a person to look at if asked to.
func TestSyntheticReport(t *testing.T) {
	r := syntheticReport()
	writeOut(t, "report.json", r.WriteJSON)
	writeOut(t, "report.txt", r.WriteTable)
	for _, s := range r.Sections() {
		writeOut(t, s.Name+".svg", func(w io.Writer) error { _, err := w.Write(s.SVG()); return err })
	}
}

func writeOut(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	dir := *outDir
	if dir == "" {
		dir = t.TempDir()
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
