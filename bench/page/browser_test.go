package page

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

//go:embed testdata/measure.html
var measurePage []byte

// measured is what testdata/measure.html has found out about a page.
type measured struct {
	Dark     bool
	Widths   []int
	Problems []string
	Height   int        // of the page as it opens, in pixels at 390 of width
	Rows     [][]string // cells of the tables with everything
	Text     string     // that a reader can see, once all is unfolded
}

// TestPageInBrowser looks at the page in a real browser, in light and dark colours, from a
// phone's width to a large screen's.
func TestPageInBrowser(t *testing.T) {
	browser := findBrowser(t)
	r := quick(t)
	r.Run = &report.Run{Name: "the run", Quick: true, Options: []string{"-quick"}, Took: time.Minute}
	r.Verdict.Notes = append(r.Verdict.Notes, "Not measured: one row.")
	for _, dark := range []bool{false, true} {
		m := measureIn(t, browser, pageOf(t, r), dark)
		if m.Dark != dark || len(m.Widths) != 5 {
			t.Errorf("dark: %v, widths: %v", m.Dark, m.Widths)
		}
		for i, problem := range m.Problems {
			if i == 20 {
				t.Fatalf("and %d more", len(m.Problems)-i)
			}
			t.Errorf("dark %v, %s", dark, problem)
		}
		checkReachable(t, r, m)
	}
}

func findBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no browser to look at the page with: chromium is missing (apt-get install chromium)")
	return ""
}

// measureIn has a browser measure the page. It fails if the page says anything on the
// console, where errors go.
func measureIn(t *testing.T, browser, page string, dark bool) (m measured) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"page.html": []byte(page), "measure.html": measurePage} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	scheme := map[bool]string{false: "1", true: "0"}[dark]
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad",
		"--no-first-run", "--user-data-dir="+filepath.Join(dir, "profile"), "--allow-file-access-from-files", "--enable-logging=stderr",
		"--blink-settings=preferredColorScheme="+scheme, "--dump-dom", "file://"+filepath.Join(dir, "measure.html"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, 10*time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	said := regexp.MustCompile(`CONSOLE.*`).FindAllString(stderr.String(), -1)
	if len(said) != 1 || !strings.Contains(said[0], `"measured"`) {
		t.Errorf("on the console: %q", said)
	}
	_, out, _ := strings.Cut(stdout.String(), `<pre id="out">`)
	out, _, _ = strings.Cut(out, "<")
	text, err := url.PathUnescape(out)
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return m
}

// checkReachable looks for each number of the results in a row that a reader can unfold,
// and for what is said of the run and the machine.
func checkReachable(t *testing.T, r *report.Report, m measured) {
	t.Helper()
	rows := map[string]bool{}
	for _, cells := range m.Rows {
		rows[strings.Join(cells, "|")] = true
	}
	for _, s := range r.Sections() {
		for _, g := range s.Groups {
			for _, res := range g.Results {
				want := []string{res.Backend}
				for _, c := range s.Columns {
					want = append(want, c.Cell(g, res))
				}
				if !rows[strings.Join(want, "|")] {
					t.Errorf("%s, %s: no row %q", s.Name, g.Label, want)
				}
			}
		}
	}
	for _, want := range slices.Concat(r.Verdict.Lines, r.Verdict.Notes,
		[]string{r.Verdict.Headline, r.Machine.String(), "30 ns", r.Run.Name, "1m0s", r.Description.Lead}) {
		if !strings.Contains(m.Text, strings.TrimSpace(want)) {
			t.Errorf("%q is missing", want)
		}
	}
}
