// Package verdict turns the results of a run into the few sentences that answer its
// question: how long from notify to callback on this machine, which backend and mode to
// take, and what polling costs. Every figure in them comes from the results.
package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aioloop/aioloop/bench"
	"github.com/aioloop/aioloop/bench/report"
)

// setting is a measurement that the verdict rests on.
type setting struct {
	scenario string
	params   map[string]string
	words    string // "fastest ..."
}

var (
	asleep   = setting{"wake", map[string]string{"polling": "off", "gap_us": "20"}, "asleep"}
	polling  = setting{"wake", map[string]string{"polling": "on", "gap_us": "20"}, "with polling"}
	together = setting{"pingpong", map[string]string{"pinned": "yes"}, "there and back on one CPU"}
)

// plainGo are the rows without this library, by what the sentences call them.
var plainGo = []struct{ row, words string }{
	{bench.GoroutineChannel, "Go channel"}, {bench.GoroutineBlocking, "Go channel with a blocking sender"}, {bench.Netpoller, "Go's poller"},
}

// park is how the names of rows in park mode end. Those of thread mode are one word.
const park = " park"

// judge writes one verdict.
type judge struct{ r *report.Report }

// Of writes the verdict of a report, whose Description has to be set.
func Of(r *report.Report) report.Verdict {
	j := judge{r}
	var v report.Verdict
	best, why := j.choose()
	if best == "" {
		v.Headline = "No backend to recommend: that takes the scenarios wake and pingpong, on a backend of the library."
	} else {
		v.Headline = j.headline(best)
	}
	for _, line := range []string{
		j.figures(asleep, j.asleepLabel()), j.figures(polling, "The same, polling before it sleeps"),
		j.figures(together, "Two loops on one CPU, there and back"), why, j.parkLine(best), j.price(best),
	} {
		if line != "" {
			v.Lines = append(v.Lines, line)
		}
	}
	v.Notes = j.notes()
	return v
}

func (j judge) oneCPU() bool { return j.r.Machine.CPUs == 1 }

func (j judge) asleepLabel() string {
	if j.oneCPU() {
		return "Asleep, events 20 µs apart, on the only CPU"
	}
	return "Asleep, woken from another CPU, events 20 µs apart"
}

func (j judge) find(row string, s setting) *report.Result {
	for i := range j.r.Results {
		if res := &j.r.Results[i]; res.Backend == row && res.Scenario == s.scenario && has(res.Params, s.params) {
			return res
		}
	}
	return nil
}

func has(params, want map[string]string) bool {
	for k, v := range want {
		if params[k] != v {
			return false
		}
	}
	return true
}

// candidates are the rows of the library that were measured so, in the two modes that
// need no privilege.
func (j judge) candidates(s setting) (rows []string) {
	for _, row := range j.r.Description.Rows {
		plain := !strings.Contains(strings.TrimSuffix(row.Name, park), " ")
		if row.Kind == report.Own && plain && j.find(row.Name, s) != nil {
			rows = append(rows, row.Name)
		}
	}
	return rows
}

// choose takes the row with the lowest p50 asleep. Of those that are equal there, it takes
// the one that is the fastest otherwise. It also says why.
func (j judge) choose() (best, why string) {
	order := []setting{asleep, together, polling}
	first := slices.IndexFunc(order, func(s setting) bool { return len(j.candidates(s)) > 0 })
	if first < 0 {
		return "", ""
	}
	rows := j.candidates(order[first])
	var reasons []string
	for _, s := range order[first:] {
		equals := j.fastest(rows, s)
		switch {
		case len(equals) == 0:
			continue
		case len(equals) == 1:
			return equals[0], reason(append(reasons, equals[0]+" is the fastest "+s.words))
		case len(reasons) > 0 && len(equals) == len(rows):
			reasons[len(reasons)-1] += ", " + s.words
		default:
			reasons = append(reasons, and(equals)+" are equal "+s.words)
		}
		rows = equals
	}
	if rows[0] == ppoll && len(rows) > 1 {
		rows, reasons = rows[1:], append(reasons, "ppoll comes last because its costs grow with the descriptors")
	}
	return rows[0], reason(reasons)
}

