//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/feature"
)

func theList(t *testing.T) *list {
	t.Helper()
	l, err := parseList(listJSON)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestListSaysAllOfEachKernel: a feature that is new to the code has to be looked up
// for each kernel.
func TestListSaysAllOfEachKernel(t *testing.T) {
	for _, k := range theList(t).Kernels {
		stated := slices.Sorted(slices.Values(slices.Concat(k.Has, k.Lacks)))
		var all []string
		for _, f := range feature.All() {
			all = append(all, f.Name)
		}
		if slices.Sort(all); !slices.Equal(stated, all) {
			t.Errorf("%s: kernels.json speaks of %q, the code of %q", k.Name, stated, all)
		}
	}
}

func TestListExplains(t *testing.T) {
	l := theList(t)
	packages, err := testPackages(t.Context(), hostArch)
	if err != nil {
		t.Fatal(err)
	}
	exists := func(path string) bool {
		return slices.ContainsFunc(packages, func(p goPackage) bool { return p.Path == path })
	}
	for path, reason := range l.HostOnly {
		if reason == "" || !exists(path) {
			t.Errorf("HostOnly: %s: no reason, or no tests", path)
		}
	}
	for path, o := range l.Once {
		if o.Why == "" || !exists(path) {
			t.Errorf("Once: %s: no reason, or no tests", path)
		}
	}
	for _, x := range l.Extra {
		if !exists(x.Package) {
			t.Errorf("Extra: %s has no tests", x.Package)
		}
	}
}

func TestChoose(t *testing.T) {
	l := &list{Kernels: []kernel{{Name: "old", Short: true}, {Name: "middle"}, {Name: "new", Short: true}}}
	for _, tc := range []struct {
		names    string
		short    bool
		want     string
		complete bool
	}{
		{"", false, "old middle new", true},
		{"", true, "old new", true},
		{"middle", false, "middle", false},
		{"new,old", true, "new old", false},
		{"old,middle,new", false, "old middle new", true},
	} {
		chosen, complete, err := l.choose(tc.names, tc.short)
		var names []string
		for _, k := range chosen {
			names = append(names, k.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != tc.want || complete != tc.complete {
			t.Errorf("%q, %v: %q, %v, %v", tc.names, tc.short, got, complete, err)
		}
	}
	if _, _, err := l.choose("4.19", false); err == nil || !strings.Contains(err.Error(), "old, middle, new") {
		t.Errorf("a kernel that is not in the list: %v", err)
	}
}

func TestListIsChecked(t *testing.T) {
	for _, bad := range []string{
		`{"Kernles": []}`,
		`{"Once": {"p": {"Kernel": "4.19", "Why": "w"}}}`,
		`{"Extra": [{"Name": "n", "Package": "p", "Kernels": ["4.19"]}]}`,
		`{"Kernels": [{"Name": "a", "Arch": "vax", "Suites": ["s"], "Package": "p"}]}`,
		`{"Kernels": [{"Name": "a", "Arch": "amd64", "Suites": ["s"], "Package": "("}]}`,
		`{"Kernels": [{"Name": "a", "Arch": "amd64", "Package": "p"}]}`,
		`{"Kernels": [{"Name": "a", "Arch": "amd64", "Suites": ["s"], "Package": "p", "Has": ["f"], "Lacks": ["f"]}]}`,
		`{"Kernels": [{"Name": "a", "Arch": "amd64", "Suites": ["s"], "Package": "p"}, {"Name": "a", "Arch": "amd64", "Suites": ["s"], "Package": "p"}]}`,
	} {
		if _, err := parseList([]byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

func TestNewestOf(t *testing.T) {
	names := []string{"linux-image-6.12.9+deb13-amd64", "linux-image-6.12.10+deb13-amd64", "linux-image-6.12.90+deb12-amd64", "linux-image-6.12.11+deb13-arm64"}
	got, err := newestOf(names, `^linux-image-6\.12\.[0-9]+\+deb13-amd64$`)
	if err != nil || got != "linux-image-6.12.10+deb13-amd64" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := newestOf(names, "^linux-image-9"); err == nil {
		t.Error("found a package that does not exist")
	}
}
