//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// result is what came of one kernel.
type result struct {
	kernel  kernel
	jobs    []job       // that were planned for it
	guest   *transcript // nil if it never ran
	failure string      // why it did not run to its end
	took    time.Duration
	accel   string
}

// find returns what came of a job, or nil if the guest did not get there.
func (r *result) find(name string) *jobResult {
	if r.guest == nil {
		return nil
	}
	for _, j := range append(slices.Clone(r.guest.jobs), r.guest.running) {
		if j != nil && j.name == name {
			return j
		}
	}
	return nil
}

// failures lists what is wrong with one kernel, a line or more each.
func (r *result) failures() (all []string) {
	say := func(format string, args ...any) {
		all = append(all, r.kernel.Name+": "+fmt.Sprintf(format, args...))
	}
	if r.failure != "" {
		say("%s%s", r.failure, indent(r.lastLines()))
	}
	if r.guest == nil || !r.guest.started() {
		return all
	}
	for _, f := range r.kernel.Has {
		if got := r.guest.features[f]; got != "works" {
			say("it should have %s: %s", f, got)
		}
	}
	for _, f := range r.kernel.Lacks {
		if got := r.guest.features[f]; got == "works" {
			say("it has %s, which kernels.json says it lacks", f)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(r.guest.features)) {
		if !slices.Contains(r.kernel.Has, f) && !slices.Contains(r.kernel.Lacks, f) {
			say("kernels.json does not say whether it has %s (%s)", f, r.guest.features[f])
		}
	}
	for _, j := range r.jobs {
		all = append(all, r.jobFailures(j)...)
	}
	return all
}

func (r *result) jobFailures(planned job) (all []string) {
	j := r.find(planned.Name)
	switch {
	case j == nil && r.failure == "":
		return []string{r.kernel.Name + ": " + planned.Name + " was not run"}
	case j == nil || j.refused != "":
		return nil
	}
	for _, t := range j.tests {
		if t.outcome == "FAIL" {
			all = append(all, fmt.Sprintf("%s: %s: %s failed%s", r.kernel.Name, j.name, t.name, indent(lastOf(t.output, 40))))
		}
	}
	if j.problem != "" {
		tail := ""
		if len(all) == 0 || !strings.HasPrefix(j.problem, "exit status") {
			tail = indent(j.tail)
		}
		all = append(all, fmt.Sprintf("%s: %s: %s%s", r.kernel.Name, j.name, j.problem, tail))
	}
	return all
}

func (r *result) lastLines() []string {
	if r.guest == nil {
		return nil
	}
	return r.guest.tail
}

func lastOf(lines []string, n int) []string {
	return lines[max(0, len(lines)-n):]
}

func indent(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("\n      " + line)
	}
	return b.String()
}

// neverRun lists the tests that were skipped on every kernel, with the reason. Those
// which the data file explains are left out; an explanation that no longer holds
// is a failure too.
func neverRun(l *list, results []*result) (all []string) {
	ran, skipped := outcomes(results)
	applied := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(skipped)) {
		pattern := ""
		for _, reason := range skipped[name] {
			pattern = cmp.Or(pattern, l.notApplicable(reason))
		}
		switch {
		case ran[name] || l.HostOnlyTests[name] != "":
		case strings.Contains(testName(name), "/") && pattern != "":
			applied[pattern] = true
		default:
			all = append(all, fmt.Sprintf("no kernel runs %s: %s", name, strings.Join(skipped[name], "; ")))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.HostOnlyTests)) {
		if ran[name] {
			all = append(all, fmt.Sprintf("kernels.json says that no guest can run %s, but one has", name))
		} else if len(skipped[name]) == 0 {
			all = append(all, fmt.Sprintf("kernels.json explains why no guest runs %s, but there is no such test", name))
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(l.NotApplicable)) {
		if !applied[pattern] && !l.short {
			all = append(all, fmt.Sprintf("kernels.json explains %q, for which no subtest is skipped on every kernel", pattern))
		}
	}
	return all
}

// testName is what follows the package, whose path has slashes too.
func testName(name string) string {
	_, test, _ := strings.Cut(name, ".")
	return test
}

// outcomes returns the tests that a kernel has run, and those that one has skipped
// with the reasons: two jobs of one test may have different ones.
func outcomes(results []*result) (ran map[string]bool, skipped map[string][]string) {
	ran, skipped = map[string]bool{}, map[string][]string{}
	for _, r := range results {
		for _, planned := range r.jobs {
			j := r.find(planned.Name)
			if j == nil {
				continue
			}
			for _, t := range j.tests {
				name := planned.Package + "." + t.name
				if t.outcome == "SKIP" {
					if reason := t.reason(); !slices.Contains(skipped[name], reason) {
						skipped[name] = append(skipped[name], reason)
					}
				} else {
					ran[name] = true
				}
			}
		}
	}
	return ran, skipped
}
