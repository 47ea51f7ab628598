package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// example has three panels, the first of them with as many lines as there can be room for.
func example() *Picture {
	p := &Picture{Title: "A title", XLabel: "size", YLabel: "time", XTicks: []Tick{{0, "1"}, {1, "10"}, {2, "100"}}}
	for _, title := range []string{"first", "second", "third"} {
		panel := Panel{Title: title}
		for i := range 16 {
			y := 1000 + float64(i)
			panel.Lines = append(panel.Lines, Line{strconv.Itoa(i), Look{i % Colours, i / Colours}, []Point{{0, y}, {1, 2 * y}, {2, 3 * y}}})
		}
		p.Panels = append(p.Panels, panel)
	}
	p.Panels[2].Lines = p.Panels[2].Lines[:1]
	return p
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

// TestPicturesAreComplete: each is XML, has only classes that the style sheet knows, and
// takes nothing from elsewhere.
func TestPicturesAreComplete(t *testing.T) {
	foreign := regexp.MustCompile(`href|url\(|@import|NaN|Inf|style=`)
	classes := regexp.MustCompile(`class="([^"]+)"`)
	p := example()
	file := string(p.SVG("a note"))
	for _, doc := range append(p.Inline(), file) {
		if err := wellFormed(doc); err != nil {
			t.Error(err)
		}
		if m := foreign.FindString(doc); m != "" {
			t.Errorf("contains %q", m)
		}
		for _, m := range classes.FindAllStringSubmatch(doc, -1) {
			for class := range strings.FieldsSeq(m[1]) {
				if !strings.Contains(CSS, "."+class) {
					t.Fatalf("the style sheet lacks the class %q", class)
				}
			}
		}
	}
	for _, want := range []string{">A title</text>", ">a note</text>", ">third</text>", ">15</text>", ">100</text>", ">size</text>",
		`role="img" aria-label="A title: time over size"`, `<rect class="page"`, "prefers-color-scheme:dark"} {
		if !strings.Contains(file, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if again := string(p.SVG("a note")); again != file {
		t.Error("a second drawing differs")
	}
	if list := p.Inline(); len(list) != 3 || !strings.Contains(list[1], `over size, second"`) || strings.Contains(list[1], "<style") {
		t.Errorf("%d pictures, the second of them:\n%s", len(list), list[1])
	}
}

// TestLogarithmicIsSaid: in the label, and to a screen reader.
func TestLogarithmicIsSaid(t *testing.T) {
	p := example()
	p.Panels[0].Lines[0].Points[2].Y = 1e6
	if n := strings.Count(string(p.SVG("")), "time, logarithmic"); n != len(p.Panels)+1 {
		t.Errorf("it is said %d times", n)
	}
}

// TestTicksHaveRoom: a label that would touch the one before is in a second line.
func TestTicksHaveRoom(t *testing.T) {
	p := example()
	p.XTicks = []Tick{{0, "1"}, {1, "1,000,000,000"}, {2, "2,000,000,000"}, {3, "3"}}
	heights := map[string]string{}
	for _, m := range regexp.MustCompile(`class="mid" x="[^"]*" y="([^"]*)">([^<]*)<`).FindAllStringSubmatch(p.Inline()[0], -1) {
		heights[m[2]] = m[1]
	}
	upper := heights["1"]
	if len(heights) != 4 || heights["1,000,000,000"] != upper || heights["2,000,000,000"] == upper || heights["3"] != upper {
		t.Errorf("labels are at %v", heights)
	}
}

func TestEscapes(t *testing.T) {
	p := example()
	p.Title, p.XLabel, p.Panels[0].Title, p.Panels[0].Lines[0].Name = `"><script>`, "<b>&\x00", "<v>", "<cpu>\x01"
	doc := string(p.SVG("<note>"))
	if err := wellFormed(doc); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"<script", "<b>", "<v>", "<cpu>", "<note>"} {
		if strings.Contains(doc, bad) {
			t.Errorf("contains %q", bad)
		}
	}
}

// TestSpread: labels keep their order and a distance, and a crowd stays around its middle.
func TestSpread(t *testing.T) {
	crowd := func(ys ...float64) (labels []label) {
		for _, y := range ys {
			labels = append(labels, label{y: y})
		}
		spread(labels, 0, panelHeight)
		return labels
	}
	heights := func(labels []label) (ys []float64) {
		for _, l := range labels {
			ys = append(ys, l.y)
		}
		return ys
	}
	if got := heights(crowd(100, 10, 200)); !slices.Equal(got, []float64{10, 100, 200}) {
		t.Errorf("labels with room were moved to %v", got)
	}
	if got := heights(crowd(100, 100, 100)); !slices.Equal(got, []float64{87, 100, 113}) {
		t.Errorf("a crowd is at %v", got)
	}
	for _, y := range []float64{0, 100, panelHeight} {
		got := heights(crowd(slices.Repeat([]float64{y}, 16)...))
		for i := 1; i < len(got); i++ {
			if got[i]-got[i-1] < labelHeight {
				t.Fatalf("too near: %v", got)
			}
		}
		if got[0] < 0 || got[15] > panelHeight {
			t.Errorf("outside: %v", got)
		}
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

// TestContrast: 7:1 for text and 4.5:1 for lines, whose names have their colour.
func TestContrast(t *testing.T) {
	light, dark, ok := strings.Cut(CSS, "@media")
	if !ok {
		t.Fatal("the style sheet has no dark colours")
	}
	for _, css := range []string{light, dark} {
		page := regexp.MustCompile(`\.page\{fill:(#[0-9a-f]{6})`).FindStringSubmatch(css)[1]
		rules := regexp.MustCompile(`\.(file|c\d)\{color:(#[0-9a-f]{6})`).FindAllStringSubmatch(css, -1)
		if len(rules) != 1+Colours {
			t.Errorf("%d colours, want %d and that of text", len(rules), Colours)
		}
		for _, rule := range rules {
			least := 4.5
			if rule[1] == "file" {
				least = 7
			}
			if c := contrast(t, rule[2], page); c < least {
				t.Errorf("%s on %s has a contrast of %.1f", rule[0], page, c)
			}
		}
	}
}
