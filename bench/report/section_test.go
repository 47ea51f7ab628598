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
	for _, s := range r.Sections() {
		scenarios = append(scenarios, s.Name)
		if len(s.Groups) != 1 {
			t.Fatalf("%s: %d groups, want 1", s.Name, len(s.Groups))
		}
		var names []string
		for _, res := range s.Groups[0].Results {
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
	g := Group{Results: []*Result{a, b, c}, lowest: 1000}
	if !g.Leads(a) || !g.Leads(b) || g.Leads(c) {
		t.Errorf("leads: %v %v %v, want true true false", g.Leads(a), g.Leads(b), g.Leads(c))
	}
	if alone := (Group{Results: []*Result{a}, lowest: 1000}); alone.Leads(a) {
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

// TestShown: the groups of typical settings, or the one in the middle.
func TestShown(t *testing.T) {
	for want, gaps := range map[string][]string{
		"polling off, 20 µs apart": {"5", "10", "20"},
		"polling off, 10 µs apart": {"5", "10", "30"},
	} {
		r := described()
		for _, gap := range gaps {
			res := minimal()
			res.Params = map[string]string{"polling": "off", "gap_us": gap}
			r.Results = append(r.Results, res)
		}
		if shown := r.Sections()[0].Shown(); len(shown) != 1 || shown[0].Label != want {
			t.Errorf("of %q, %v are shown, want %s", gaps, shown, want)
		}
	}
}
