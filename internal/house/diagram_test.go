package house

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The diagrams of docs/main-loop.md are checked against what the code does. A copy
// of the library, which only the compiler gets to see (go build -overlay), has one
// more statement at the beginning of each function: it writes down the call. The
// program testdata/record, built with it, initialises a main loop, has one turn of
// it, and notifies it. What calls what, and in which order, must be as drawn.

const diagramDoc = "docs/main-loop.md"

// traced are the directories whose functions are written down.
var traced = []string{"mainloop", "aio", "internal/sys"}

// recordings are the diagrams, and what testdata/record calls what they show.
var recordings = map[string]string{
	"initialise":   "init",
	"bind":         "init",
	"listen":       "turn",
	"notify":       "schedule",
	"notify-event": "notify",
	"handle":       "handle",
	"signal":       "signal",
}

// call is a function and those that it calls, drawn or recorded.
type call struct {
	Name  string
	Calls []*call

	file  string // as drawn
	times string // as drawn: "", or "×2" for example
	line  int
}

func TestMainLoopDiagrams(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	drawn := drawings(t, read(t, diagramDoc))
	for name := range recordings {
		if drawn[name] == nil {
			t.Errorf("%s has no diagram named %s", diagramDoc, name)
		}
	}
	record := buildRecorder(t)
	for _, backend := range []string{"ppoll", "epoll", "io_uring"} {
		t.Run("backend="+backend, func(t *testing.T) {
			recorded := runRecorder(t, record, backend)
			for name, d := range drawn {
				calls := recorded[recordings[name]]
				for _, problem := range compare(d, calls) {
					t.Errorf("diagram %s: %s", name, problem)
				}
				for _, change := range spoil(d) {
					change.apply()
					if len(compare(d, calls)) == 0 {
						t.Errorf("diagram %s is as recorded, too, %s", name, change.what)
					}
					change.undo()
				}
			}
			for name := range recorded {
				if t.Failed() {
					t.Logf("%s, as recorded:\n%s", name, &call{Calls: recorded[name]})
				}
			}
		})
	}
}

// change is one that a diagram must not survive.
type change struct {
	what        string
	apply, undo func()
}

// spoil returns each change of one name and each exchange of two neighbours. They
// make sure that the comparison is able to fail.
func spoil(drawn []*call) (changes []change) {
	for i, d := range drawn {
		name := d.Name
		changes = append(changes, change{
			"if line " + strconv.Itoa(d.line) + " has another name",
			func() { d.Name += "X" }, func() { d.Name = name },
		})
		if i > 0 {
			exchange := func() { drawn[i-1], drawn[i] = drawn[i], drawn[i-1] }
			changes = append(changes, change{"if line " + strconv.Itoa(d.line) + " comes earlier", exchange, exchange})
		}
		changes = append(changes, spoil(d.Calls)...)
	}
	return changes
}

// drawings reads the diagrams: fenced blocks, each after a comment with its name.
func drawings(t *testing.T, doc string) map[string][]*call {
	block := regexp.MustCompile("(?s)<!-- diagram: (\\S+) -->\n+```text\n(.*?)```\n")
	found := map[string][]*call{}
	for _, m := range block.FindAllStringSubmatchIndex(doc, -1) {
		name, first := doc[m[2]:m[3]], 1+strings.Count(doc[:m[4]], "\n")
		root, err := parseDiagram(doc[m[4]:m[5]], first)
		if err != nil {
			t.Errorf("%s: diagram %s: %v", diagramDoc, name, err)
		}
		if found[name] != nil {
			t.Errorf("%s: there are two diagrams named %s", diagramDoc, name)
		}
		found[name] = root.Calls
	}
	return found
}

var (
	branches = regexp.MustCompile(`^[ │├└─]*`)
	function = regexp.MustCompile(`^([\w.]+)(?: (×\d+))?(?:\s+\S.*)?\s+(\S+\.go)$`)
	syscalls = regexp.MustCompile(`^(\w+\(2\))(?: (×\d+))?()(\s|$)`) // in no file
)

// parseDiagram reads a tree. Each line of it is a function or a system call.
func parseDiagram(text string, line int) (*call, error) {
	path := []*call{{}} // from the root to the last line
	for i, s := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		indent := branches.FindString(s)
		depth := len([]rune(indent)) / 3
		s = s[len(indent):]
		if s == "" {
			continue
		}
		m := function.FindStringSubmatch(s)
		if m == nil {
			m = syscalls.FindStringSubmatch(s)
		}
		if m == nil || depth >= len(path) {
			return path[0], fmt.Errorf("line %d is neither a function with its file nor a system call: %q", line+i, s)
		}
		c := &call{Name: m[1], times: m[2], file: m[3], line: line + i}
		path[depth].Calls = append(path[depth].Calls, c)
		path = append(path[:depth+1], c)
	}
	return path[0], nil
}

