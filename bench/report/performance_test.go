package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files again")

const goldenPerformance = "testdata/performance.golden.md"

func performanceOf(t *testing.T, r *Report) (page string, files map[string][]byte) {
	t.Helper()
	p, err := r.Performance("performance")
	if err != nil {
		t.Fatal(err)
	}
	return string(p.Page), p.Files
}

// TestPerformanceGolden holds the page to the bytes that were reviewed. After
// a change that is meant: go test ./bench/report -run PerformanceGolden -update
func TestPerformanceGolden(t *testing.T) {
	r := syntheticReport()
	r.Run = &Run{Name: "a synthetic run", Version: "v0.0.0-1-g0000000", Took: 90 * time.Second}
	page, _ := performanceOf(t, r)
	if *update {
		if err := os.WriteFile(goldenPerformance, []byte(page), 0o666); err != nil {
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

// golden is the page as TestPerformanceGolden has found it.
func golden(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(goldenPerformance)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var pageLink = regexp.MustCompile(`\]\(performance/([^)]*)\)`)

// TestPerformanceIsComplete: each scenario has its section, each link its file, each
// picture is XML and is shown.
func TestPerformanceIsComplete(t *testing.T) {
	r := syntheticReport()
	r.Results = append(r.Results, Result{Scenario: "brand-new", Backend: "epoll", N: 1, P50: 1, P90: 1, P99: 1, P999: 1, Max: 1})
	page, files := performanceOf(t, r)
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

// TestPerformanceTables: each line of a table has as many cells as its head.
func TestPerformanceTables(t *testing.T) {
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
func comparisonReport(p50 map[string]time.Duration) *Report {
	r := described()
	r.Machine = syntheticMachine()
	for row, d := range p50 {
		r.Results = append(r.Results, Result{
			Scenario: "pingpong", Backend: row, Params: map[string]string{"pinned": "yes"},
			N: 100, P50: d, P90: d, P99: d * 2, P999: d * 3, Max: d * 4, CPUNSPerOp: float64(d) / 2, Rounds: slices.Repeat([]time.Duration{d}, 5),
		})
	}
	return r
}

// TestDefeatsArePrinted: the worst first, and floors are no opponents.
func TestDefeatsArePrinted(t *testing.T) {
	page, _ := performanceOf(t, comparisonReport(map[string]time.Duration{
		"epoll": 2200, "epoll-et (C)": 2000, "libev (C)": 1100, "glib (C)": 4400, "goroutine+channel": 275,
	}))
	_, defeats, _ := strings.Cut(page, "\n## Where others are faster\n")
	for _, want := range []string{
		"2 settings, ",
		"| pingpong: pinned yes | epoll | *libev (C)* | 2200 ns | 1100 ns | 2.00 (2.00–2.00) | 2.00 | 1100 ns | 550 ns | 2.00 |",
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

// TestDuelOutcome: who has won depends on the rounds and on the run as a whole.
func TestDuelOutcome(t *testing.T) {
	for _, c := range []struct {
		ratio        Ratio
		ours, theirs time.Duration
		want         string
	}{
		{Ratio{1.03, 0.9, 1.2, 5}, 103, 100, "even"},
		{Ratio{1.03, 1.01, 1.04, 5}, 103, 100, "lost"}, // little, but each time
		{Ratio{0.97, 0.96, 0.99, 5}, 97, 100, "won"},
		{Ratio{1.3, 0.9, 1.5, 5}, 130, 100, "lost"},
		{Ratio{1.3, 0.9, 1.5, 5}, 90, 100, "even"}, // the whole run contradicts
		{Ratio{0.5, 0.4, 1.1, 5}, 50, 100, "won"},
		{Ratio{1, 1, 1, 1}, 100, 100, "even"},
		{Ratio{2, 2, 2, 1}, 200, 100, "lost"},
		{Ratio{1.04, 1.04, 1.04, 1}, 104, 100, "even"}, // one round has no spread
	} {
		d := comparison{ours: &Result{P50: c.ours}, other: &Result{P50: c.theirs}, Ratio: c.ratio}
		got := map[string]bool{"even": d.even(), "lost": d.lost(), "won": d.won()}
		for outcome, is := range got {
			if is != (outcome == c.want) {
				t.Errorf("%v, %v against %v: %v, want %s", c.ratio, c.ours, c.theirs, got, c.want)
			}
		}
	}
}

// TestPerformanceNames: what names from a file can hold breaks neither table nor comment.
func TestPerformanceNames(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2, "a|b <i>\n--> (C)": 1})
	r.Run = &Run{Name: `--> | <b>`, Version: "`x`"}
	page, _ := performanceOf(t, r)
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
		run  *Run
		want string
	}{
		{nil, "make performance"},
		{&Run{}, "make performance"},
		{&Run{Options: []string{"-quick", "-scenario", "wake,busy", "-backend", "epoll park"}}, "make performance QUICK=1 SCENARIO='wake,busy' BACKEND='epoll park'"},
		{&Run{Options: []string{"-rounds", "9"}}, "make performance BENCHFLAGS='-rounds 9'"},
	} {
		r := syntheticReport()
		r.Run = c.run
		if got := r.runCommand(); got != c.want {
			t.Errorf("%v: %s, want %s", c.run, got, c.want)
		}
	}
}

// TestRunIsKept: how the results were taken comes through the JSON.
func TestRunIsKept(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2})
	r.Run = &Run{Name: "n", Version: "v", Options: []string{"-quick"}, Quick: true, Took: time.Minute}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	back, err := ReadJSON(&b)
	if err != nil || !reflect.DeepEqual(back.Run, r.Run) {
		t.Errorf("%+v, %v", back, err)
	}
	page, _ := performanceOf(t, back)
	for _, want := range []string{"It was a quick run", "Version v, ", "make performance QUICK=1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPerformanceRefuses(t *testing.T) {
	r := comparisonReport(map[string]time.Duration{"epoll": 2})
	r.Results[0].N = 0
	if _, err := r.Performance("performance"); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
