package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// target is something that the library is to reach. A figure is as good as the limit
// or better if it is not above it. Of several groups that it holds for, the worst
// counts.
type target struct {
	claim, scenario string
	rows            []string
	// where are the settings that a group must have; of a key with several values,
	// one of them.
	where   map[string][]string
	measure measure
	limit   float64
	// unit is what limit is in.
	unit unit
}

// measure takes the figure of a result in its place; false if it was not measured.
type measure func(p position, res *Result) (reading, bool)

// position is where a result stands.
type position struct {
	sections []section
	section  section
	group    group
}

// reading is a figure, and how it is written if the unit does not say.
type reading struct {
	value float64
	text  string
}

// unit writes a limit or a figure.
type unit func(float64) string

func inTimes(v float64) string { return formatTimes(v) + "×" }
func inNS(v float64) string    { return formatNS(v) }
func inBytes(v float64) string { return formatFigure(v) + " bytes" }
func plain(v float64) string   { return formatFigure(v) }

// verdict is what came of a target for one row.
type verdict struct {
	target
	row   string
	where string // the worst setting
	reading
	measured bool
}

func (v verdict) reached() bool { return v.measured && v.value <= v.limit }
func (v verdict) missed() bool  { return v.measured && v.value > v.limit }

// judge compares the sections with all targets.
func judge(targets []target, sections []section) (list []verdict) {
	for _, t := range targets {
		for _, row := range t.rows {
			list = append(list, t.judge(row, sections))
		}
	}
	return list
}

func (t target) judge(row string, sections []section) verdict {
	v := verdict{target: t, row: row}
	for _, s := range sections {
		if s.name != t.scenario {
			continue
		}
		for _, g := range s.groups {
			v.consider(position{sections, s, g})
		}
	}
	return v
}

// consider keeps the figure of a group if it is the worst until now.
func (v *verdict) consider(p position) {
	res := p.group.find(v.row)
	if res == nil || !hasSettings(p.group.params, v.target.where) {
		return
	}
	if got, ok := v.measure(p, res); ok && (!v.measured || got.value > v.value) {
		v.reading, v.measured, v.where = got, true, p.section.label(p.group)
	}
}

func hasSettings(params map[string]string, want map[string][]string) bool {
	for key, values := range want {
		found := false
		for _, v := range values {
			found = found || params[key] == v
		}
		if !found {
			return false
		}
	}
	return true
}

func (v verdict) written() string {
	if v.text != "" {
		return markdown(v.text)
	}
	return v.unit(v.value)
}

// over divides the p50 by that of another row of the group.
func over(row string) measure { return overReference(reference{of: always(row)}) }

// overFloor divides it by that of the row's own floor.
func overFloor() measure { return overReference(references[0]) }

func overReference(ref reference) measure {
	return func(p position, res *Result) (reading, bool) {
		r, ok := p.group.ratio(res, ref)
		return reading{r.Median, r.String()}, ok
	}
}

// figureOf is what was measured other than time, multiplied by a setting if it is named.
func figureOf(name, times string) measure {
	return func(p position, res *Result) (reading, bool) {
		v, ok := res.Figures[name]
		if n := 1.0; times != "" {
			_, err := fmt.Sscan(p.group.params[times], &n)
			v, ok = v*n, ok && err == nil
		}
		return reading{value: v}, ok
	}
}

// allocations does not count what the runtime allocates now and then by itself.
func allocations(_ position, res *Result) (reading, bool) {
	return reading{math.Floor(res.AllocsPerOp*100) / 100, formatAllocs(res.AllocsPerOp)}, true
}

// overSetting divides a figure by that of the same row at another value of a setting.
func overSetting(key, value string, of func(*Result) float64) measure {
	return func(p position, res *Result) (reading, bool) {
		params := maps.Clone(p.group.params)
		params[key] = value
		for _, g := range p.section.groups {
			if compareParams(p.section.keys, g.params, params) == 0 {
				if other := g.find(res.Backend); other != nil && other != res {
					v := quotient(of(res), of(other))
					return reading{value: v}, v > 0
				}
			}
		}
		return reading{}, false
	}
}

