package report

import (
	"strings"
	"testing"
	"time"
)

func rounds(ds ...time.Duration) *Result {
	return &Result{P50: 1000, Rounds: ds}
}

func TestRatioTo(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b *Result
		want Ratio
		ok   bool
	}{
		// Round by round: 3, 2 and 4, although the medians of both are equal.
		{"odd", rounds(300, 200, 100), rounds(100, 100, 25), Ratio{3, 2, 4, 3}, true},
		{"even", rounds(100, 200, 300, 400), rounds(100, 100, 100, 100), Ratio{2.5, 1, 4, 4}, true},
		{"one round", rounds(150), rounds(100), Ratio{1.5, 1.5, 1.5, 1}, true},
		{"no rounds", &Result{P50: 300}, &Result{P50: 200}, Ratio{1.5, 1.5, 1.5, 1}, true},
		{"different numbers", rounds(1, 2), rounds(1, 2, 3), Ratio{1, 1, 1, 1}, true},
		{"a round of nothing", rounds(1, 2), rounds(1, 0), Ratio{}, false},
		{"nothing", &Result{P50: 300}, &Result{}, Ratio{}, false},
	} {
		if got, ok := c.a.RatioTo(c.b); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v, want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestRatioString(t *testing.T) {
	for want, r := range map[string]Ratio{
		"1.03 (0.99–1.10)":       {1.03, 0.99, 1.1, 5},
		"1.03":                   {1.03, 1.03, 1.03, 1},
		"0.050 (<0.001–123)":     {0.05, 0.0001, 123.4, 2},
		"10.0 (9.99–99.9)":       {9.996, 9.99, 99.9, 2},
		"0.00 (0.00–0.10)":       {0, 0, 0.0996, 2},
		"0.099 (0.001–0.50)":     {0.0994, 0.001, 0.5, 3},
		"100 (100–100000000000)": {99.96, 99.96, 1e11, 3},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

// ratioReport has one backend, its floor, a loop, and a row that nothing is compared to.
func ratioReport() *Report {
	row := func(backend string, ds ...time.Duration) Result {
		p := ds[0]
		return Result{Scenario: "pingpong", Backend: backend, Params: map[string]string{"pinned": "yes"}, N: 2, P50: p, P90: p, P99: p, P999: p, Max: p, Rounds: ds}
	}
	return described(row("epoll", 2000, 2200), row("netpoller", 7000, 7000), row("epoll-et (C)", 2000, 2000), row("libev (C)", 4000, 4000))
}

func TestTableOfRatios(t *testing.T) {
	got := tableOf(t, ratioReport())
	for _, want := range []string{
		"allocs/op  ratio\n",
		"epoll         2  2000 ns  2000 ns    –      –  2000 ns          –          0  1.00×\n",
		"libev (C)     2  4000 ns  4000 ns    –      –  4000 ns          –          –  2.00×\n",
		"  p50 divided by that of another row in the same round: median (lowest–highest)\n\n" +
			"  pinned  backend              ÷floor            ÷libev\n" +
			"     yes  epoll      1.05 (1.00–1.10)  0.53 (0.50–0.55)\n" +
			"     yes  netpoller                 –  1.75 (1.75–1.75)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

// TestFloorsOfAScenario: of those that it has for a row, the first that was measured counts, and
// otherwise the row's own.
func TestFloorsOfAScenario(t *testing.T) {
	for _, c := range []struct {
		floors []string
		want   string
	}{
		{nil, "1.05 (1.00–1.10)"},
		{[]string{"libuv (C)", "libev (C)", "netpoller"}, "0.53 (0.50–0.55)"},
		{[]string{"libuv (C)"}, "1.05 (1.00–1.10)"},
	} {
		r := ratioReport()
		for i := range r.Description.Scenarios {
			r.Description.Scenarios[i].Floors = map[string][]string{"epoll": c.floors}
		}
		if got := tableOf(t, r); !strings.Contains(got, "     yes  epoll      "+c.want) {
			t.Errorf("floors %q: %q is missing in\n%s", c.floors, c.want, got)
		}
	}
}

// Figures that are not latencies have columns of their own.
func TestFiguresAreColumns(t *testing.T) {
	a, b := minimal(), minimal()
	b.Backend = "io_uring"
	b.Figures = map[string]float64{"bytes/fd": 64.25, "threads": 1200.4}
	got := tableOf(t, &Report{Results: []Result{a, b}})
	for _, want := range []string{"ratio  bytes/fd  threads\n", "1.00×         –        –\n", "1.00×     64.25     1200\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

// TestOutcome: faster and slower take a difference that neither a round nor another run turns
// round. Beside the other, res gives the negative of what the other gives beside it.
func TestOutcome(t *testing.T) {
	took := func(p50 time.Duration, rounds ...time.Duration) *Result { return &Result{P50: p50, Rounds: rounds} }
	other := took(100, 100, 100, 100)
	for _, c := range []struct {
		res, other *Result
		want       Outcome
	}{
		{took(200, 200, 180, 220), other, Slower},
		{took(106, 106, 106, 106), other, Slower},
		{took(50, 50, 40, 60), other, Faster},
		{took(103, 101, 103, 104), other, Equal}, // in each round, but less than from one run to the next
		{took(97, 96, 97, 99), other, Equal},
		{took(130, 90, 130, 150), other, Equal}, // a round says the opposite
		{took(130, 100, 130, 150), other, Equal},
		{took(50, 40, 50, 110), other, Equal},
		{took(90, 120, 130, 150), other, Equal}, // the run as a whole says the opposite
		{took(100, 120, 130, 150), other, Equal},
		{took(200), took(100), Slower}, // no rounds
		{took(104), took(100), Equal},
		{took(1, 1), took(0, 0), Unknown},
		{took(1), took(0), Unknown},
	} {
		if _, got := c.res.Against(c.other); got != c.want {
			t.Errorf("%v beside %v: %v, want %v", *c.res, *c.other, got, c.want)
		}
		if _, back := c.other.Against(c.res); c.want != Unknown && back != Faster+Slower-c.want {
			t.Errorf("%v beside %v: %v, the other way round %v", *c.res, *c.other, c.want, back)
		}
	}
}
