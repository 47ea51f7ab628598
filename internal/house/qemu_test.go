package house

import (
	"go/types"
	"strings"
	"testing"
)

const qemuDoc = "docs/qemu.md"

// TestQEMUNames checks that each Go name in the table of QEMU's names exists.
func TestQEMUNames(t *testing.T) {
	for pkg, few := range map[string]int{"aio": 25, "mainloop": 25, "coroutine": 9} {
		scope := check(t, pkg).pkg.Scope()
		names := qemuNames(read(t, qemuDoc), pkg)
		if len(names) < few {
			t.Errorf("%s names only %d things of package %s", qemuDoc, len(names), pkg)
		}
		for _, name := range names {
			if !hasName(scope, name) {
				t.Errorf("%s: package %s has no %s", qemuDoc, pkg, name)
			}
		}
	}
}

// qemuNames returns what the last column of the section about a package names as code.
func qemuNames(doc, pkg string) (names []string) {
	_, section, _ := strings.Cut(doc, "\n## "+pkg+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i, code := range strings.Split(cells[len(cells)-1], "`") {
			if i%2 == 1 {
				names = append(names, code)
			}
		}
	}
	return names
}

// hasName reports whether a package has an exported name, or a type with such a field or method.
func hasName(scope *types.Scope, name string) bool {
	name, member, isMember := strings.Cut(name, ".")
	object := scope.Lookup(name)
	if object == nil || !object.Exported() {
		return false
	}
	if !isMember {
		return true
	}
	found, _, _ := types.LookupFieldOrMethod(types.NewPointer(object.Type()), true, object.Pkg(), member)
	return found != nil && found.Exported()
}

// TestQEMUNamesCanFail makes sure that the check finds what is missing.
func TestQEMUNamesCanFail(t *testing.T) {
	scope := check(t, "aio").pkg.Scope()
	for _, name := range []string{"Elsewhere", "Context.Elsewhere", "Context.name", "options", "Callbacks.Context"} {
		if hasName(scope, name) {
			t.Errorf("package aio has a %s", name)
		}
	}
	if got := qemuNames("\n## one\n| `a` | `B`, `C.D` |\n\n## two\n| `e` | `F` |\n", "one"); strings.Join(got, " ") != "B C.D" {
		t.Errorf("the names are %v", got)
	}
}
