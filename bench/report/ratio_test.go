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

// TestOutcome: who is faster depends on the rounds and on the run as a whole.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		Ratio
		ours, theirs time.Duration
		want         Outcome
	}{
		{Ratio{1.03, 0.9, 1.2, 5}, 103, 100, Equal},
		{Ratio{1.03, 1.01, 1.04, 5}, 103, 100, Slower}, // little, but each time
		{Ratio{0.97, 0.96, 0.99, 5}, 97, 100, Faster},
		{Ratio{1.3, 0.9, 1.5, 5}, 130, 100, Slower},
		{Ratio{1.3, 0.9, 1.5, 5}, 90, 100, Equal}, // the whole run contradicts
		{Ratio{0.5, 0.4, 1.1, 5}, 50, 100, Faster},
		{Ratio{1, 1, 1, 1}, 100, 100, Equal},
		{Ratio{2, 2, 2, 1}, 200, 100, Slower},
		{Ratio{1.04, 1.04, 1.04, 1}, 104, 100, Equal}, // one round has no spread
	} {
		if got := c.outcome(c.ours <= c.theirs); got != c.want {
			t.Errorf("%+v: %v, want %v", c.Ratio, got, c.want)
		}
	}
	if _, got := (&Result{P50: 1}).Against(&Result{}); got != Unknown {
		t.Errorf("beside something that took no time: %v", got)
	}
}
