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

// svgOf is the picture of a scenario as a file.
func svgOf(t *testing.T, r *Report, scenario string) string {
	t.Helper()
	for _, s := range r.Sections() {
		if s.Name == scenario {
			return string(s.SVG())
		}
	}
	t.Fatalf("no scenario %q", scenario)
	return ""
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
	doc := svgOf(t, syntheticReport(), "wake")
	for _, want := range []string{
		`<svg xmlns="http://www.w3.org/2000/svg"`, `role="img" aria-label="wake: median latency: p50 latency, logarithmic over gap`,
		"prefers-color-scheme:dark", `<rect class="page"`,
		">wake: median latency</text>", ">polling on</text>", ">gap between events (µs)</text>", ">p50 latency, logarithmic</text>",
		">io_uring</text>", ">goroutine+channel</text>", "Example CPU 3000", "GOMAXPROCS 2",
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestAllPictures: each is XML, has only classes that the style sheet knows, and takes
// nothing from elsewhere.
func TestAllPictures(t *testing.T) {
	foreign := regexp.MustCompile(`href|url\(|@import|NaN|Inf|style=`)
	classes := regexp.MustCompile(`class="([^"]+)"`)
	for _, s := range syntheticReport().Sections() {
		doc := string(s.SVG())
		if err := wellFormed(doc); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if m := foreign.FindString(doc); m != "" {
			t.Errorf("%s contains %q", s.Name, m)
		}
		for _, m := range classes.FindAllStringSubmatch(doc, -1) {
			for class := range strings.FieldsSeq(m[1]) {
				if !strings.Contains(plotCSS, "."+class) {
					t.Fatalf("%s has the class %q, which the style sheet lacks", s.Name, class)
				}
			}
		}
	}
}

func TestSVGEscapes(t *testing.T) {
	res := minimal()
	res.Scenario, res.Backend = `"><script>`, "<b>&\x00"
	res.Params = map[string]string{`"k`: "<v>"}
	res.Histogram = []Bucket{{1, 6}, {5, 4}}
	r := &Report{Machine: Machine{CPU: "<cpu>\x01"}, Results: []Result{res}}
	doc := svgOf(t, r, res.Scenario)
	if err := wellFormed(doc); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"<script", "<b>", "<v>", "<cpu>"} {
		if strings.Contains(doc, bad) {
			t.Errorf("contains %q", bad)
		}
	}
	if !strings.Contains(doc, "&lt;v&gt;") {
		t.Error("the parameter is missing")
	}
}

func TestSVGDeterministic(t *testing.T) {
	first := svgOf(t, syntheticReport(), "idle-fds")
	for range 3 {
		if svgOf(t, syntheticReport(), "idle-fds") != first {
			t.Fatal("two runs differ")
		}
	}
}

// TestSameLookInEveryReport: a row of the description looks the same whatever other rows
// there are, and no two rows have the same dashes and the same marker.
func TestSameLookInEveryReport(t *testing.T) {
	rows := func(names ...string) map[string]look {
		r := described()
		for _, name := range names {
			r.Results = append(r.Results, Result{Backend: name})
		}
		return r.looks()
	}
	all, few := rows("epoll", "io_uring", "x", "y"), rows("io_uring", "other")
	if all["io_uring"] != few["io_uring"] || all["io_uring"].colour != all["io_uring park"].colour {
		t.Errorf("io_uring is %v, %v and %v", all["io_uring"], few["io_uring"], all["io_uring park"])
	}
	seen := map[string]string{}
	for name, l := range all {
		class, path := l.marker()
		key := l.dashes() + class + path
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s differ in nothing but the colour", name, other)
		}
		seen[key] = name
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
	light, dark, ok := strings.Cut(plotCSS, "@media")
	if !ok {
		t.Fatal("the style sheet has no dark colours")
	}
	for _, css := range []string{light, dark} {
		page := regexp.MustCompile(`\.page\{fill:(#[0-9a-f]{6})`).FindStringSubmatch(css)[1]
		rules := regexp.MustCompile(`\.(file|c\d)\{color:(#[0-9a-f]{6})`).FindAllStringSubmatch(css, -1)
		if len(rules) != 1+colours {
			t.Errorf("%d colours, want %d and that of text", len(rules), colours)
		}
		for _, rule := range rules {
			least := 4.0
			if rule[1] == "file" {
				least = 7
			}
			if c := contrast(t, rule[2], page); c < least {
				t.Errorf("%s on %s has a contrast of %.1f", rule[0], page, c)
			}
		}
	}
}
