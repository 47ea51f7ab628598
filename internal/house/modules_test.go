package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestUserGetsFewModules checks what a module that requires the library gets with it.
func TestUserGetsFewModules(t *testing.T) {
	library, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := "module user\n\ngo 1.25.0\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + library + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Path}}", "all")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	library, _, _ = strings.Cut(uring, "/syscall")
	want := []string{"user", module, library, unix}
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("a user's module graph is %v, want %v", got, want)
	}
}

// TestNoModuleNeedsNewerGo: make bench builds these, and with an older Go than a module asks for
// it would download a toolchain, many times as much as all modules together.
func TestNoModuleNeedsNewerGo(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go \S+$`)
	want := version.FindString(read(t, "go.mod"))
	for _, file := range []string{"go.work", "bench/go.mod", "bench/peers/gnet/go.mod"} {
		if got := version.FindString(read(t, file)); got != want || want == "" {
			t.Errorf("%s says %q, and go.mod %q", file, got, want)
		}
	}
}
