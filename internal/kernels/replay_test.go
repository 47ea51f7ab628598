//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// TestReplay: what a guest has said is read again, and is a failure if it broke off.
func TestReplay(t *testing.T) {
	k := theList(t).Kernels[0]
	m := &runner{options: &options{cache: t.TempDir(), replay: true}, list: theList(t), w: io.Discard}
	if _, err := m.results(t.Context(), []kernel{k}); err == nil {
		t.Error("there is nothing to read, and no error")
	}
	if err := os.Mkdir(filepath.Join(m.cache, "logs"), 0o777); err != nil {
		t.Fatal(err)
	}
	text := booted().say(protocol.Begin, "aio").output("\x16=== RUN   TestA", "\x16--- FAIL: TestA (0.00s)").String()
	if err := os.WriteFile(m.console(k), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	results, err := m.results(t.Context(), []kernel{k})
	if err != nil {
		t.Fatal(err)
	}
	failures := results[0].failures()
	for _, want := range []string{"ended during aio before its time", "TestA failed", "it should have"} {
		if !slices.ContainsFunc(failures, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("no %q in %q", want, failures)
		}
	}
	if m.run = "TestA"; m.console(k) == filepath.Join(m.cache, "logs", k.Name+".console") {
		t.Error("a run of a few tests replaces the console of a whole one")
	}
}