// ppoll is the backend that is taken of equals only if there is no other.
const ppoll = "ppoll"

func reason(parts []string) string { return "Why: " + strings.Join(parts, "; of these, ") + "." }

// fastest are the rows with the lowest p50 and those equal to it.
func (j judge) fastest(rows []string, s setting) (list []string) {
	var results []*report.Result
	for _, row := range rows {
		if res := j.find(row, s); res != nil {
			results = append(results, res)
		}
	}
	if len(results) == 0 {
		return nil
	}
	best := slices.MinFunc(results, func(a, b *report.Result) int { return cmp.Compare(a.P50, b.P50) })
	for _, res := range results {
		if _, outcome := res.Against(best); res == best || outcome != report.Slower {
			list = append(list, res.Backend)
		}
	}
	return list
}

// unsteady is from which spread on rounds that disagree are not called equal.
const unsteady = 4

// inWords is how a compares with b: "equal", "faster (2.1×)" or "slower (3.5×)". The number
// is that of the two p50s, which a reader sees beside it.
func inWords(a, b *report.Result) string {
	ratio, outcome := a.Against(b)
	factor := float64(a.P50) / float64(b.P50)
	switch {
	case outcome == report.Faster:
		return "faster (" + times(1/factor) + ")"
	case outcome == report.Slower:
		return "slower (" + times(factor) + ")"
	case ratio.High > unsteady*ratio.Low:
		return "faster in some rounds and slower in others"
	}
	return "equal"
}

func times(v float64) string {
	if v >= 9.95 {
		return fmt.Sprintf("%.0f×", v)
	}
	return fmt.Sprintf("%.1f×", v)
}

func (j judge) headline(best string) string {
	backend, _, _ := strings.Cut(best, " ")
	text := fmt.Sprintf("Take %s in %s mode: ", backend, mode(best))
	var parts []string
	if res := j.find(best, asleep); res != nil {
		parts = append(parts, "notify to callback "+p50(res)+" asleep")
		if res := j.find(best, polling); res != nil {
			parts = append(parts, p50(res)+" polling")
		}
	}
	if res := j.find(best, together); res != nil {
		parts = append(parts, p50(res)+" there and back on one CPU")
	}
	return text + strings.Join(parts, ", ") + "."
}

func mode(row string) string {
	if strings.HasSuffix(row, park) {
		return "park"
	}
	return "thread"
}

// figures are those of each backend and of plain Go at one setting, and which of the two
// is faster.
func (j judge) figures(s setting, label string) string {
	rows := slices.DeleteFunc(j.candidates(s), func(row string) bool { return mode(row) == "park" })
	if len(rows) == 0 {
		return ""
	}
	var parts, words []string
	for _, row := range rows {
		parts = append(parts, row+" "+figure(j.find(row, s)))
	}
	best := slices.MinFunc(rows, func(a, b string) int { return cmp.Compare(j.find(a, s).P50, j.find(b, s).P50) })
	for _, p := range plainGo {
		if res := j.find(p.row, s); res != nil {
			if s.words != polling.words { // which makes no difference to it
				parts = append(parts, p.words+" "+figure(res))
			}
			words = append(words, p.words+" "+inWords(res, j.find(best, s)))
		}
	}
	text := label + ", p50 (p99): " + strings.Join(parts, "; ") + "."
	if len(words) > 0 {
		text += " Beside " + best + ": " + strings.Join(words, ", ") + "."
	}
	return text
}

// short keeps a number and its unit in one line.
func short(ns float64) string { return strings.ReplaceAll(report.Short(ns), " ", report.Unbroken) }

func p50(res *report.Result) string { return short(float64(res.P50)) }