func p50Of(res *Result) float64 { return float64(res.P50) }
func p99Of(res *Result) float64 { p99, _ := res.tails(); return float64(p99) }
func cpuOf(res *Result) float64 { return res.CPUNSPerOp }

// yardstick is a round trip with futexes on one CPU where the targets were set. A limit
// in nanoseconds is for a machine on which it takes as long.
const yardstick = 1454 * time.Nanosecond

// futexTrip is the same in this run, or 0.
func futexTrip(sections []section) time.Duration {
	for _, s := range sections {
		for _, g := range s.groups {
			if res := g.find("futex (C)"); s.name == "pingpong" && g.params["pinned"] == "yes" && res != nil {
				return res.P50
			}
		}
	}
	return 0
}

// converted is a time as it would be where the targets were set.
func converted(of func(*Result) float64) measure {
	return func(p position, res *Result) (reading, bool) {
		ns := of(res)
		trip := futexTrip(p.sections)
		if trip <= 0 {
			return reading{value: ns}, true
		}
		v := ns * float64(yardstick) / float64(trip)
		return reading{v, fmt.Sprintf("%s (measured: %s)", formatNS(v), formatNS(ns))}, true
	}
}

// wallClock is a time that the kernel's or the runtime's time slices decide, not the
// speed of the CPU.
func wallClock(of func(*Result) float64) measure {
	return func(_ position, res *Result) (reading, bool) {
		v := of(res)
		return reading{value: v}, v > 0
	}
}

// score is the result in one sentence.
func score(list []verdict) string {
	count := func(keep func(verdict) bool) (n int) {
		for _, v := range list {
			if keep(v) {
				n++
			}
		}
		return n
	}
	text := fmt.Sprintf("Of %s, %d are reached and %d missed", countOf(len(list), "target", "targets"), count(verdict.reached), count(verdict.missed))
	if open := count(func(v verdict) bool { return !v.measured }); open > 0 {
		text += fmt.Sprintf("; %d could not be measured in this run", open)
	}
	return text + "."
}

// missedTable has a line for each row that has missed a target, the farthest first.
func missedTable(list []verdict) string {
	t := mdTable{words: 2, heads: []string{"target", "row", "at most", "figure", "setting"}}
	list = slices.DeleteFunc(slices.Clone(list), func(v verdict) bool { return !v.missed() })
	slices.SortStableFunc(list, func(a, b verdict) int { return cmp.Compare(b.excess(), a.excess()) })
	for _, v := range list {
		t.add(markdown(v.claim), markdownRow(v.row), v.unit(v.limit), "**"+v.written()+"**", markdown(v.where))
	}
	return t.String()
}

// excess is how many times the limit a figure is.
func (v verdict) excess() float64 {
	if v.limit == 0 {
		return v.value
	}
	return v.value / v.limit
}

// reachedTable has a line for each target that some row has reached, and unmeasuredTable
// for each that some row was not measured for.
func reachedTable(list []verdict) string {
	return claimTable(list, "figures", verdict.reached, func(v verdict) string { return markdownRow(v.row) + " " + v.written() })
}

func unmeasuredTable(list []verdict) string {
	return claimTable(list, "rows", func(v verdict) bool { return !v.measured }, func(v verdict) string { return markdownRow(v.row) })
}

func claimTable(list []verdict, head string, keep func(verdict) bool, text func(verdict) string) string {
	t := mdTable{words: 3, heads: []string{"target", "at most", head}}
	for _, v := range list {
		if !keep(v) {
			continue
		}
		if last := len(t.rows) - 1; last >= 0 && t.rows[last][0] == markdown(v.claim) {
			t.rows[last][2] += "; " + text(v)
			continue
		}
		t.add(markdown(v.claim), v.unit(v.limit), text(v))
	}
	return t.String()
}
