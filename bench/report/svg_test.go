package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func svg(t *testing.T, r *Report, name string) string {
	t.Helper()
	var b strings.Builder
	if err := WriteSVG(&b, r, name); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wellFormed reads all of an XML document.
func wellFormed(doc string) error {
	dec := xml.NewDecoder(strings.NewReader(doc))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestSVGIsCompleteFile(t *testing.T) {
	r := syntheticReport()
	doc := svg(t, r, "wake-p50")
	if err := wellFormed(doc); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<svg xmlns="http://www.w3.org/2000/svg"`, "prefers-color-scheme:dark", `<rect class="page"`,
		">wake: median latency</text>", ">polling on</text>", ">gap between events (µs)</text>", ">p50 latency (µs)</text>",
		">io_uring</text>", ">goroutine+channel</text>", "Example CPU 3000", "GOMAXPROCS 2",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestAllPlots: each is XML, has no colour left that only means something to this
// package, and takes nothing from elsewhere.
func TestAllPlots(t *testing.T) {
	leftover := regexp.MustCompile(`#01[0-9A-F]{4}|font-family:Lib|href|url\(|@import|NaN|Inf`)
	r := syntheticReport()
	for _, f := range r.figures() {
		doc, err := f.svg(f.valueAxis(), frame{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(doc); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		if m := leftover.FindString(doc); m != "" {
			t.Errorf("%s contains %q", f.name, m)
		}
	}
}

func TestSVGEscapes(t *testing.T) {
	res := minimal()
	res.Scenario, res.Backend = `"><script>`, "<b>&\x00"
	res.Params = map[string]string{`"k`: "<v>"}
	r := &Report{Machine: Machine{CPU: "<cpu>\x01"}, Results: []Result{res}}
	doc := svg(t, r, r.PlotNames()[0])
	if err := wellFormed(doc); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"<script", "<b>", "<v>", "<cpu>"} {
		if strings.Contains(doc, bad) {
			t.Errorf("contains %q", bad)
		}
	}
}

func TestSVGUnknownPlot(t *testing.T) {
	r := &Report{Results: []Result{minimal()}}
	err := WriteSVG(io.Discard, r, "speed")
	if !errors.Is(err, ErrNoPlot) || !strings.Contains(err.Error(), `"speed", there are: wake-distribution`) {
		t.Errorf("got %v", err)
	}
}

func TestSVGDeterministic(t *testing.T) {
	first := svg(t, syntheticReport(), "idle-fds-p50-log")
	for range 3 {
		if svg(t, syntheticReport(), "idle-fds-p50-log") != first {
			t.Fatal("two runs differ")
		}
	}
}

func TestRestyle(t *testing.T) {
	in := `<text x="1"` + "\n\t" + `style="font-family:Sans;font-weight:normal;font-size:11px;fill:#010100">a</text><path d="M" style="fill:none;stroke:#010403;stroke-width:2"/>`
	want := `<text x="1" class="f-ink" style="font-size:11px">a</text><path d="M" class="s-row3" style="fill:none;stroke-width:2"/>`
	if got := restyle(in); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSameStyleInEveryReport(t *testing.T) {
	rows := func(names ...string) *Report {
		r := described()
		for _, name := range names {
			r.Results = append(r.Results, Result{Backend: name})
		}
		return r
	}
	all := rows("ppoll", "epoll", "io_uring", "goroutine+channel", "x", "y", "zz").styles()
	few := rows("io_uring", "other").styles()
	if all["io_uring"] != few["io_uring"] {
		t.Errorf("io_uring has style %d and %d", all["io_uring"], few["io_uring"])
	}
	if all["x"] < len(testDescription().Rows) || all["x"] == all["y"] || all["zz"] >= len(rowStyles) {
		t.Errorf("styles of other rows: %v", all)
	}
}

// luminance is that of the WCAG, for a colour like "#0072b2".
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	v, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(c uint64) float64 {
		s := float64(c&0xff) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(v>>16) + 0.7152*channel(v>>8) + 0.0722*channel(v)
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// TestContrast: 7:1 for text and 4:1 for lines, where the WCAG ask for 3:1.
func TestContrast(t *testing.T) {
	if c := min(contrast(t, lightInk, lightPage), contrast(t, darkInk, darkPage)); c < 7 {
		t.Errorf("text has a contrast of %.1f", c)
	}
	for i, s := range rowStyles {
		if c := contrast(t, s.light, lightPage); c < 4 {
			t.Errorf("row %d on light: %.1f", i, c)
		}
		if c := contrast(t, s.dark, darkPage); c < 4 {
			t.Errorf("row %d on dark: %.1f", i, c)
		}
	}
}
