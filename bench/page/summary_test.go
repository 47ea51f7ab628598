package page

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/bench/report"
)

// TestSummary: the fastest of each family and of all others, a floor is no rival, and
// defeats are counted as victories are.
func TestSummary(t *testing.T) {
	const s = "pingpong"
	r := small(
		row(s, "epoll", 300, "pinned=yes"), row(s, "io_uring", 200, "pinned=yes"), row(s, "io_uring park", 100, "pinned=yes"),
		row(s, "netpoller", 50, "pinned=yes"), row(s, "glib (C)", 400, "pinned=yes"), row(s, "futex (C)", 10, "pinned=yes"),
		row(s, "epoll", 100, "pinned=no"), row(s, "netpoller", 400, "pinned=no"),
		row(s, "epoll", 100, "pinned=never"), row(s, "futex (C)", 10, "pinned=never"),
		row(s, "netpoller", 400, "pinned=sometimes"),
	)
	sum := summarize(&r.Description, r.Sections()[0])
	if want := []string{"epoll", "io_uring"}; !slices.Equal(sum.Families, want) {
		t.Errorf("families %q, want %q", sum.Families, want)
	}
	var got []string
	for _, l := range sum.Lines {
		line := l.Label + ":"
		for _, res := range append(slices.Clone(l.Own), l.Other) {
			if res == nil {
				line += " –"
			} else {
				line += fmt.Sprintf(" %s %d", res.Backend, res.P50)
			}
		}
		got = append(got, fmt.Sprintf("%s, %s %v %v", line, l.Best.Backend, l.Outcome, l.Ratio))
	}
	want := []string{
		"pinned never: epoll 100 – –, epoll  0.00",
		"on any CPU: epoll 100 – netpoller 400, epoll faster 4.00",
		"all on one CPU: epoll 300 io_uring park 100 netpoller 50, io_uring park slower 2.00",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if l := sum.Lines[2]; l.Leads(l.Own[0]) || !l.Leads(l.Own[1]) || l.Leads(nil) || !l.Leads(&report.Result{P50: 105}) {
		t.Error("the best of ours, and what is on a par with it, should be marked")
	}
	if sum.Tally != (tally{1, 1, 0, 1}) {
		t.Errorf("tally %v", sum.Tally)
	}
	others := small(row(s, "netpoller", 1))
	if sum := summarize(&others.Description, others.Sections()[0]); sum != nil {
		t.Errorf("a summary without a row of ours: %+v", sum)
	}
}

// TestSummaryOnPage: the page says slower as plainly as faster.
func TestSummaryOnPage(t *testing.T) {
	const s = "pingpong"
	doc := pageOf(t, small(row(s, "io_uring park", 200, "pinned=yes"), row(s, "glib (C)", 100, "pinned=yes"),
		row(s, "epoll", 100, "pinned=no"), row(s, "goroutine+channel", 300, "pinned=no")))
	contains(t, doc, `<em>park</em> <b>200 ns</b>`, `<em>glib (C)</em> <b>100 ns</b>`, `<em>goroutine+<wbr>channel</em>`,
		`<b class="slower">2.00× slower</b>`, `<b class="faster">3.00× faster</b>`,
		`<b class="faster">faster</b> in 1, <b class="equal">equal</b> in 0, <b class="slower">slower</b> in 1.`)
}

// TestChart: on one logarithmic axis, the rows that were asked for and measured.
func TestChart(t *testing.T) {
	const s = "pingpong"
	few, many := row(s, "epoll", 1000, "pinned=yes"), row(s, "netpoller", 10_000, "pinned=yes")
	many.N, many.P90, many.P99, many.P999, many.Max = 1000, 20_000, 100_000, 100_000, 100_000
	r := small(many, few, row(s, "spin (C)", 1, "pinned=yes"), row(s, "epoll", 1000, "pinned=no"))
	r.Description.Chart = report.Chart{Title: "The question", Rows: []string{"ppoll", "epoll", "netpoller"}, Bands: []report.Band{
		{Label: "asleep", Scenario: s, Params: map[string]string{"pinned": "yes"}},
		{Label: "nothing", Scenario: s, Params: map[string]string{"pinned": "never"}},
	}}
	c := newChart(r)
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
	contains(t, pageOf(t, r), "The question", `class="tail" style="left:50%;width:50%"`)
	r.Description.Chart.Rows = nil
	if c := newChart(r); c != nil {
		t.Errorf("a chart of nothing: %+v", c)
	}
}
