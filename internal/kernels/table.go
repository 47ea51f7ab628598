//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aioloop/aioloop/internal/feature"
)

// writeTable prints what was found: a column for each kernel; below it the reasons.
func writeTable(w io.Writer, l *list, results []*result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, cell func(*result) string) {
		fmt.Fprint(t, name)
		for _, r := range results {
			fmt.Fprint(t, "\t", cell(r))
		}
		fmt.Fprintln(t)
	}
	row("kernel", func(r *result) string { return r.kernel.Name + " " + r.kernel.Arch })
	row("release", (*result).release)
	row("emulation, time", func(r *result) string {
		accel, _, _ := strings.Cut(r.accel, ",")
		return accel + " " + r.took.Round(time.Second).String() + r.cpu()
	})
	for _, name := range jobNames(results) {
		row(name, func(r *result) string { return r.cell(name) })
	}
	for _, f := range feature.All() {
		row(f.Name, func(r *result) string { return r.outcome(f.Name) })
	}
	row("auto chooses", func(r *result) string {
		if r.guest == nil {
			return "-"
		}
		return r.guest.backend[0]
	})
	fmt.Fprintln(t, "\ncells: passed/failed/skipped, time (CPU time of the emulator)")
	if err := t.Flush(); err != nil {
		return err
	}
	writeReasons(w, l, results)
	return nil
}

// cpu says what the guest took of the host's CPUs, if that is known.
func (r *result) cpu() string {
	if r.guest == nil || r.guest.cpuTotal == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.0fs)", r.guest.cpuTotal.Seconds())
}

func (r *result) release() string {
	if r.guest == nil || r.guest.release == "" {
		return "-"
	}
	return r.guest.release
}

func (r *result) outcome(name string) string {
	if r.guest == nil || r.guest.features[name] == "" {
		return "-"
	}
	if r.guest.features[name] == "works" {
		return "yes"
	}
	return "no"
}

// jobNames lists the rows, in the order of the first kernel that has them.
func jobNames(results []*result) (names []string) {
	for _, r := range results {
		for _, j := range r.jobs {
			if !slices.Contains(names, j.Name) {
				names = append(names, j.Name)
			}
		}
	}
	return names
}

// cell says what came of a job, or that others run it.
func (r *result) cell(name string) string {
	if r.find(name) == nil && !slices.ContainsFunc(r.jobs, func(j job) bool { return j.Name == name }) {
		return "elsewhere"
	}
	return cell(r.find(name))
}

// cell is passed/failed/skipped of top-level tests and subtests alike.
func cell(j *jobResult) string {
	switch {
	case j == nil:
		return "FAILED: not reached"
	case j.refused != "":
		return "n/a"
	}
	count := map[string]int{}
	for _, t := range j.tests {
		count[t.outcome]++
	}
	s := fmt.Sprintf("%d/%d/%d %.0fs", count["PASS"], count["FAIL"], count["SKIP"], j.took.Seconds())
	if j.cpu != 0 {
		s += fmt.Sprintf(" (%.0fs)", j.cpu.Seconds())
	}
	if j.problem != "" || count["FAIL"] > 0 {
		s += " FAILED"
	}
	return s
}

// writeReasons explains what the table only counts: choices, skips, and what is
// not run at all.
func writeReasons(w io.Writer, l *list, results []*result) {
	fmt.Fprintln(w, "\nwhat auto chooses, and why:")
	for _, r := range results {
		if r.guest != nil {
			fmt.Fprintf(w, "  %s: %s: %s\n", r.kernel.Name, r.guest.backend[0], r.guest.backend[1])
		}
	}
	fmt.Fprintln(w, "\nthe slowest tests:")
	for _, text := range slowest(results, 15) {
		fmt.Fprintln(w, "  "+text)
	}
	fmt.Fprintln(w, "\nskipped, and why:")
	skips := skipReasons(l, results)
	for _, text := range slices.Sorted(maps.Keys(skips)) {
		fmt.Fprintf(w, "  %s [%s]\n", text, strings.Join(skips[text], " "))
	}
	for _, name := range slices.Sorted(maps.Keys(l.HostOnly)) {
		fmt.Fprintf(w, "  %s: all of it, on the host only: %s\n", name, l.HostOnly[name])
	}
	for _, name := range slices.Sorted(maps.Keys(l.HostOnlyTests)) {
		fmt.Fprintf(w, "  %s: on the host only: %s\n", name, l.HostOnlyTests[name])
	}
	for _, path := range slices.Sorted(maps.Keys(l.Long)) {
		fmt.Fprintf(w, "  %s: in the full form only: %s\n", path, l.Long[path])
	}
	for _, pattern := range slices.Sorted(maps.Keys(l.NotApplicable)) {
		fmt.Fprintf(w, "  subtests, %q: %s\n", pattern, l.NotApplicable[pattern])
	}
}

// slowest lists the n tests, without their subtests, that took longest on any kernel.
func slowest(results []*result, n int) (all []string) {
	took := map[string]time.Duration{}
	for _, r := range results {
		if r.guest == nil {
			continue
		}
		for _, j := range r.guest.jobs {
			for _, t := range j.tests {
				if !strings.Contains(t.name, "/") {
					name := j.name + ": " + t.name
					took[name] = max(took[name], t.took)
				}
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(took), func(a, b string) int {
		return cmp.Or(cmp.Compare(took[b], took[a]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(n, len(names))] {
		all = append(all, fmt.Sprintf("%s: %.0fs", name, took[name].Seconds()))
	}
	return all
}

// skipReasons maps "package: Test: reason" to the names of the kernels. Reasons that
// are in NotApplicable are said once for all.
func skipReasons(l *list, results []*result) map[string][]string {
	skips := map[string][]string{}
	add := func(text string, r *result) {
		if !slices.Contains(skips[text], r.kernel.Name) {
			skips[text] = append(skips[text], r.kernel.Name)
		}
	}
	for _, r := range results {
		for _, planned := range r.jobs {
			j := r.find(planned.Name)
			if j == nil {
				continue
			}
			if j.refused != "" {
				add(j.name+": "+j.refused, r)
			}
			for _, t := range j.tests {
				if t.outcome == "SKIP" && !(strings.Contains(t.name, "/") && l.notApplicable(t.reason()) != "") {
					add(j.name+": "+t.name+": "+t.reason(), r)
				}
			}
		}
	}
	return skips
}
