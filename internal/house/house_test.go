// Package house checks what no compiler does: that imports point down only, that
// the core stays pure Go, and that what the documents show is what the code says.
package house

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/feature"
)

const (
	module = "github.com/aioloop/aioloop"
	root   = "../.."
)

// room is a part of the tree and what it may import: beside itself, what is below
// it in the same part, and the standard library. A package belongs to the room
// with the longest path that fits it.
type room struct {
	path    string
	imports []string // rooms of this module
	modules []string // other modules
	tests   []string // rooms that tests import in addition
}

const (
	unix   = "golang.org/x/sys"
	uring  = "github.com/iceber/iouring-go/syscall" // its root package does not link
	anyone = "pgregory.net/rapid"                   // in tests of the benchmark
)

// rooms are the house, from the cellar to the roof. A package that is not in it
// has to find its place here first.
var rooms = []room{
	{path: "internal", modules: []string{unix, uring}},
	{path: "internal/testkit", imports: []string{"internal"}},
	{path: "backend", imports: []string{"internal"}, modules: []string{unix}},
	{path: "backend/internal", imports: []string{"backend", "internal"}, modules: []string{unix}},
	{path: "backend/internal/lockstep", imports: []string{"backend", "backend/ppoll", "backend/epoll", "backend/iouring"}, modules: []string{unix}},
	{path: "backend/backendtest", imports: []string{"backend", "internal/testkit"}, modules: []string{unix}},
	{path: "backend/ppoll", imports: []string{"backend", "backend/internal", "internal"}, modules: []string{unix}},
	{path: "backend/epoll", imports: []string{"backend", "backend/internal", "internal"}, modules: []string{unix}},
	{path: "backend/iouring", imports: []string{"backend", "backend/internal", "internal"}, modules: []string{unix, uring}},
	{path: "aio/internal", imports: []string{"backend", "internal"}, modules: []string{unix}},
	{path: "aio/internal/park", imports: []string{"backend", "backend/epoll", "internal"}, modules: []string{unix}}, // epoll in tests
	{path: "aio", imports: []string{"aio/internal", "aio/internal/park", "backend", "backend/ppoll", "backend/epoll", "backend/iouring", "internal"}, modules: []string{unix}},
	{path: "coroutine", imports: []string{"aio", "backend", "internal"}, modules: []string{unix}, tests: []string{"file"}},
	{path: "pool", imports: []string{"aio", "backend", "internal"}, modules: []string{unix}},
	{path: "file", imports: []string{"pool", "aio", "backend", "backend/ppoll", "internal"}, modules: []string{unix}}, // ppoll in tests
	{path: "mainloop", imports: []string{"aio", "backend", "internal"}, modules: []string{unix}},
	{path: "bench", imports: []string{"aio", "backend", "coroutine", "file", "mainloop", "internal"},
		modules: []string{unix, "golang.org/x/term", "github.com/HdrHistogram/hdrhistogram-go"}},
	{path: "internal/soak", imports: []string{"aio", "backend", "file", "mainloop", "pool", "internal"}, modules: []string{unix}},
	{path: "internal/kernels", imports: []string{"aio", "backend", "internal", "internal/testkit"}, modules: []string{unix}},
	{path: "examples", imports: []string{"aio", "backend", "coroutine", "file", "mainloop"}, modules: []string{unix}},
}

// testsMayImport is what a room's tests import in addition.
var testsMayImport = []string{"backend/backendtest", "internal", "internal/testkit"}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	CgoFiles                           []string
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		r := roomOf(p.ImportPath)
		if r == nil {
			t.Errorf("%s is in no room of the house: give it a place in this test", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			if !r.mayImport(path) {
				t.Errorf("%s imports %s, which the house does not allow", p.ImportPath, path)
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			if !r.mayImport(path) && !r.testMayImport(path) {
				t.Errorf("a test of %s imports %s, which the house does not allow", p.ImportPath, path)
			}
		}
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo: %v", p.ImportPath, p.CgoFiles)
		}
	}
}

// TestHouseHasWalls makes sure that the rules above are able to refuse.
func TestHouseHasWalls(t *testing.T) {
	for _, forbidden := range [][2]string{
		{"backend", "aio"},
		{"backend", "backend/epoll"},
		{"backend/epoll", "backend/ppoll"},
		{"backend/backendtest", "internal/sys"},
		{"internal/sys", "backend"},
		{"aio/internal/timerq", "aio"},
		{"mainloop", "aio/internal/park"},
		{"aio", "mainloop"},
		{"aio", "bench"},
		{"file", "coroutine"},
		{"coroutine", "file"},
		{"examples/echo", "internal/sys"},
	} {
		if roomOf(module + "/" + forbidden[0]).mayImport(module + "/" + forbidden[1]) {
			t.Errorf("%s may import %s", forbidden[0], forbidden[1])
		}
	}
	if roomOf(module).mayImport(module + "/aio") {
		t.Error("the front page may import aio")
	}
	if roomOf(module+"/elsewhere") != nil || roomOf(module+"/aiofoo") != nil {
		t.Error("an unknown package has a room")
	}
	if roomOf(module + "/backend/ppoll").mayImport(uring) {
		t.Error("ppoll may import the io_uring library")
	}
}

