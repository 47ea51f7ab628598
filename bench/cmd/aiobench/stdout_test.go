package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/bench/report"
)

// TestResultsWithoutReader: the files are complete whatever happens to the table.
func TestResultsWithoutReader(t *testing.T) {
	for _, c := range []struct {
		name   string
		stdout func(*testing.T) *os.File
		status int
	}{
		{"reader has left", brokenPipe, 0},
		{"full", deviceFull, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			child := newChild(t, "yes", "-quick", "-scenario", "self-bh", "-backend", "ppoll", "-out", dir)
			child.cmd.Stdout = c.stdout(t)
			child.run(t, c.status)
			for _, name := range []string{"table.txt", "results.json", "report.html"} {
				if read(t, filepath.Join(dir, name)) == "" {
					t.Errorf("%s is empty", name)
				}
			}
		})
	}
}

// TestNoStdout: a shell's >&- closes descriptor 1, which no file may get then.
func TestNoStdout(t *testing.T) {
	needShell(t)
	dir := t.TempDir()
	child := newChild(t, "yes", "-quick", "-scenario", "self-bh", "-backend", "ppoll", "-out", dir)
	child.cmd.Args = append([]string{"sh", "-c", `exec "$0" "$@" >&-`, child.cmd.Path}, child.cmd.Args[1:]...)
	child.cmd.Path = "/bin/sh"
	child.run(t, 0)
	if _, err := report.ReadJSON(strings.NewReader(read(t, filepath.Join(dir, "results.json")))); err != nil {
		t.Error(err)
	}
}

// TestResultsWithoutFolder: without -out the results are in a folder of their own, and where
// it cannot be made in a temporary one.
func TestResultsWithoutFolder(t *testing.T) {
	temp := t.TempDir()
	for _, c := range []struct {
		name, in string
		prepare  func(dir string) error
	}{
		{"here", standardOut, func(string) error { return nil }},
		{"a file is in the way", "", func(dir string) error { return os.WriteFile(filepath.Join(dir, standardOut), nil, 0o666) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := newChild(t, "yes", "-quick", "-scenario", "self-bh", "-backend", "ppoll")
			child.cmd.Env = append(child.cmd.Env, "TMPDIR="+temp)
			if err := c.prepare(child.cmd.Dir); err != nil {
				t.Fatal(err)
			}
			child.run(t, 0)
			found, err := filepath.Glob(filepath.Join(temp, standardOut+"-*"))
			if c.in != "" {
				found = append(found, filepath.Join(child.cmd.Dir, c.in))
			}
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, folders %q", err, found)
			}
			read(t, filepath.Join(found[0], "results.json"))
			if !strings.Contains(child.stdout.String(), filepath.Base(found[0])) {
				t.Errorf("the screen does not name the folder:\n%s", &child.stdout)
			}
		})
	}
}

// TestProgressWithoutReader: a run goes on when the reader of its progress has left.
func TestProgressWithoutReader(t *testing.T) {
	dir := t.TempDir()
	child := newChild(t, "yes", "-quick", "-scenario", "self-bh", "-backend", "ppoll", "-out", dir)
	child.cmd.Stderr = brokenPipe(t)
	child.run(t, 0)
	if read(t, filepath.Join(dir, "results.json")) == "" {
		t.Error("no results")
	}
}

// brokenPipe is a pipe without a reader.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

func deviceFull(t *testing.T) *os.File {
	t.Helper()
	w, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}
