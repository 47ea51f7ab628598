package house

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExamples checks that pkg.go.dev has a runnable example for each option, and for each type
// that a package declares: one of the type or of a method.
func TestExamples(t *testing.T) {
	for pkg, fewest := range map[string]int{"aio": 15, "mainloop": 15, "pool": 8, "file": 7, "coroutine": 10} {
		examples := runnableExamples(t, pkg)
		if len(examples) < fewest {
			t.Errorf("package %s has only %d examples", pkg, len(examples))
		}
		for _, name := range withoutExample(check(t, pkg).pkg.Scope(), examples) {
			t.Errorf("package %s has no example with an output for %s", pkg, name)
		}
	}
}

// waitsForAUser are examples that no test can run: they wait for signals.
var waitsForAUser = map[string]bool{"Signals": true}

// withoutExample lists the types and options of a package that none of the examples is about.
func withoutExample(scope *types.Scope, examples map[string]bool) (names []string) {
	for _, name := range scope.Names() {
		object := scope.Lookup(name)
		named, isType := object.(*types.TypeName)
		_, isFunc := object.(*types.Func)
		shown := isType && !named.IsAlias() || isFunc && strings.HasPrefix(name, "With")
		if object.Exported() && shown && !examples[name] && !waitsForAUser[name] {
			names = append(names, name)
		}
	}
	return names
}

// runnableExamples returns what the examples with an output are about: for that of a method, its type.
func runnableExamples(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	var files []*ast.File
	paths, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	found := map[string]bool{}
	for _, e := range doc.Examples(files...) {
		if e.Output != "" || e.EmptyOutput {
			name, _, _ := strings.Cut(e.Name, "_")
			found[name] = true
		}
	}
	return found
}

// TestExamplesCanFail makes sure that the check finds what is missing.
func TestExamplesCanFail(t *testing.T) {
	scope := check(t, "aio").pkg.Scope()
	examples := runnableExamples(t, "aio")
	before := withoutExample(scope, examples)
	delete(examples, "WithMode")
	delete(examples, "Timer")
	if got := withoutExample(scope, examples); len(got) != len(before)+2 || !slices.Contains(got, "Timer") || !slices.Contains(got, "WithMode") {
		t.Errorf("without an example: %v, and before %v", got, before)
	}
	if runnableExamples(t, "mainloop")["Signals"] {
		t.Error("an example without an output counts")
	}
}
