package verdict

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/internal/recorded"
	"github.com/aioloop/aioloop/bench/report"
)

var update = flag.Bool("update", false, "write the verdicts of testdata again")

// machine reads results of aiobench -quick, without histograms and notes and with the rows
// and scenarios that a verdict needs.
func machine(t *testing.T, name string) *report.Report {
	t.Helper()
	return recorded.Read(t, filepath.Join("testdata", name+".json"))
}

func text(v report.Verdict) string {
	lines := slices.Concat([]string{v.Headline}, v.Lines, v.Notes)
	return strings.ReplaceAll(strings.Join(lines, "\n"), report.Unbroken, " ") + "\n"
}

// Two CPUs as root, one CPU, a seccomp filter against io_uring, a user with 64 KiB of locked
// memory, and a limit of 40 open files.
var machines = []string{"two-cpus", "one-cpu", "no-io_uring", "not-root", "few-descriptors"}

// TestRecordedMachines compares with what a person has read and found true.
func TestRecordedMachines(t *testing.T) {
	for _, name := range machines {
		t.Run(name, func(t *testing.T) {
			got, path := text(Of(machine(t, name))), filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestVerdictIsShort: a headline, six lines, and a note for each thing that is missing.
func TestVerdictIsShort(t *testing.T) {
	for _, name := range machines {
		r := machine(t, name)
		v := Of(r)
		if v.Headline == "" || len(v.Lines) != 6 || len(v.Notes) > 3+len(r.LeftOut()) {
			t.Errorf("%s: %d lines, %d notes: %q", name, len(v.Lines), len(v.Notes), v.Headline)
		}
	}
}

// TestFiguresComeFromTheResults: each number with a unit is that of a result.
func TestFiguresComeFromTheResults(t *testing.T) {
	number := regexp.MustCompile(`\d[\d.]*\x{a0}(?:ns|µs|ms|s)\b`)
	for _, name := range machines {
		r := machine(t, name)
		known := map[string]bool{}
		for _, res := range r.Results {
			for _, ns := range []float64{float64(res.P50), float64(res.P99), res.CPUNSPerOp} {
				known[short(ns)] = true
			}
		}
		v := Of(r)
		found := number.FindAllString(v.Headline+strings.Join(v.Lines, " "), -1)
		for _, figure := range found {
			if !known[figure] {
				t.Errorf("%s: %s is of no result", name, figure)
			}
		}
		if len(found) < 20 {
			t.Errorf("%s: only %d figures", name, len(found))
		}
	}
}

// TestOneCPU: where there is no other CPU, none is spoken of.
func TestOneCPU(t *testing.T) {
	r := machine(t, "one-cpu")
	about := text(Of(r))
	for _, s := range r.Description.Scenarios {
		about += s.About
	}
	for _, word := range []string{"another CPU", "other CPU", "across CPUs"} {
		if strings.Contains(about, word) {
			t.Errorf("with one CPU, the texts speak of %q", word)
		}
	}
	if text := text(Of(machine(t, "two-cpus"))); !strings.Contains(text, "another CPU") {
		t.Errorf("with two CPUs, it is not said that they are two:\n%s", text)
	}
}

func at(row, scenario string, p50 time.Duration, rounds ...time.Duration) report.Result {
	res := report.Result{Scenario: scenario, Backend: row, N: 10, P50: p50, P90: p50, Max: p50, Rounds: rounds}
	res.Params = map[string]string{"polling": "off", "gap_us": "20"}
	if scenario == "pingpong" {
		res.Params = map[string]string{"pinned": "yes"}
	}
	return res
}

// TestChoice: the fastest asleep is taken, and among equals the one that is faster otherwise.
func TestChoice(t *testing.T) {
	for name, c := range map[string]struct {
		results []report.Result
		says    []string
	}{
		"one is ahead": {[]report.Result{at("ppoll", "wake", 100), at("epoll", "wake", 200), at("epoll", "pingpong", 1)},
			[]string{"Take ppoll in thread mode", "Why: ppoll is the fastest asleep."}},
		"equals": {[]report.Result{at("ppoll", "wake", 100), at("epoll park", "wake", 104), at("ppoll", "pingpong", 9), at("epoll park", "pingpong", 5)},
			[]string{"Take epoll in park mode", "Why: ppoll and epoll park are equal asleep; of these, epoll park is the fastest there and back on one CPU."}},
		"rounds disagree": {[]report.Result{at("ppoll", "wake", 100, 100, 100), at("epoll", "wake", 200, 90, 210), at("epoll", "pingpong", 5), at("ppoll", "pingpong", 9)},
			[]string{"Take epoll in thread mode"}},
		"all equal": {[]report.Result{at("ppoll", "wake", 100), at("epoll", "wake", 101)},
			[]string{"Take epoll in thread mode", "Why: ppoll and epoll are equal asleep; of these, ppoll comes last because its costs grow with the descriptors."}},
		"without a park mode": {[]report.Result{at("ppoll", "wake", 50), at("epoll", "wake", 100), at("epoll", "pingpong", 9), at("epoll park", "pingpong", 5), at("io_uring", "pingpong", 9), at("io_uring park", "pingpong", 4)},
			[]string{"Take ppoll in thread mode", "Park mode beside thread mode, on io_uring: there and back on one CPU faster (2.2×), 4 ns instead of 9 ns."}},
		"only round trips": {[]report.Result{at("ppoll", "pingpong", 9), at("epoll", "pingpong", 5)},
			[]string{"Take epoll in thread mode", "Why: epoll is the fastest there and back on one CPU."}},
		"no backend":          {[]report.Result{at(bench.GoroutineChannel, "wake", 9)}, []string{"No backend to recommend"}},
		"nothing else counts": {[]report.Result{at("epoll", "wake", 100), at("epoll exclusive", "wake", 1)}, []string{"Take epoll in thread mode"}},
	} {
		got := text(Of(&report.Report{Results: c.results, Description: bench.Description()}))
		for _, want := range c.says {
			if !strings.Contains(got, want) {
				t.Errorf("%s: it does not say %q:\n%s", name, want, got)
			}
		}
	}
}

// TestDefeatsAreSaid: where plain Go is faster, the line says so.
func TestDefeatsAreSaid(t *testing.T) {
	r := &report.Report{Description: bench.Description(), Results: []report.Result{
		at("epoll", "pingpong", 6000), at(bench.GoroutineChannel, "pingpong", 500), at(bench.Netpoller, "pingpong", 6100),
	}}
	if got := text(Of(r)); !strings.Contains(got, "Beside epoll: Go channel faster (12×), Go's poller equal.") {
		t.Errorf("it says:\n%s", got)
	}
}
