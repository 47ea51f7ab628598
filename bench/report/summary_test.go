package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

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

// row is a result of one scenario with a p50.
func row(backend string, p50 time.Duration, params ...string) Result {
	res := Result{Scenario: "pingpong", Backend: backend, N: 1, P50: p50, P90: p50, Max: p50, Params: map[string]string{}}
	for _, p := range params {
		k, v, _ := strings.Cut(p, "=")
		res.Params[k] = v
	}
	return res
}

// TestSummary: the fastest of each family and of all others, a floor is no rival, and
// defeats are counted as victories are.
func TestSummary(t *testing.T) {
	r := described(
		row("epoll", 300, "pinned=yes"), row("io_uring", 200, "pinned=yes"), row("io_uring park", 100, "pinned=yes"),
		row("netpoller", 50, "pinned=yes"), row("glib (C)", 400, "pinned=yes"), row("futex (C)", 10, "pinned=yes"),
		row("epoll", 100, "pinned=no"), row("netpoller", 400, "pinned=no"),
		row("epoll", 100, "pinned=never"), row("futex (C)", 10, "pinned=never"),
		row("netpoller", 400, "pinned=sometimes"),
	)
	s := r.Sections()[0].summary()
	if want := []string{"epoll", "io_uring"}; !slices.Equal(s.Families, want) {
		t.Errorf("families %q, want %q", s.Families, want)
	}
	var got []string
	for _, l := range s.Lines {
		line := l.Label + ":"
		for _, res := range append(slices.Clone(l.Own), l.Other) {
			if res == nil {
				line += " –"
			} else {
				line += fmt.Sprintf(" %s %d", res.Backend, res.P50)
			}
		}
		got = append(got, fmt.Sprintf("%s, %s %v %s", line, l.Best.Backend, l.Outcome, l.Ratio))
	}
	want := []string{
		"pinned never: epoll 100 – –, epoll  ",
		"pinned no: epoll 100 – netpoller 400, epoll faster 4.00",
		"pinned yes: epoll 300 io_uring park 100 netpoller 50, io_uring park slower 2.00",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if l := s.Lines[2]; l.Leads(l.Own[0]) || !l.Leads(l.Own[1]) || l.Leads(nil) || !l.Leads(&Result{P50: 105}) {
		t.Error("the best of ours, and what is on a par with it, should be marked")
	}
	if s.Tally != [4]int{1, 1, 0, 1} {
		t.Errorf("tally %v", s.Tally)
	}
	if s := described(row("netpoller", 1)).Sections()[0].summary(); s != nil {
		t.Errorf("a summary without a row of ours: %+v", s)
	}
}

// TestSummaryOnPage: the page says slower as plainly as faster.
func TestSummaryOnPage(t *testing.T) {
	doc := pageOf(t, described(row("io_uring park", 200, "pinned=yes"), row("glib (C)", 100, "pinned=yes"), row("epoll", 100, "pinned=no"), row("goroutine+channel", 300, "pinned=no")))
	for _, want := range []string{
		`<em>park</em> <b>200 ns</b>`, `<em>glib (C)</em> <b>100 ns</b>`, `<em>goroutine+<wbr>channel</em>`,
		`<b class="slower">2.00× slower</b>`, `<b class="faster">3.00× faster</b>`,
		`<b class="faster">faster</b> in 1, <b class="equal">equal</b> in 0, <b class="slower">slower</b> in 1.`,
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestSettingsInWords: exact values come before the word of their key.
func TestSettingsInWords(t *testing.T) {
	d := Description{Words: map[string]string{"gap=0": "without a gap", "gap": "%s µs apart"}}
	for value, want := range map[string]string{"0": "without a gap", "20": "20 µs apart", "100000": "100,000 µs apart", "x\x00": "x\uFFFD µs apart"} {
		if got := d.setting("gap", value); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
	if got := d.label([]string{"a", "gap", "b"}, map[string]string{"a": "1", "gap": "0"}); got != "a 1, without a gap" {
		t.Errorf("%q", got)
	}
}

// TestChart: on one logarithmic axis, the rows that were asked for and measured.
func TestChart(t *testing.T) {
	few, many := row("epoll", 1000, "pinned=yes"), row("netpoller", 10_000, "pinned=yes")
	many.N, many.P90, many.P99, many.P999, many.Max = 1000, 20_000, 100_000, 100_000, 100_000
	r := described(few, many, row("spin (C)", 1, "pinned=yes"), row("epoll", 1000, "pinned=no"))
	r.Description.Chart = Chart{Title: "The question", Rows: []string{"ppoll", "epoll", "netpoller"}, Bands: []Band{
		{"asleep", "pingpong", map[string]string{"pinned": "yes"}},
		{"nothing", "pingpong", map[string]string{"pinned": "never"}},
	}}
	c := r.chart(r.Sections())
	if len(c.Bands) != 1 || len(c.Bands[0].Lines) != 2 || len(c.Ticks) != 3 {
		t.Fatalf("%+v", c)
	}
	epoll, netpoller := c.Bands[0].Lines[0], c.Bands[0].Lines[1]
	if !epoll.Own || !epoll.Leads || epoll.At != 0 || epoll.Length != 0 {
		t.Errorf("%+v: there is no tail of so few samples", epoll)
	}
	if netpoller.Own || netpoller.Leads || netpoller.At != 50 || netpoller.Length != 50 {
		t.Errorf("%+v", netpoller)
	}
	if doc := pageOf(t, r); !strings.Contains(doc, "The question") || !strings.Contains(doc, `class="tail" style="left:50%;width:50%"`) {
		t.Error("the chart is missing in the page")
	}
	r.Description.Chart.Rows = nil
	if c := r.chart(r.Sections()); c != nil {
		t.Errorf("a chart of nothing: %+v", c)
	}
}
