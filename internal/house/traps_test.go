package house

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	trapsDoc = "docs/traps.md"
	lastTrap = 31 // of the rows without a gap; those after it are in order
)

// TestTrapsHaveTests checks that docs/traps.md has each row once, and that the tests
// that a row names exist. A row without any belongs to a package that does not.
func TestTrapsHaveTests(t *testing.T) {
	sources := goSources(t)
	next := 1
	for line := range strings.Lines(read(t, trapsDoc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		row, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || len(cells) != 4 {
			continue
		}
		if row != next && (row < next || next <= lastTrap) {
			t.Errorf("row %d follows row %d", row, next-1)
		}
		next = row + 1
		checkTrap(t, row, cells[2], cells[3], sources)
	}
	if next <= lastTrap {
		t.Errorf("%s ends with row %d, want %d at least", trapsDoc, next-1, lastTrap)
	}
}

// TestTrapsHaveRows checks that docs/traps.md has a row for each test that carries a row's number.
func TestTrapsHaveRows(t *testing.T) {
	numbers := regexp.MustCompile(`func (?:Test)?[Tt]rap(\d+)`).FindAllStringSubmatch(goSources(t), -1)
	if len(numbers) < 50 {
		t.Errorf("only %d tests carry a number", len(numbers))
	}
	doc := read(t, trapsDoc)
	for _, m := range numbers {
		if row, _ := strconv.Atoi(m[1]); !strings.Contains(doc, fmt.Sprintf("\n| %d |", row)) {
			t.Errorf("%s has no row %d, which %s... tests", trapsDoc, row, m[0])
		}
	}
}

func checkTrap(t *testing.T, row int, remedy, tests, sources string) {
	t.Helper()
	names := codeNames(tests)
	for _, name := range names {
		if !hasTest(sources, name) {
			t.Errorf("row %d: there is no test %s", row, name)
		}
	}
	if len(names) > 0 {
		return
	}
	_, missing, found := strings.Cut(remedy, "not there yet:")
	packages := codeNames(missing)
	if !found || len(packages) != 1 {
		t.Fatalf("row %d names no test, and no package that is missing", row)
	}
	if _, err := os.Stat(filepath.Join(root, packages[0])); err == nil {
		t.Errorf("row %d says that there is no package %s: name its tests", row, packages[0])
	}
}

// hasTest looks for a function or, as a string, the name of a subtest.
func hasTest(sources, name string) bool {
	begin, open := strings.CutSuffix(name, "*")
	if open {
		return strings.Contains(sources, "func "+begin) || strings.Contains(sources, `"`+begin)
	}
	return strings.Contains(sources, "func "+name+"(") || strings.Contains(sources, `"`+name+`"`)
}

// TestSecurityNamesTests checks that the tests which docs/security.md names exist.
func TestSecurityNamesTests(t *testing.T) {
	sources := goSources(t)
	names := slices.DeleteFunc(codeNames(read(t, "docs/security.md")), func(name string) bool {
		return !regexp.MustCompile(`^Test[A-Z]|^[a-z]+\d*(_[a-z]+){3}`).MatchString(name)
	})
	if len(names) < 10 {
		t.Errorf("docs/security.md names only %d tests", len(names))
	}
	for _, name := range names {
		if !hasTest(sources, name) {
			t.Errorf("docs/security.md: there is no test %s", name)
		}
	}
}

// codeNames returns the names in a Markdown text that are quoted as code, perhaps
// with a star at the end.
func codeNames(text string) (names []string) {
	for _, m := range regexp.MustCompile("`(\\w+\\*?)`").FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// goSources returns all Go files but those of this package, which could quote.
func goSources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	eachGoFile(t, func(path string) {
		if !strings.HasPrefix(path, "internal/house/") {
			all.WriteString(read(t, path))
		}
	})
	return all.String()
}