func figure(res *report.Result) string {
	p99, cpu := "–", "–"
	if res.N >= report.SamplesP99 {
		p99 = short(float64(res.P99))
	}
	if res.CPUNSPerOp > 0 {
		cpu = short(res.CPUNSPerOp)
	}
	return fmt.Sprintf("%s (%s), CPU %s", p50(res), p99, cpu)
}

// parkLine says what the other mode is better and worse at.
func (j judge) parkLine(best string) string {
	backend := j.parkedBackend(best)
	var parts []string
	for _, s := range []setting{together, asleep} {
		parked, thread := j.find(backend+park, s), j.find(backend, s)
		if parked != nil && thread != nil {
			parts = append(parts, fmt.Sprintf("%s %s, %s instead of %s", s.words, inWords(parked, thread), p50(parked), p50(thread)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Park mode beside thread mode, on " + backend + ": " + strings.Join(parts, "; ") + "."
}

// parkedBackend is the backend that was chosen or, if that has no park mode, the one whose
// round trip in park mode is the shortest.
func (j judge) parkedBackend(best string) string {
	backend, _, _ := strings.Cut(best, " ")
	if j.find(backend+park, together) != nil || j.find(backend+park, asleep) != nil {
		return backend
	}
	rows := slices.DeleteFunc(j.candidates(together), func(row string) bool { return mode(row) != "park" })
	if len(rows) == 0 {
		return backend
	}
	parked := slices.MinFunc(rows, func(a, b string) int { return cmp.Compare(j.find(a, together).P50, j.find(b, together).P50) })
	return strings.TrimSuffix(parked, park)
}

// price compares polling on with off where events are frequent and where they are rare.
func (j judge) price(best string) string {
	var parts []string
	for _, gap := range j.gaps() {
		off := j.find(best, setting{"wake", map[string]string{"polling": "off", "gap_us": gap}, ""})
		on := j.find(best, setting{"wake", map[string]string{"polling": "on", "gap_us": gap}, ""})
		if off == nil || on == nil || on.CPUNSPerOp == 0 || off.CPUNSPerOp == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("events %s µs apart, CPU %s instead of %s, for %s instead of %s: %s",
			gap, short(on.CPUNSPerOp), short(off.CPUNSPerOp), p50(on), p50(off), inWords(on, off)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "The price of polling, on " + best + ": " + strings.Join(parts, "; ") + "."
}

// gaps are the typical one and the longest that was measured.
func (j judge) gaps() []string {
	typical := asleep.params["gap_us"]
	longest, _ := strconv.Atoi(typical)
	for i := range j.r.Results {
		if us, err := strconv.Atoi(j.r.Results[i].Params["gap_us"]); err == nil {
			longest = max(longest, us)
		}
	}
	return slices.Compact([]string{typical, strconv.Itoa(longest)})
}

// notes say what the figures do not cover.
func (j judge) notes() (notes []string) {
	if j.oneCPU() {
		notes = append(notes, "This process may use one CPU: every figure is of one CPU, and polling can only take it away from the notifier.")
	}
	if j.channelIsSlow() {
		notes = append(notes, "The Go channel is slow there because its sender goes on computing: another thread has to take the receiver over, and "+
			"sleeps first, for 3 µs and the kernel's timer slack. With a blocking sender no other thread is needed.")
	}
	if j.r.Run != nil && j.r.Run.Quick {
		notes = append(notes, "This was a quick run: of rows that are close, a full one (without QUICK=1) may say something else.")
	}
	for _, l := range j.r.LeftOut() {
		notes = append(notes, "Not measured: "+l)
	}
	return notes
}

func (j judge) channelIsSlow() bool {
	channel, blocking := j.find(bench.GoroutineChannel, asleep), j.find(bench.GoroutineBlocking, asleep)
	if channel == nil || blocking == nil || j.oneCPU() {
		return false
	}
	_, outcome := channel.Against(blocking)
	return outcome == report.Slower
}

func and(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
