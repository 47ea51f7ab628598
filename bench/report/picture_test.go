package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench/plot"
)

// pictureOf is the picture of the only scenario of a report.
func pictureOf(t *testing.T, r *Report) *plot.Picture {
	t.Helper()
	sections := r.Sections()
	if len(sections) != 1 {
		t.Fatalf("%d scenarios", len(sections))
	}
	return sections[0].Picture()
}

// TestPictureOfSweep: a scenario with a sweep has a picture, also as a file.
func TestPictureOfSweep(t *testing.T) {
	for _, s := range syntheticReport().Sections() {
		p, svg := s.Picture(), string(s.SVG())
		if (p != nil) != (s.Sweep != "") || (svg != "") != (p != nil) {
			t.Fatalf("%s: %+v", s.Name, p)
		}
		if p != nil && (p.Title != s.Name+": median latency" || !strings.Contains(svg, "Example CPU 3000")) {
			t.Errorf("%s: %q", s.Name, p.Title)
		}
	}
}

func TestPanelsOfSweep(t *testing.T) {
	r := described()
	for i, gap := range []string{"10000", "5"} {
		for _, polling := range []string{"on", "off"} {
			res := minimal()
			res.Params = map[string]string{"polling": polling, "gap_us": gap}
			res.P50 = time.Duration(1 + i)
			r.Results = append(r.Results, res)
		}
	}
	dot := minimal() // there is nothing to draw a line through
	dot.Params = map[string]string{"polling": "seldom", "gap_us": "5"}
	r.Results = append(r.Results, dot)
	p := pictureOf(t, r)
	if len(p.Panels) != 2 || p.Panels[0].Title != "polling off" || p.Panels[1].Title != "polling for at most 32 µs before it sleeps" {
		t.Fatalf("panels %+v", p.Panels)
	}
	if want := []plot.Tick{{At: 0, Label: "5"}, {At: 1, Label: "10,000"}}; !slices.Equal(p.XTicks, want) {
		t.Errorf("ticks %v, want %v", p.XTicks, want)
	}
	line := p.Panels[1].Lines[0]
	if want := []plot.Point{{X: 0, Y: 2}, {X: 1, Y: 1}}; line.Name != "epoll" || !slices.Equal(line.Points, want) {
		t.Errorf("%+v, want %v", line, want)
	}
}

// TestSweepOfOneValue: there is nothing to draw a line through.
func TestSweepOfOneValue(t *testing.T) {
	res := minimal()
	res.Params = map[string]string{"gap_us": "5"}
	if p := pictureOf(t, described(res)); p != nil {
		t.Errorf("%+v", p)
	}
}

// TestFloorsAreNotDrawn: the floors of single rows stand in the tables only.
func TestFloorsAreNotDrawn(t *testing.T) {
	r := described()
	for _, row := range []string{"futex (C)", "epoll-et (C)", "mine", "epoll"} {
		for _, gap := range []string{"5", "20"} {
			res := minimal()
			res.Backend, res.Params = row, map[string]string{"gap_us": gap}
			r.Results = append(r.Results, res)
		}
	}
	var drawn []string
	for _, line := range pictureOf(t, r).Panels[0].Lines {
		drawn = append(drawn, line.Name)
	}
	if want := []string{"epoll", "futex (C)", "mine"}; !slices.Equal(drawn, want) {
		t.Errorf("drawn are %q, want %q", drawn, want)
	}
}

// TestSameLookInEveryReport: a row of the description looks the same whatever other rows
// there are, and a variant differs from its row in how its line is dashed.
func TestSameLookInEveryReport(t *testing.T) {
	rows := func(names ...string) map[string]plot.Look {
		r := described()
		for _, name := range names {
			r.Results = append(r.Results, Result{Backend: name})
		}
		return r.looks()
	}
	all, few := rows("epoll", "io_uring", "x", "y"), rows("io_uring", "other")
	if all["io_uring"] != few["io_uring"] || all["io_uring"].Colour != all["io_uring park"].Colour {
		t.Errorf("io_uring is %v, %v and %v", all["io_uring"], few["io_uring"], all["io_uring park"])
	}
	seen := map[plot.Look]string{}
	for name, l := range all {
		if other, ok := seen[l]; ok {
			t.Errorf("%s and %s look the same", name, other)
		}
		seen[l] = name
	}
}
