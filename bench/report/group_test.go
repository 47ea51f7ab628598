package report

import (
	"slices"
	"testing"
)

func TestCompareValues(t *testing.T) {
	sorted := []string{"-3", "0", "2", "10", "010", "8192", "", "no", "off", "on", "yes"}
	// Equal numbers keep an order of their own, so that they do not merge.
	sorted[3], sorted[4] = sorted[4], sorted[3]
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, compareValues)
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("got %q, want %q", shuffled, sorted)
	}
}

func TestSectionsOrder(t *testing.T) {
	r := described()
	var want []string
	for _, row := range r.Description.Rows {
		want = append(want, row.Name)
	}
	want = append(want, "mine")
	for _, scenario := range []string{"zoo", "self-bh", "alpha", "wake"} {
		for _, backend := range slices.Backward(want) {
			res := minimal()
			res.Scenario, res.Backend = scenario, backend
			r.Results = append(r.Results, res)
		}
	}
	var scenarios []string
	for _, s := range r.sections() {
		scenarios = append(scenarios, s.Name)
		if len(s.groups) != 1 {
			t.Fatalf("%s: %d groups, want 1", s.Name, len(s.groups))
		}
		var names []string
		for _, res := range s.groups[0].results {
			names = append(names, res.Backend)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: rows %q, want %q", s.Name, names, want)
		}
	}
	if want := []string{"wake", "self-bh", "alpha", "zoo"}; !slices.Equal(scenarios, want) {
		t.Errorf("scenarios %q, want %q", scenarios, want)
	}
}

func TestParamKeys(t *testing.T) {
	with := func(keys ...string) *Result {
		res := &Result{Params: map[string]string{}}
		for _, k := range keys {
			res.Params[k] = "1"
		}
		return res
	}
	got := paramKeys([]string{"polling", "pinned", "gap_us"}, []*Result{with("zeta", "gap_us"), with("polling", "alpha")})
	if want := []string{"polling", "gap_us", "alpha", "zeta"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLeads(t *testing.T) {
	a, b, c := &Result{P50: 1000}, &Result{P50: 1050}, &Result{P50: 1051}
	g := group{results: []*Result{a, b, c}, lowest: 1000}
	if !g.leads(a) || !g.leads(b) || g.leads(c) {
		t.Errorf("leads: %v %v %v, want true true false", g.leads(a), g.leads(b), g.leads(c))
	}
	if alone := (group{results: []*Result{a}, lowest: 1000}); alone.leads(a) {
		t.Error("a row that has no rival cannot lead")
	}
}

func TestCollectNotes(t *testing.T) {
	results := []*Result{
		{Backend: "epoll", Notes: []string{"all", "some"}},
		{Backend: "ppoll", Notes: []string{"all", "some"}},
		{Backend: "ppoll", Notes: []string{"all"}},
		{Backend: "netpoller", Notes: []string{"all", "one"}},
	}
	d := testDescription()
	want := []string{"all", "some (ppoll, epoll)", "one (netpoller)"}
	if got := d.collectNotes(results); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
