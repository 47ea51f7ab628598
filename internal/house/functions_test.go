package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Functions of the library and its commands fit a screen, most of them a glance.
func TestFunctionsAreShort(t *testing.T) {
	var lengths []int
	eachFile(t, ".go", func(path string) {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata/") {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(root, path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
				if lengths = append(lengths, n); n > 45 {
					t.Errorf("%s: %s has %d lines, at most 45 are wanted", path, fn.Name.Name, n)
				}
			}
		}
	})
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median > 9 {
		t.Errorf("half of %d functions have more than %d lines, at most 9 are wanted", len(lengths), median)
	}
}
