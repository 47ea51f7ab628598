package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

var update = flag.Bool("update", false, "write the golden files again")

const goldenPage = "testdata/performance.golden.md"

func pageOf(t *testing.T, r *report.Report) (text string, files map[string][]byte) {
	t.Helper()
	p, err := newPage(r, "performance")
	if err != nil {
		t.Fatal(err)
	}
	return string(p.text), p.files
}

// syntheticReport has every scenario at two settings if it has any, and figures that follow from the
// places of rows and settings.
func syntheticReport() *report.Report {
	r := &report.Report{
		Description: bench.Description(),
		Machine: report.Machine{
			Kernel: "6.18.2", CPU: "Example CPU 3000 @ 2.30GHz", CPUs: 2, Virtualization: "virtual machine",
			Go: "go1.26.0", GOMAXPROCS: 2, GOOS: "linux", GOARCH: "amd64", ClockNS: 38.4,
			Date: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC),
		},
	}
	for _, s := range bench.Scenarios() {
		for setting := range 2 {
			params := map[string]string{}
			if setting > 0 && len(s.Scenario.Params) == 0 {
				continue
			}
			for _, key := range s.Scenario.Params {
				params[key] = fmt.Sprint(1 + 9*setting)
			}
			for i, row := range rowsOf(r, s.Name) {
				p50 := time.Duration(1000 + 300*((i*7+setting+len(s.Name))%13))
				res := report.Result{
					Scenario: s.Name, Backend: row.Name, Params: params, CPUNSPerOp: float64(p50 / 2), N: 1000,
					P50: p50, P90: p50 * 2, P99: p50 * 3, P999: p50 * 40, Max: p50 * 500, Rounds: []time.Duration{p50, p50 + 100, p50 - 100},
				}
				if s.Name == "idle-fds" {
					res.Figures = map[string]float64{"bytes/fd": 250}
				}
				r.Results = append(r.Results, res)
			}
		}
	}
	return r
}

// rowsOf are the rows of a report that take part with files, or those that take part without.
func rowsOf(r *report.Report, scenario string) []report.Row {
	files := func(name string) bool { return strings.HasPrefix(name, "file-") }
	var with []string
	for _, s := range bench.Scenarios() {
		if files(s.Name) {
			with = append(with, bench.RowsIn([]string{s.Name})...)
		}
	}
	return slices.DeleteFunc(slices.Clone(r.Description.Rows), func(row report.Row) bool {
		return slices.Contains(with, row.Name) != files(scenario)
	})
}