// compare returns what is not as drawn. A drawing may leave functions out, but those
// that it shows it shows each time that they are called, in order, under the
// function that calls them, be it by way of others.
func compare(drawn, recorded []*call) (problems []string) {
	if len(drawn) == 0 {
		return nil
	}
	var got [][]*call // calls in succession of one function are one line
	for _, r := range pick(drawn, recorded) {
		if n := len(got); n > 0 && got[n-1][0].Name == r.Name {
			got[n-1] = append(got[n-1], r)
		} else {
			got = append(got, []*call{r})
		}
	}
	want, have := describe(drawn), describeGroups(got)
	if !slices.Equal(want, have) {
		return []string{fmt.Sprintf("line %d on: drawn is\n\t%s\nand recorded\n\t%s", drawn[0].line, strings.Join(want, "\n\t"), strings.Join(have, "\n\t"))}
	}
	for i, d := range drawn {
		problems = append(problems, compareGroup(d, got[i])...)
	}
	return problems
}

// pick returns the recorded calls of functions that are drawn, in order, also
// those that are made by functions that are not.
func pick(drawn, recorded []*call) (picked []*call) {
	for _, r := range recorded {
		if slices.ContainsFunc(drawn, func(d *call) bool { return d.id() == r.Name }) {
			picked = append(picked, r)
		} else {
			picked = append(picked, pick(drawn, r.Calls)...)
		}
	}
	return picked
}

// compareGroup compares a line that stands for several calls in succession: one of
// them went all the way.
func compareGroup(d *call, group []*call) (problems []string) {
	for _, r := range group {
		if problems = compare(d.Calls, r.Calls); len(problems) == 0 {
			return nil
		}
	}
	return problems
}

// id is the name in the recording.
func (c *call) id() string { return c.file + " " + c.Name }

func describe(drawn []*call) (lines []string) {
	for _, d := range drawn {
		lines = append(lines, strings.TrimSpace(d.id()+" "+d.times))
	}
	return lines
}

func describeGroups(groups [][]*call) (lines []string) {
	for _, g := range groups {
		s := strings.TrimSpace(g[0].Name)
		if len(g) > 1 {
			s += fmt.Sprintf(" ×%d", len(g))
		}
		lines = append(lines, s)
	}
	return lines
}

// String draws a recording, to copy from.
func (c *call) String() string {
	var b strings.Builder
	var draw func(calls []*call, indent string)
	draw = func(calls []*call, indent string) {
		for i, c := range calls {
			file, name, _ := strings.Cut(c.Name, " ")
			branch, below := "├─ ", "│  "
			if i == len(calls)-1 {
				branch, below = "└─ ", "   "
			}
			fmt.Fprintf(&b, "%-60s %s\n", indent+branch+name, file)
			draw(c.Calls, indent+below)
		}
	}
	draw(c.Calls, "")
	return b.String()
}

// buildRecorder builds testdata/record and returns its path.
func buildRecorder(t *testing.T) string {
	dir := t.TempDir()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{
		filepath.Join(top, "internal/calltrace/calltrace.go"):   filepath.Join(top, "internal/house/testdata/calltrace/calltrace.go"),
		filepath.Join(top, "internal/calltrace/record/main.go"): filepath.Join(top, "internal/house/testdata/record/main.go"),
	}
	for _, pkg := range traced {
		p, err := build.ImportDir(filepath.Join(top, pkg), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.GoFiles {
			file := filepath.Join(pkg, name)
			copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
			if err := os.WriteFile(copied, instrument(t, top, file), 0o600); err != nil {
				t.Fatal(err)
			}
			replace[filepath.Join(top, file)] = copied
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "record")
	cmd := exec.Command("go", "build", "-overlay", list, "-o", bin, module+"/internal/calltrace/record")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// instrument returns the source of file with a call of calltrace.Enter at the
// beginning of each function. Lines stay where they are.
func instrument(t *testing.T, top, file string) []byte {
	source, err := os.ReadFile(filepath.Join(top, file))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	from := 0
	insert := func(after token.Pos, s string) {
		to := set.Position(after).Offset
		out.Write(source[from:to])
		out.WriteString(s)
		from = to
	}
	traced := false
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || fn.Name.Name == "init" {
			continue
		}
		if !traced {
			insert(f.Name.End(), fmt.Sprintf("; import calltrace %q", module+"/internal/calltrace"))
			traced = true
		}
		enter := fmt.Sprintf(" defer calltrace.Enter(%q)();", file+" "+qualified(f, fn))
		for _, name := range systemCalls(fn.Body) {
			enter += fmt.Sprintf(" calltrace.Enter(%q)();", " "+name)
		}
		insert(fn.Body.Lbrace+1, enter)
	}
	out.Write(source[from:])
	return out.Bytes()
}

// wrappers are functions of package unix, and the system calls that they make.
var wrappers = map[string]string{"Eventfd": "eventfd2(2)", "Signalfd": "signalfd4(2)", "Read": "read(2)"}

// systemCalls returns those that a function makes, each once. They are written down
// with the call of the function, whether or not it comes to them.
func systemCalls(body *ast.BlockStmt) (names []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			name := wrappers[s.Sel.Name]
			if number, ok := strings.CutPrefix(s.Sel.Name, "SYS_"); ok {
				name = strings.ToLower(number) + "(2)"
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "unix" && name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
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

func runRecorder(t *testing.T, bin, backend string) map[string][]*call {
	cmd := exec.Command(bin, backend)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && strings.Contains(stderr.String(), "not available") {
		t.Skip(stderr.String())
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	recorded := map[string][]*call{}
	if err := json.Unmarshal(out, &recorded); err != nil {
		t.Fatal(err)
	}
	return recorded
}
