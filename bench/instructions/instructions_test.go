package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Every path can be gone through, and ends.
func TestPaths(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			if status := runPath(p.name, 50); status != 0 && status != absentStatus {
				t.Errorf("status %d", status)
			}
		})
	}
	if runPath("no such path", 1) == 0 {
		t.Error("an unknown path is no error")
	}
}

func counted(goVersion string, per map[string]int) *baseline {
	b := &baseline{goVersion: goVersion, counter: "test"}
	for _, name := range []string{"a", "b", "c"} {
		if n, ok := per[name]; ok {
			b.add(name, n)
		}
	}
	return b
}

func TestBaselineIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "baseline")
	b := counted("go1.26", map[string]int{"a": 7, "b": 1234})
	if err := b.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := readBaseline(file)
	if err != nil {
		t.Fatal(err)
	}
	if lines, over := compare(b, got); over != 0 || len(lines) != 2 || got.goVersion != b.goVersion || got.counter != b.counter {
		t.Errorf("%+v, want %+v", got, b)
	}
	if err := os.WriteFile(file, []byte("many\ta\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readBaseline(file); err == nil {
		t.Error("nonsense is accepted")
	}
}

func TestTheGate(t *testing.T) {
	before := counted("go1.26", map[string]int{"a": 1000, "b": 10})
	for _, c := range []struct {
		goVersion string
		a, b      int
		pass      bool
	}{
		{"go1.26", 1100, 12, true},
		{"go1.26", 500, 1, true},
		{"go1.26", 1101, 10, false},
		{"go1.26", 1000, 13, false},
		{"go1.27", 5000, 50, true}, // another compiler
	} {
		now := counted(c.goVersion, map[string]int{"a": c.a, "b": c.b, "c": 1})
		if pass := report(before, now); pass != c.pass {
			t.Errorf("%s, %d and %d: passed %v", c.goVersion, c.a, c.b, pass)
		}
	}
	lines, _ := compare(before, counted("go1.26", map[string]int{"b": 10, "c": 5}))
	if all := strings.Join(lines, ""); !strings.Contains(all, "not counted here") || !strings.Contains(all, "new") {
		t.Errorf("what is missing and what is new is not said:\n%s", all)
	}
}

func TestGoMinor(t *testing.T) {
	for version, want := range map[string]string{"go1.26.8": "go1.26", "go1.26": "go1.26", "go1.27rc1 X:y": "go1.27rc1", "devel": "devel"} {
		if got := goMinor(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}
