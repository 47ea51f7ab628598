package report

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func tableOf(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableGolden(t *testing.T) {
	r := described([]Result{
		{Scenario: "producers", Backend: "epoll", Params: map[string]string{"producers": "10"}, N: 5, Max: 7},
		{Scenario: "producers", Backend: "epoll", Params: map[string]string{"producers": "2"}, N: 50000, P50: 15_000, P90: 2e6, P99: 3e7, P999: 3e10, Max: 4e10, AllocsPerOp: 1.5},
		{Scenario: "odd\nname", Backend: "mine", N: 1, P50: 1, P90: 1, P99: 1, P999: 1, Max: 1, Notes: []string{"alone"}},
		{Scenario: "producers", Backend: "mine\tµ", Params: map[string]string{"producers": "2", "x": "y"}, N: 1, Notes: []string{"tab"}},
	}...)
	r.Verdict = Verdict{Headline: "Take mine.", Lines: []string{"It is alone."}, Notes: []string{"One CPU."}}
	want := `
producers
  Several at the same time.

  producers  x  backend      n      p50      p90      p99   p99.9     max  CPU/event  allocs/op  ratio
          2  y  mine` + "\uFFFD" + `µ       1     0 ns     0 ns        –       –    0 ns          –          0      –
          2  –  epoll    50000  15.0 µs  2000 µs  30.0 ms  30.0 s  40.0 s          –        1.5  1.00×
         10  –  epoll        5     0 ns     0 ns        –       –    7 ns          –          0      –

  note: tab (mine` + "\uFFFD" + `µ)

odd` + "\uFFFD" + `name

  backend  n   p50   p90  p99  p99.9   max  CPU/event  allocs/op  ratio
  mine     1  1 ns  1 ns    –      –  1 ns          –          0  1.00×

  note: alone

The <rows>.

Take mine.
- It is alone.
- One CPU.
`
	if got := tableOf(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestOutputIndependentOfOrder: neither the order of the results nor that of Go's maps
// shows.
func TestOutputIndependentOfOrder(t *testing.T) {
	a, b := syntheticReport(), syntheticReport()
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(b.Results), func(i, j int) {
		b.Results[i], b.Results[j] = b.Results[j], b.Results[i]
	})
	if tableOf(t, a) != tableOf(t, b) {
		t.Error("the table depends on the order of the results")
	}
	if syntheticPage(t) != pageOf(t, b) {
		t.Error("the page depends on the order of the results")
	}
}

func TestTableHasNoTrailingBlanks(t *testing.T) {
	for line := range strings.Lines(tableOf(t, syntheticReport())) {
		if strings.HasSuffix(line, " \n") {
			t.Errorf("%q", line)
		}
	}
}
