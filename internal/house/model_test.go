package house

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// steps maps the name of each step of the notify protocol to where it is taken.
type steps map[string][]string

var stepName = regexp.MustCompile(`\b[NLSQWC][1-9]\b`)

// collect adds the steps that a comment behind code names. A comment on a line of
// its own explains, it does not take a step.
func (s steps) collect(file, text, comment string) {
	for line := range strings.Lines(text) {
		code, remark, found := strings.Cut(line, comment)
		if !found || strings.TrimSpace(code) == "" || strings.HasPrefix(strings.TrimSpace(code), "//") {
			continue
		}
		for _, name := range stepName.FindAllString(remark, -1) {
			s[name] = append(s[name], file+": "+strings.TrimSpace(code))
		}
	}
}

func (s steps) names() []string { return slices.Sorted(maps.Keys(s)) }

func codeSteps(t *testing.T) steps {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "aio", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	s := steps{}
	for _, path := range files {
		if name := filepath.Base(path); !strings.HasSuffix(name, "_test.go") {
			s.collect(name, read(t, "aio/"+name), "//")
		}
	}
	s.collect("gate.go", read(t, "internal/gate/gate.go"), "//")
	return s
}

// TestModelAndCodeTakeTheSameSteps checks that a change that adds, renames or removes a
// step of the notify protocol does so in the code, the model and its description.
func TestModelAndCodeTakeTheSameSteps(t *testing.T) {
	code, model := codeSteps(t), steps{}
	model.collect("notify.pml", read(t, "docs/model/notify.pml"), "/*")
	described := steps{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][1-9]) +\| `).FindAllStringSubmatch(read(t, "docs/model/README.md"), -1) {
		described[m[1]] = nil
	}
	if len(code) < 20 {
		t.Errorf("only these steps are in the code: %v", code.names())
	}
	compareSteps(t, "aio/*.go", code, "docs/model/notify.pml", model)
	compareSteps(t, "docs/model/notify.pml", model, "the table of docs/model/README.md", described)
}

func compareSteps(t *testing.T, nameA string, a steps, nameB string, b steps) {
	t.Helper()
	for _, step := range a.names() {
		if _, ok := b[step]; !ok {
			t.Errorf("%s takes the step %s, %s does not: %v", nameA, step, nameB, a[step])
		}
	}
	for _, step := range b.names() {
		if _, ok := a[step]; !ok {
			t.Errorf("%s takes the step %s, %s does not: %v", nameB, step, nameA, b[step])
		}
	}
}

// TestModelDescribesFunctions checks that the functions in the table of steps exist
// and that the step is in them.
func TestModelDescribesFunctions(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| ([A-Z][1-9]) +\\| .*\\| `(\\w+\\.go)`: (.*) \\|$")
	rows := row.FindAllStringSubmatch(read(t, "docs/model/README.md"), -1)
	if len(rows) == 0 {
		t.Fatal("docs/model/README.md has no table of steps")
	}
	for _, m := range rows {
		for name := range strings.SplitSeq(m[3], ", ") {
			folder := "aio/"
			if m[2] == "gate.go" {
				folder = "internal/gate/"
			}
			text := textOf(read(t, folder+m[2]), strings.Trim(name, "`"))
			found := steps{}
			found.collect(m[2], text, "//")
			if _, ok := found[m[1]]; !ok {
				t.Errorf("docs/model/README.md: step %s is not in %s of aio/%s", m[1], name, m[2])
			}
		}
	}
}

// textOf returns the text of a function of a file, "" if there is none.
func textOf(source, name string) string {
	begin := regexp.MustCompile(`(?m)^func (\(\w+ \*\w+\) )?` + name + `\(`).FindStringIndex(source)
	if begin == nil {
		return ""
	}
	source = source[begin[0]:]
	if line, _, _ := strings.Cut(source, "\n"); strings.Contains(line, "}") { // in one line
		return line
	}
	text, _, _ := strings.Cut(source, "\n}\n")
	return text
}
