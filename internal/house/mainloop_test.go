package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeShowsAlarm checks that the README's program of the main loop is the one
// that is compiled and run as an example, and that its main has ten lines.
func TestReadmeShowsAlarm(t *testing.T) {
	_, code, found := strings.Cut(read(t, "examples/alarm/main.go"), "\npackage main\n")
	if !found {
		t.Fatal("examples/alarm/main.go has no package clause")
	}
	_, main, found := strings.Cut(code, "\nfunc main() {")
	if lines := strings.Count(main, "\n"); !found || lines != 10 {
		t.Errorf("main has %d lines", lines)
	}
	if !slices.Contains(goBlocks(read(t, "README.md")), "func main() {"+main) {
		t.Errorf("no Go block of README.md is the function main of examples/alarm/main.go:\n%s", code)
	}
}

// TestMainLoopDocLeads checks the links of docs/main-loop.md, and that the examples
// that it names exist.
func TestMainLoopDocLeads(t *testing.T) {
	doc := read(t, diagramDoc)
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(doc, -1) {
		if _, err := os.Stat(filepath.Join(root, filepath.Dir(diagramDoc), m[1])); err != nil {
			t.Errorf("%s links to %s: %v", diagramDoc, m[1], err)
		}
	}
	examples := read(t, "mainloop/example_test.go")
	for _, name := range regexp.MustCompile(`\bExample\w*`).FindAllString(doc, -1) {
		if !strings.Contains(examples, "\nfunc "+name+"() {") {
			t.Errorf("%s names %s, which mainloop/example_test.go does not have", diagramDoc, name)
		}
	}
}
