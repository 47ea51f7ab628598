package house

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	makeHint   = regexp.MustCompile(`\bmake ([a-z]+[a-z-]*)`)
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
	goString   = regexp.MustCompile("\"(?:[^\"\\\\\n]|\\\\.)*\"")
)

// afterMake are words that follow "make" in a sentence.
var afterMake = []string{"no", "it", "that", "descriptors"}

// TestHintsNameTargets: where a program or a recipe says "make something", the Makefile of
// the root has that target.
func TestHintsNameTargets(t *testing.T) {
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, m[1])
	}
	hints := 0
	check := func(path, text string) {
		for _, m := range makeHint.FindAllStringSubmatch(text, -1) {
			if hints++; !slices.Contains(targets, m[1]) && !slices.Contains(afterMake, m[1]) {
				t.Errorf("%s says %q, and there is no such target", path, m[0])
			}
		}
	}
	eachFile(t, ".go", func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for line := range strings.Lines(read(t, path)) {
			code, _, _ := strings.Cut(line, "// ")
			check(path, strings.Join(goString.FindAllString(code, -1), " "))
		}
	})
	for _, path := range []string{"Makefile", "bench/peers/Makefile"} {
		for line := range strings.Lines(read(t, path)) {
			if !strings.HasPrefix(line, "#") {
				check(path, line)
			}
		}
	}
	if hints < 5 {
		t.Errorf("only %d hints were found", hints)
	}
}

// TestMakeRefusesUnknownVariables: one with a typing error does not pass unnoticed, and each
// that make help lists is known.
func TestMakeRefusesUnknownVariables(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("needs make:", err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("make", append([]string{"-s", "-C", root, "help"}, args...)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS") })
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("QIUCK=1"); err == nil || !strings.Contains(out, "There is no variable QIUCK") {
		t.Errorf("QIUCK=1: %v\n%s", err, out)
	}
	args := []string{"GO=go", "CGO_ENABLED=0", "GOFLAGS=-v", "CC=gcc"}
	for _, m := range regexp.MustCompile(`(?m)^## ([A-Z]+) `).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		args = append(args, m[1]+"="+strconv.Itoa(len(args)))
	}
	if out, err := run(args...); err != nil || len(args) < 10 {
		t.Errorf("%q: %v\n%s", args, err, out)
	}
}
