//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// guestOf returns the result of a kernel on which the tests ended as said.
func guestOf(name string, k kernel, outcomes map[string]string) *result {
	k.Name = name
	c := booted().say(protocol.Begin, "aio")
	for test, outcome := range outcomes {
		c.output("\x16=== RUN   "+test, "    x_test.go:1: because of "+name, "\x16--- "+outcome+": "+test+" (0.00s)")
	}
	t := read(c.say(protocol.End, "aio", protocol.OK, "1").say(protocol.Done).String())
	return &result{kernel: k, guest: t, failure: t.problem(), jobs: []job{{Package: "aio", Job: protocol.Job{Name: "aio"}}}}
}

var honest = kernel{Has: []string{"epoll_pwait2"}, Lacks: []string{"io_uring"}}

func TestNeverRun(t *testing.T) {
	results := []*result{
		guestOf("old", honest, map[string]string{"TestAlways": "PASS", "TestNew": "SKIP", "TestNever": "SKIP", "TestStrace": "SKIP"}),
		guestOf("new", honest, map[string]string{"TestAlways": "PASS", "TestNew": "PASS", "TestNever": "SKIP", "TestStrace": "SKIP"}),
	}
	l := &list{HostOnlyTests: map[string]string{"aio.TestStrace": "needs strace"}}
	got := strings.Join(neverRun(l, results), "\n")
	if got != "no kernel runs aio.TestNever: because of old; because of new" {
		t.Error(got)
	}
	l.HostOnlyTests["aio.TestNever"] = "a reason"
	if got := neverRun(l, results); got != nil {
		t.Errorf("explained: %q", got)
	}
	l.HostOnlyTests["aio.TestAlways"] = "not true"
	l.HostOnlyTests["aio.TestGone"] = "out of date"
	if got := neverRun(l, results); len(got) != 2 {
		t.Errorf("two explanations that do not hold: %q", got)
	}
}

// TestNeverRunOfSubtests: what is explained for subtests does not excuse a whole test.
func TestNeverRunOfSubtests(t *testing.T) {
	l := &list{NotApplicable: map[string]string{"because of new": "it has none"}}
	results := []*result{guestOf("new", honest, map[string]string{"TestA/backend=ppoll": "SKIP", "TestA": "PASS"})}
	if got := neverRun(l, results); got != nil {
		t.Errorf("explained: %q", got)
	}
	results = append(results, guestOf("old", honest, map[string]string{"TestA/backend=ppoll": "SKIP", "TestA": "PASS"}))
	if got := neverRun(l, results); got != nil {
		t.Errorf("explained, and skipped for another reason last: %q", got)
	}
	results = results[:1]
	results[0] = guestOf("new", honest, map[string]string{"TestA": "SKIP"})
	results[0].jobs[0].Package = "a/path"
	if got := neverRun(l, results); len(got) != 2 {
		t.Errorf("a whole test, and an explanation of nothing: %q", got)
	}
}

func TestFailures(t *testing.T) {
	ok := map[string]string{"TestA": "PASS", "TestB": "SKIP"}
	for _, tc := range []struct {
		name string
		r    *result
		want string // of the only failure; empty: none
	}{
		{"none", guestOf("k", honest, ok), ""},
		{"test", guestOf("k", honest, map[string]string{"TestA": "FAIL"}), "k: aio: TestA failed\n          x_test.go:1: because of k"},
		{"lacks what it should have", guestOf("k", kernel{Has: []string{"epoll_pwait2", "io_uring"}}, ok), "k: it should have io_uring: not supported: ENOSYS"},
		{"has what it should lack", guestOf("k", kernel{Lacks: []string{"epoll_pwait2", "io_uring"}}, ok), "k: it has epoll_pwait2, which kernels.json says it lacks"},
		{"unknown", guestOf("k", kernel{Has: []string{"epoll_pwait2"}}, ok), "k: kernels.json does not say whether it has io_uring (not supported: ENOSYS)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(tc.r.failures(), "\n"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	r := guestOf("k", honest, ok)
	r.jobs = append(r.jobs, job{Job: protocol.Job{Name: "forgotten"}})
	if got := r.failures(); len(got) != 1 || got[0] != "k: forgotten was not run" {
		t.Errorf("%q", got)
	}
}

func TestTable(t *testing.T) {
	results := []*result{
		guestOf("old", honest, map[string]string{"TestA": "PASS", "TestB": "SKIP"}),
		guestOf("new", honest, map[string]string{"TestA": "PASS", "TestB": "PASS"}),
		{kernel: kernel{Name: "broken"}, failure: "no such program", jobs: []job{{Job: protocol.Job{Name: "aio"}}}},
		{kernel: kernel{Name: "other"}},
	}
	var b strings.Builder
	if err := writeTable(&b, &list{HostOnly: map[string]string{"internal/house": "needs go"}}, results); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"aio 1/0/1 0s 2/0/0 0s FAILED: not reached elsewhere",
		"epoll_pwait2 yes yes - -",
		"auto chooses epoll epoll - -",
		"aio: TestB: because of old [old]",
		"internal/house: all of it, on the host only: needs go",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	b.Reset()
	if err := verdict(&b, &list{}, results, false); err == nil || !strings.Contains(b.String(), "broken: no such program") {
		t.Errorf("%v\n%s", err, &b)
	}
	if err := verdict(&b, &list{}, results[:2], true); err != nil {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	l := &list{
		HostOnly: map[string]string{"internal/house": "needs go"},
		Extra:    []extra{{Name: "one CPU", Package: "aio", Kernels: []string{"old"}, Run: "TestA", Skip: "TestAB", CPUs: 1, Env: []string{"GOMAXPROCS=1"}}},
		Modules:  map[string][]string{"kernels": {"nbd"}},
		Kernels:  []kernel{{Name: "old", Short: true}, {Name: "new"}},
		Once:     map[string]once{"bench": {Kernel: "new", Why: "measures"}},
	}
	jobs := plan(l, []goPackage{{Path: "aio"}, {Path: "internal/house"}, {Path: "kernels", Dir: "testdata"}, {Path: "bench"}}, false)
	var names []string
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	if got := strings.Join(names, ", "); got != "aio, kernels, bench, aio: one CPU" {
		t.Error(got)
	}
	one := jobs[3]
	args := strings.Join(one.Args, " ")
	if one.CPUs != 1 || one.Env[0] != "GOMAXPROCS=1" || !strings.Contains(args, "-test.run=TestA -test.skip=TestAB") || strings.Contains(args, "-test.short") {
		t.Errorf("%+v", one)
	}
	if got := jobs[1].Modules; !slices.Equal(got, []string{"nbd"}) || jobs[0].Modules != nil {
		t.Errorf("modules: %q, and %q for aio", got, jobs[0].Modules)
	}
	for i, want := range []string{"aio kernels aio: one CPU", "aio kernels bench"} {
		var names []string
		for _, j := range (&runner{list: l}).jobsOf(l.Kernels[i], jobs) {
			names = append(names, j.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s runs %q, want %q", l.Kernels[i].Name, got, want)
		}
	}
	l.Long = map[string]string{"bench": "it measures"}
	jobs = plan(l, []goPackage{{Path: "aio"}, {Path: "bench"}}, true)
	if len(jobs) != 1 || jobs[0].Name != "aio" || !slices.Contains(jobs[0].Args, "-test.short") {
		t.Errorf("short: %+v", jobs)
	}
}
