package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checked is one package without its tests, as go/types sees it.
type checked struct {
	fset  *token.FileSet
	files []*ast.File
	pkg   *types.Package
	info  *types.Info
}

// check type-checks the package in dir, which is relative to the repository's root.
func check(t *testing.T, dir string) *checked {
	t.Helper()
	c := &checked{fset: token.NewFileSet(), info: &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	names, exports := compiled(t, dir)
	for _, name := range names {
		f, err := parser.ParseFile(c.fset, filepath.Join(root, dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		c.files = append(c.files, f)
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	conf := types.Config{Importer: importer.ForCompiler(c.fset, "gc", open)}
	pkg, err := conf.Check(module+"/"+dir, c.fset, c.files, c.info)
	if err != nil {
		t.Fatal(err)
	}
	c.pkg = pkg
	return c
}

// compiled returns the files of the package in dir, and where the compiler has put the
// types of each package that it imports.
func compiled(t *testing.T, dir string) (names []string, exports map[string]string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,GoFiles", "./"+dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	exports = map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Export string
			GoFiles            []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return names, exports
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath], names = p.Export, p.GoFiles // the package itself comes last
	}
}

// file returns the name of the file that pos is in.
func (c *checked) file(pos token.Pos) string { return filepath.Base(c.fset.Position(pos).Filename) }

// at returns pos as file:line.
func (c *checked) at(pos token.Pos) string {
	p := c.fset.Position(pos)
	p.Filename, p.Column = filepath.Base(p.Filename), 0
	return p.String()
}
