package house

import (
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

// TestMainLoopDocNamesExamples checks that the examples which docs/main-loop.md names
// exist.
func TestMainLoopDocNamesExamples(t *testing.T) {
	doc := read(t, diagramDoc)
	examples := read(t, "mainloop/example_test.go")
	for _, name := range regexp.MustCompile(`\bExample\w*`).FindAllString(doc, -1) {
		if !strings.Contains(examples, "\nfunc "+name+"() {") {
			t.Errorf("%s names %s, which mainloop/example_test.go does not have", diagramDoc, name)
		}
	}
}
