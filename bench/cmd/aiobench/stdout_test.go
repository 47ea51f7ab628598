package main

import (
	"os"
	"path/filepath"
	"testing"
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