func roomOf(importPath string) (best *room) {
	if importPath == module { // the front page
		return &room{}
	}
	for i := range rooms {
		r := &rooms[i]
		if within(importPath, module+"/"+r.path) && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	return best
}

func (r *room) mayImport(importPath string) bool {
	if within(importPath, module) {
		to := roomOf(importPath)
		return to != nil && (to == r || slices.Contains(r.imports, to.path))
	}
	return isStandard(importPath) || slices.ContainsFunc(r.modules, func(m string) bool { return within(importPath, m) })
}

func (r *room) testMayImport(importPath string) bool {
	if to := roomOf(importPath); to != nil {
		return slices.Contains(testsMayImport, to.path) || slices.Contains(r.tests, to.path)
	}
	return within(importPath, anyone)
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func packages(t *testing.T) (all []goPackage) {
	t.Helper()
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,CgoFiles", "work")
	list.Dir = root
	list.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(all) == 0 {
				t.Fatal("go list has found no packages")
			}
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestNoLinkname checks that no file reaches into the runtime.
func TestNoLinkname(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		for _, group := range f.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					t.Errorf("%s: %s", path, c.Text)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestReadmeShowsHello checks that the README's program is the one that is
// compiled and run as an example.
func TestReadmeShowsHello(t *testing.T) {
	source := read(t, "examples/hello/main.go")
	_, code, found := strings.Cut(source, "\npackage main\n")
	if !found {
		t.Fatal("examples/hello/main.go has no package clause")
	}
	code = "package main\n" + code
	if !slices.Contains(goBlocks(read(t, "README.md")), code) {
		t.Errorf("no Go block of README.md is the code of examples/hello/main.go, which is:\n%s", code)
	}
	// Of a package that imports none of them, go get records no checksums of other modules.
	for _, line := range regexp.MustCompile(`"(`+module+`[^"]*)"`).FindAllStringSubmatch(code, -1) {
		if get := "go get " + line[1] + "\n"; !strings.Contains(read(t, "README.md"), get) {
			t.Errorf("README.md does not say %q, which the program imports", get)
		}
	}
}

// TestReadmeNamesFeatures checks that each feature that the code probes for has
// a row, with the kernel that brought it.
func TestReadmeNamesFeatures(t *testing.T) {
	readme := read(t, "README.md")
	for _, f := range feature.All() {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(f.Since) + ` \| .*` + regexp.QuoteMeta(f.Name) + `.*\|$`)
		if !row.MatchString(readme) {
			t.Errorf("README.md: the table of kernel features has no row for %s, Linux %s", f.Name, f.Since)
		}
	}
}

// TestWorkflowRunsTheSame checks that the hosted workflow and .ci/run go through
// the same targets of the Makefile. The workflow has several jobs for the kernels.
func TestWorkflowRunsTheSame(t *testing.T) {
	here := regexp.MustCompile(`(?m)^step (\S+)`).FindAllStringSubmatch(read(t, ".ci/run"), -1)
	there := regexp.MustCompile(`(?m)run: make (\S+)(?: [A-Z]+=.*)?$`).FindAllStringSubmatch(read(t, ".github/workflows/ci.yml"), -1)
	if len(here) == 0 || !slices.Equal(targets(here), slices.Compact(targets(there))) {
		t.Errorf(".ci/run goes through %v, ci.yml through %v", targets(here), targets(there))
	}
	if len(here) > 0 && here[0][1] != "test" {
		t.Error(".ci/run does not begin with the README's test command")
	}
	for _, name := range targets(here) {
		if !strings.Contains(read(t, "Makefile"), "\n"+name+":") {
			t.Errorf("the Makefile has no target %s", name)
		}
	}
}

func targets(matches [][]string) (names []string) {
	for _, m := range matches {
		names = append(names, m[1])
	}
	return names
}

// goBlocks returns the fenced Go blocks of a document.
func goBlocks(markdown string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(markdown, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeNamesGo checks that the README asks for the Go version that go.mod does.
func TestReadmeNamesGo(t *testing.T) {
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil || !strings.Contains(read(t, "README.md"), "Go "+m[1]+" or newer") {
		t.Errorf("README.md does not ask for what go.mod does: %v", m)
	}
}
