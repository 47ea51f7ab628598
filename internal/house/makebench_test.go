package house

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pretendGo is a toolchain that writes down what it is to build, and where. Its caches are in a
// home that cannot be written to, by root neither.
const pretendGo = `#!/bin/sh
case "$1 $2" in
"env GOCACHE") echo "${GOCACHE:-/dev/null/build}" ;;
"env GOMODCACHE") echo "${GOMODCACHE:-/dev/null/modules}" ;;
*) echo "$1 $(basename "$PWD") $GOCACHE $GOMODCACHE" >>"$LOG" ;;
esac
`

// TestMakeBenchWithoutHome: a user without a home gets temporary caches, for the peers too. What
// is not built is said, but not among the results.
func TestMakeBenchWithoutHome(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"Makefile", "bench/peers/Makefile", "bench/peers/gnet/main.go", "bench/peers/gnet/go.mod", "bench/peers/gnet/go.sum"} {
		writeTo(t, filepath.Join(dir, name), read(t, name))
	}
	pretended, log := filepath.Join(dir, "pretended-go"), filepath.Join(dir, "log")
	writeTo(t, pretended, pretendGo)
	cmd := exec.Command("make", "bench", "GO="+pretended, "CC=none")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LOG="+log, "GOCACHE=", "GOMODCACHE=", "MAKEFLAGS=", "MAKELEVEL=0", "TMPDIR="+dir) // make says more inside of another
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	if !strings.Contains(stderr.String(), "left out: ") || len(out) > 0 {
		t.Errorf("on stdout, where only the report belongs, is %q, and on stderr %q", out, &stderr)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "build gnet ") || !strings.HasPrefix(lines[1], "run ") {
		t.Fatalf("make bench built\n%s\nwant gnet, then the benchmark", b)
	}
	_, gnet, _ := strings.Cut(lines[0], "gnet ")
	if caches := strings.Fields(gnet); len(caches) != 2 || !strings.HasPrefix(caches[0], dir) || !strings.HasSuffix(lines[1], " "+gnet) {
		t.Errorf("the caches are not the same temporary ones:\n%s", b)
	} else if _, err := os.Stat(filepath.Dir(caches[0])); err == nil {
		t.Errorf("%s is left behind", caches[0])
	}
}

func writeTo(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
}
