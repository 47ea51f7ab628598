package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryTestBinaryLooksForLeaks checks that each package with tests has a
// TestMain that calls package leak.
func TestEveryTestBinaryLooksForLeaks(t *testing.T) {
	looks := regexp.MustCompile(`(?s)func TestMain\(m \*testing\.M\).*\bleak\.(Main|Run)\(`)
	inDirs := map[string][]string{} // the test files of each directory
	eachGoFile(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			inDirs[filepath.Dir(path)] = append(inDirs[filepath.Dir(path)], path)
		}
	})
	if len(inDirs) == 0 {
		t.Fatal("there are no tests")
	}
	for dir, files := range inDirs {
		if !slices.ContainsFunc(files, func(f string) bool { return looks.MatchString(read(t, f)) }) {
			t.Errorf("%s: no TestMain calls leak.Main or leak.Run", dir)
		}
	}
}

// openers are the functions of package unix (and of the io_uring library) that
// return a new descriptor.
var openers = []string{
	"Accept4", "Dup", "EpollCreate1", "Eventfd", "FcntlInt", "InotifyInit1", "IOURingSetup", "MemfdCreate",
	"Open", "Openat", "PidfdOpen", "Pipe2", "Signalfd", "Socket", "Socketpair", "TimerfdCreate",
}

// TestOpenedDescriptorsAreKnown checks that where the library opens a descriptor, it
// says so to sys.Opened.
func TestOpenedDescriptorsAreKnown(t *testing.T) {
	opening := 0
	eachGoFile(t, func(path string) {
		room, _, _ := strings.Cut(path, "/")
		if strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{"internal", "backend", "aio", "mainloop"}, room) ||
			strings.Contains(path, "testdata") || strings.HasPrefix(path, "backend/backendtest") ||
			strings.HasPrefix(path, "internal/soak") || strings.HasPrefix(path, "internal/kernels") { // tools, not the library
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if opener := callsOpener(fn); opener != "" {
				opening++
				if !calls(fn, "Opened") {
					t.Errorf("%s: %s calls %s and not sys.Opened", path, fn.Name.Name, opener)
				}
			}
		}
	})
	if opening < 5 {
		t.Errorf("only %d functions are found that open descriptors", opening)
	}
}

func callsOpener(fn *ast.FuncDecl) (opener string) {
	for _, name := range openers {
		if calls(fn, name) {
			return name
		}
	}
	return ""
}

// calls reports whether fn calls a function of that name, other than to return what
// it returns, which leaves it to the caller. A Signalfd that changes the mask of a
// descriptor opens none.
func calls(fn *ast.FuncDecl, name string) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if _, returned := n.(*ast.ReturnStmt); returned {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		var called string
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			if pkg, ok := f.X.(*ast.Ident); ok && slices.Contains([]string{"unix", "abi", "sys"}, pkg.Name) {
				called = f.Sel.Name
			}
		case *ast.Ident:
			called = f.Name
		}
		if called == "Signalfd" {
			_, changes := call.Args[0].(*ast.SelectorExpr)
			ok = !changes
		}
		found = found || ok && (called == name || name == "Opened" && strings.HasPrefix(called, name))
		return true
	})
	return found
}

// eachGoFile calls f with the path of each Go file of the repository, from its root.
func eachGoFile(t *testing.T, f func(path string)) {
	t.Helper()
	eachFile(t, ".go", f)
}

// eachFile calls f with the path of each file with that extension, from the root.
func eachFile(t *testing.T, extension string, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if path, _ = filepath.Rel(root, path); filepath.Ext(path) == extension {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
