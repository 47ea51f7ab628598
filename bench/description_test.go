package bench

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/bench/report"
)

// TestDescriptionIsComplete: each scenario and each row has its words, and what a row is
// compared with exists.
func TestDescriptionIsComplete(t *testing.T) {
	d := Description()
	var rows []string
	kinds := map[report.Kind]int{}
	for _, r := range d.Rows {
		rows = append(rows, r.Name)
		kinds[r.Kind]++
	}
	if !slices.Equal(rows, Rows()) {
		t.Errorf("rows are %q, want %q", rows, Rows())
	}
	if kinds[report.Own] != len(Backends())+len(fileRows) || kinds[report.Floor] != 19 {
		t.Errorf("own rows, peers and floors: %v", kinds)
	}
	for _, r := range d.Rows {
		if (r.Kind == report.Own) != (r.Floor != "") || r.Floor != "" && !slices.Contains(rows, r.Floor) {
			t.Errorf("%s: the floor is %q", r.Name, r.Floor)
		}
		if r.Colour != "" && !slices.Contains(rows, r.Colour) {
			t.Errorf("%s has the colour of %q", r.Name, r.Colour)
		}
	}
	for _, s := range d.Scenarios {
		for row, floors := range s.Floors {
			for _, name := range append(floors, row) {
				if !slices.Contains(rows, name) {
					t.Errorf("%s: the floors of %s have %q", s.Name, row, name)
				}
			}
		}
		if s.Name == "" || s.About == "" || (s.Sweep == "") != (s.SweepLabel == "") {
			t.Errorf("incomplete: %+v", s)
		}
	}
}

// TestDescribedParamsExist: what a description says of parameters fits the cases.
func TestDescribedParamsExist(t *testing.T) {
	for _, s := range Scenarios() {
		var settings []map[string]string
		for _, g := range s.groups() {
			if g.scenario != s.Name {
				t.Errorf("a group of %s says that it belongs to %q", s.Name, g.scenario)
			}
			for _, c := range g.cases {
				settings = append(settings, paramMap(c.params))
			}
		}
		for key := range settings[0] {
			if !slices.Contains(s.Scenario.Params, key) {
				t.Errorf("%s: the description lacks the parameter %s", s.Name, key)
			}
		}
		if s.Sweep != "" && settings[0][s.Sweep] == "" {
			t.Errorf("%s has no parameter %s to sweep", s.Name, s.Sweep)
		}
		for _, want := range s.Typical {
			want = maps.Clone(want)
			delete(want, s.Sweep) // the limit of open files may forbid large values
			if !slices.ContainsFunc(settings, func(have map[string]string) bool { return contains(have, want) }) {
				t.Errorf("%s is never measured with %v", s.Name, want)
			}
		}
	}
}

// TestChartAndWordsFit: the chart shows rows and settings that are measured, and each
// parameter has its words, of which none is left over.
func TestChartAndWordsFit(t *testing.T) {
	d := Description()
	for _, row := range d.Chart.Rows {
		if !slices.Contains(Rows(), row) {
			t.Errorf("the chart shows %q", row)
		}
	}
	used, settings := map[string]bool{}, map[string][]map[string]string{}
	for _, s := range Scenarios() {
		for _, key := range s.Scenario.Params {
			used[key] = true
		}
		for _, g := range s.groups() {
			for _, c := range g.cases {
				for _, params := range append(c.again, c.params) {
					settings[s.Name] = append(settings[s.Name], paramMap(params))
					for _, p := range params {
						used[p.key], used[p.key+"="+p.value] = true, true
						if d.Words[p.key] == "" && d.Words[p.key+"="+p.value] == "" {
							t.Errorf("%s: no words for %s=%s", s.Name, p.key, p.value)
						}
					}
				}
			}
		}
	}
	for key := range d.Words {
		if !used[key] {
			t.Errorf("words for %s, which is never measured", key)
		}
	}
	for _, b := range d.Chart.Bands {
		if !slices.ContainsFunc(settings[b.Scenario], func(have map[string]string) bool { return contains(have, b.Params) }) {
			t.Errorf("%s is never measured with %v", b.Scenario, b.Params)
		}
	}
}

// TestChartOnOneCPU: it does not speak of another CPU, and that of others is as it was.
func TestChartOnOneCPU(t *testing.T) {
	for _, b := range DescriptionOn(report.Machine{CPUs: 1}).Chart.Bands {
		if strings.Contains(b.Label, "another CPU") {
			t.Errorf("%q", b.Label)
		}
	}
	if label := Description().Chart.Bands[0].Label; !strings.Contains(label, "another CPU") {
		t.Errorf("%q", label)
	}
}

func contains(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
