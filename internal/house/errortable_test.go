package house

import (
	"go/types"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestErrorTables checks the tables of errors in the documentation of the packages: each error
// that a package exports is in its table, and each that a table names exists.
func TestErrorTables(t *testing.T) {
	backend := exportedErrors(check(t, "backend").pkg.Scope())
	aio := exportedErrors(check(t, "aio").pkg.Scope())
	mainloop := exportedErrors(check(t, "mainloop").pkg.Scope())
	coroutine := exportedErrors(check(t, "coroutine").pkg.Scope())
	for _, table := range []struct {
		pkg       string
		own, rest []string
	}{
		{"aio", aio, backend},
		{"mainloop", mainloop, aio},
		{"coroutine", coroutine, aio},
	} {
		named := namedErrors(read(t, table.pkg+"/doc.go"))
		for _, name := range table.own {
			if !slices.Contains(named, name) {
				t.Errorf("%s/doc.go: the table of errors lacks %s", table.pkg, name)
			}
		}
		for _, name := range named {
			if !slices.Contains(table.own, name) && !slices.Contains(table.rest, name) {
				t.Errorf("%s/doc.go: there is no %s", table.pkg, name)
			}
		}
	}
}

// exportedErrors returns the names of the variables and types of a package that are errors.
func exportedErrors(scope *types.Scope) (names []string) {
	for _, name := range scope.Names() {
		if isError := regexp.MustCompile(`^Err[A-Z]|^[A-Z]\w*Error$`).MatchString(name); isError {
			names = append(names, name)
		}
	}
	return names
}

// namedErrors returns the errors that the table in a package's documentation names, without those
// of the standard library.
func namedErrors(doc string) (names []string) {
	_, table, _ := strings.Cut(doc, "\n// # Errors\n")
	for _, m := range regexp.MustCompile(`(\w+\.)?\b(Err[A-Z]\w+|[A-Z]\w*Error)\b`).FindAllStringSubmatch(table, -1) {
		if m[1] != "errors." && m[1] != "os." {
			names = append(names, m[2])
		}
	}
	return names
}

func TestErrorTablesCanFail(t *testing.T) {
	got := namedErrors("ErrBefore\n// # Errors\n//\n//\tNew   ErrOne, *backend.TwoError, errors.ErrUnsupported, os.ErrClosed\n")
	if want := []string{"ErrOne", "TwoError"}; !slices.Equal(got, want) {
		t.Errorf("the table names %v, want %v", got, want)
	}
}