// TestPageGolden holds the page to the bytes that were reviewed. After a change that is
// meant: go test ./bench/cmd/performance -run PageGolden -update
func TestPageGolden(t *testing.T) {
	r := syntheticReport()
	r.Results = slices.DeleteFunc(r.Results, func(res report.Result) bool {
		return !slices.Contains([]string{"wake", "self-bh", "idle-fds"}, res.Scenario)
	})
	r.Run = &report.Run{Name: "a synthetic run", Version: "v0.0.0-1-g0000000", Took: 90 * time.Second}
	page, _ := pageOf(t, r)
	if *update {
		if err := os.WriteFile(goldenPage, []byte(page), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, lines := strings.Split(page, "\n"), strings.Split(golden(t), "\n")
	for i := range min(len(got), len(lines)) {
		if got[i] != lines[i] {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, got[i], lines[i])
		}
	}
	if len(got) != len(lines) {
		t.Fatalf("%d lines, want %d", len(got), len(lines))
	}
}

// golden is the page as TestPageGolden has found it.
func golden(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(goldenPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var pageLink = regexp.MustCompile(`\]\(performance/([^)]*)\)`)

// TestPageIsComplete: each scenario has its section, each link its file, each
// picture is XML and is shown.
func TestPageIsComplete(t *testing.T) {
	r := syntheticReport()
	r.Results = append(r.Results, report.Result{Scenario: "brand-new", Backend: "epoll", N: 1, P50: 1, P90: 1, P99: 1, P999: 1, Max: 1})
	page, files := pageOf(t, r)
	for _, res := range r.Results {
		if !strings.Contains(page, "\n## "+res.Scenario+"\n") {
			t.Errorf("there is no section on %s", res.Scenario)
		}
	}
	linked := map[string]bool{}
	for _, m := range pageLink.FindAllStringSubmatch(page, -1) {
		linked[m[1]] = true
		if files[m[1]] == nil {
			t.Errorf("the page links to %s, which is not there", m[1])
		}
	}
	for name, content := range files {
		if !linked[name] {
			t.Errorf("nothing links to %s", name)
		}
		if strings.HasSuffix(name, ".svg") {
			checkXML(t, name, content)
		}
	}
}

func checkXML(t *testing.T, name string, content []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(content)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
}

// TestPageTables: each line of a table has as many cells as its head.
func TestPageTables(t *testing.T) {
	page := golden(t)
	cells := 0
	for i, line := range strings.Split(page, "\n") {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells != 0 && n != cells {
			t.Errorf("line %d has %d cells and not %d: %s", i+1, n-1, cells-1, line)
		}
		cells = n
	}
}

// comparisonReport is a ping-pong in which each row takes the same time in all of five rounds.
func comparisonReport(p50 map[string]time.Duration) *report.Report {
	r := &report.Report{Description: bench.Description()}
	for row, d := range p50 {
		r.Results = append(r.Results, report.Result{
			Scenario: "pingpong", Backend: row, Params: map[string]string{"pinned": "yes"},
			N: 100, P50: d, P90: d, P99: d * 2, P999: d * 3, Max: d * 4, CPUNSPerOp: float64(d) / 2, Rounds: slices.Repeat([]time.Duration{d}, 5),
		})
	}
	return r
}

// TestDefeatsArePrinted: the worst first, and floors are no opponents.
func TestDefeatsArePrinted(t *testing.T) {
	page, _ := pageOf(t, comparisonReport(map[string]time.Duration{
		"epoll": 2200, "epoll-et (C)": 2000, "libev (C)": 1100, "glib (C)": 4400, "goroutine+channel": 275,
	}))
	_, defeats, _ := strings.Cut(page, "\n## Where others are faster\n")
	for _, want := range []string{
		"2 settings, ",
		"| pingpong: all on one CPU | epoll | *libev (C)* | 2200 ns | 1100 ns | 2.00 (2.00–2.00) | 2.00 | 1100 ns | 550 ns | 2.00 |",
	} {
		if !strings.Contains(defeats, want) {
			t.Errorf("%q is missing in\n%s", want, defeats)
		}
	}
	if !strings.Contains(page, "1 of 3 comparisons are won, 0 are even, 2 are lost") {
		t.Errorf("the verdict is missing in\n%s", page)
	}
	if channel, libev := strings.Index(defeats, "*goroutine+channel* | 2200"), strings.Index(defeats, "*libev (C)* | 2200"); channel < 0 || channel > libev {
		t.Error("the worst defeat is not the first")
	}
	if strings.Contains(defeats, "*epoll-et (C)*") {
		t.Error("a floor counts as an opponent")
	}
}

func TestPageNames(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2, "a|b <i>\n--> (C)": 1})
	r.Run = &report.Run{Name: `--> | <b>`, Version: "`x`"}
	page, _ := pageOf(t, r)
	for _, bad := range []string{"<i>", "<b>", "`x`"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q came through", bad)
		}
	}
	if n := strings.Count(page, "-->"); n != 1 {
		t.Errorf("%d ends of comments", n)
	}
	if !strings.Contains(page, `a\|b`) {
		t.Error("the row is not there")
	}
}

func TestRunCommand(t *testing.T) {
	for _, c := range []struct {
		run  *report.Run
		want string
	}{
		{nil, "make performance"},
		{&report.Run{}, "make performance"},
		{&report.Run{Options: []string{"-quick", "-scenario", "wake,busy", "-backend", "epoll park"}}, "make performance QUICK=1 SCENARIO='wake,busy' BACKEND='epoll park'"},
		{&report.Run{Options: []string{"-rounds", "9"}}, "go run ./bench/cmd/aiobench -rounds 9 -out bench/out && make performance RUN=bench/out/results.json"},
	} {
		r := syntheticReport()
		r.Run = c.run
		if got := runCommand(r); got != c.want {
			t.Errorf("%v: %s, want %s", c.run, got, c.want)
		}
	}
}

// TestRunIsKept: how the results were taken comes through the JSON.
func TestRunIsKept(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2})
	r.Run = &report.Run{Name: "n", Version: "v", Options: []string{"-quick"}, Quick: true, Took: time.Minute}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	back, err := report.ReadJSON(&b)
	if err != nil || !reflect.DeepEqual(back.Run, r.Run) {
		t.Errorf("%+v, %v", back, err)
	}
	back.Description = bench.Description()
	page, _ := pageOf(t, back)
	for _, want := range []string{"It was a quick run", "Version v, ", "make performance QUICK=1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageRefuses(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2})
	r.Results[0].N = 0
	if _, err := newPage(r, "performance"); !errors.Is(err, report.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// TestTailNeedsSamples: the ratio of two p99s takes 100 samples of both.
func TestTailNeedsSamples(t *testing.T) {
	few, enough := &report.Result{N: report.SamplesP99 - 1, P99: 2}, &report.Result{N: report.SamplesP99, P99: 2}
	for _, c := range []comparison{{ours: few, other: enough}, {ours: enough, other: few}} {
		if r := c.tail(); r != 0 {
			t.Errorf("%v of %d and %d samples", r, c.ours.N, c.other.N)
		}
	}
	if r := (comparison{ours: enough, other: enough}).tail(); r != 1 {
		t.Errorf("%v of enough samples", r)
	}
}
