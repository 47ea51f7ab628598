package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const diagramDoc = "docs/main-loop.md"

var (
	diagram    = regexp.MustCompile("(?s)<!-- diagram: \\S+ -->\n+```text\n(.*?)```\n")
	branches   = regexp.MustCompile(`^[ │├└─]*`)
	drawnCall  = regexp.MustCompile(`^([\w.]+)(?: ×\d+)?(?:\s+\S.*)?\s+(\S+\.go)$`)
	systemCall = regexp.MustCompile(`^([a-z]+)\d*\(2\)( |$)`) // in no file
)

// TestMainLoopDiagrams checks the trees of docs/main-loop.md: each line names a
// function of the file beside it, or a system call. What a function calls itself,
// rather than through functions that are left out, it calls in the order drawn.
func TestMainLoopDiagrams(t *testing.T) {
	trees := diagram.FindAllStringSubmatch(read(t, diagramDoc), -1)
	if len(trees) < 7 {
		t.Errorf("%s has only %d diagrams", diagramDoc, len(trees))
	}
	for _, tree := range trees {
		for _, problem := range checkTree(t, strings.Split(strings.TrimSpace(tree[1]), "\n")) {
			t.Errorf("%s: %s", diagramDoc, problem)
		}
	}
}

// TestMainLoopDiagramsCanFail makes sure that the check finds what is wrong.
func TestMainLoopDiagramsCanFail(t *testing.T) {
	for _, tree := range [][]string{
		{"Loop.Elsewhere  mainloop/loop.go"},
		{"Loop.Wait  mainloop/source.go"},
		{"Loop.Wait"},
		{"Source.Attach  mainloop/source.go", "├─ MainContext.Wakeup  mainloop/maincontext.go", "└─ MainContext.insert  mainloop/maincontext.go"},
	} {
		if len(checkTree(t, tree)) == 0 {
			t.Errorf("nothing is wrong with %q", tree)
		}
	}
}

// caller is a drawn function: the names that it mentions, in order, and how many of
// them are before the line drawn last.
type caller struct {
	names []string
	seen  int
}

// checkTree returns what is wrong with a tree.
func checkTree(t *testing.T, lines []string) (problems []string) {
	var path []caller // from the root to this line
	for _, line := range lines {
		indent := branches.FindString(line)
		if indent == line {
			continue
		}
		depth := len([]rune(indent)) / 3
		name, body := lookUp(t, line[len(indent):])
		if name == "" || depth > len(path) {
			problems = append(problems, "no such function, or not in that file: "+line)
			continue
		}
		if path = path[:depth]; depth > 0 && !path[depth-1].mentions(name) {
			problems = append(problems, "called earlier than drawn: "+line)
		}
		path = append(path, caller{names: body})
	}
	return problems
}

// mentions goes on to the next mention of name, and is false if there are earlier
// ones only. A name that is never mentioned is called through other functions.
func (c *caller) mentions(name string) bool {
	if i := slices.Index(c.names[c.seen:], name); i >= 0 {
		c.seen += i + 1
		return true
	}
	return !slices.Contains(c.names, name)
}

// lookUp returns the last part of a drawn name, and what its function mentions. The
// name is empty if the file does not declare the function.
func lookUp(t *testing.T, line string) (name string, body []string) {
	if m := systemCall.FindStringSubmatch(line); m != nil {
		return m[1], nil
	}
	m := drawnCall.FindStringSubmatch(line)
	if m == nil {
		return "", nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, m[2]), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && qualified(f, fn) == m[1] {
			return fn.Name.Name, mentioned(fn.Body)
		}
	}
	return "", nil
}

func mentioned(body *ast.BlockStmt) (names []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}

// qualified returns a function's name as it is drawn: Type.Method or
// package.Function.
func qualified(f *ast.File, fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return f.Name.Name + "." + fn.Name.Name
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	return typ.(*ast.Ident).Name + "." + fn.Name.Name
}
