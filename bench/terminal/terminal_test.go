package terminal

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/internal/recorded"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/bench/verdict"
)

// quick reads results of aiobench -quick without histograms and notes, and writes them as
// on a screen.
func quick(t *testing.T, name string) (*report.Report, string) {
	t.Helper()
	r := recorded.Read(t, filepath.Join("testdata", name+".json"))
	r.Verdict = verdict.Of(r)
	return r, screen(t, r)
}

func screen(t *testing.T, r *report.Report) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, r, "bench/out/table.txt"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// maxLines is for a quick run, with its progress of a line for each scenario.
const maxLines = 120

// TestItFits: a quick run with all peers, and one of a user for whom much is left out.
func TestItFits(t *testing.T) {
	for _, name := range []string{"quick", "not-root"} {
		_, text := quick(t, name)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if n := len(lines) + len(bench.Config{Quick: true}.Chosen()); n > maxLines {
			t.Errorf("%s: %d lines, %d with those of the progress", name, len(lines), n)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > Width || strings.HasSuffix(line, " ") || strings.Contains(line, report.Unbroken) {
				t.Errorf("%s: %d columns: %q", name, n, line)
			}
		}
	}
}

// TestVerdictIsLast: the last lines are the headline, the lines and the notes, all of them.
func TestVerdictIsLast(t *testing.T) {
	r, text := quick(t, "not-root")
	plain := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	want := r.Verdict.Headline
	for _, line := range r.Verdict.Lines {
		want += " - " + line
	}
	for _, note := range r.Verdict.Notes {
		want += " " + note
	}
	if !strings.HasSuffix(plain(text), plain(want)) {
		t.Errorf("it ends with\n%s\nand not with\n%s", text, want)
	}
}

// TestNoNameTwice: no two lines of a block have the same label, and no two columns the same
// head, or different measurements would have one name.
func TestNoNameTwice(t *testing.T) {
	r, _ := quick(t, "quick")
	lines, all := settings(r)
	if all <= len(lines) {
		t.Errorf("%d settings are shown of %d", len(lines), all)
	}
	names := map[string]bool{}
	for _, s := range lines {
		if names[s.label] {
			t.Errorf("two lines are called %q", s.label)
		}
		names[s.label] = true
	}
	chunks, without := columns(r, lines)
	for _, c := range chunks {
		for _, column := range c {
			if names[column.row] {
				t.Errorf("two columns are called %q", column.row)
			}
			names[column.row] = true
		}
	}
	for _, row := range r.RowNames() {
		if shown := names[row]; shown == slices.Contains(without, row) {
			t.Errorf("row %s: shown is %v, and left out are %q", row, shown, without)
		}
	}
}

// TestFewSettingsAreAllShown, with the fastest marked and a floor not counted as one.
func TestFewSettingsAreAllShown(t *testing.T) {
	r := &report.Report{Description: bench.Description()}
	for _, gap := range []string{"0", "5", "20"} {
		for row, p50 := range map[string]time.Duration{"epoll": 2000, "ppoll": 3000, "futex (C)": 10} {
			params := map[string]string{"polling": "off", "gap_us": gap}
			r.Results = append(r.Results, report.Result{Scenario: "wake", Backend: row, N: 1, P50: p50, P90: p50, Max: p50, Params: params})
		}
	}
	text := screen(t, r)
	if got := strings.Count(text, "wake: "); got != 6 { // three settings, here and with the floor
		t.Errorf("%d lines instead of 6:\n%s", got, text)
	}
	if strings.Count(text, "2.00 µs*") != 3 || strings.Count(text, "*") != 4 { // and the one in the legend
		t.Errorf("the fastest are not marked:\n%s", text)
	}
	if strings.Contains(text, "settings") {
		t.Errorf("it says that settings are missing:\n%s", text)
	}
}

// brokenWriter fails.
type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteError(t *testing.T) {
	r, _ := quick(t, "not-root")
	if err := Write(brokenWriter{}, r, ""); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
