package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

// peerOutput is what a peer prints, with samples of so many nanoseconds.
func peerOutput(head string, samples ...uint64) []byte {
	out := []byte(head + "\n")
	for _, ns := range samples {
		out = binary.NativeEndian.AppendUint64(out, ns)
	}
	return out
}

func TestParsePeer(t *testing.T) {
	out := peerOutput(`{"peer":"glib","mode":"idle","samples":3,"batch":2,"cpu_ns_per_op":50,"bytes_per_idle":96}`, 300, 10, 200) // 10 is a newline
	r, err := parsePeer(out)
	if err != nil {
		t.Fatal(err)
	}
	if r.peer != "glib" || r.mode != "idle" || r.ops() != 6 || r.cpu != 300 || r.bytesPerIdle != 96 || !slices.Equal(r.samples, []time.Duration{300, 10, 200}) {
		t.Errorf("%+v", r)
	}
}

func TestParsePeerRefuses(t *testing.T) {
	const good = `{"samples":1,"batch":1,"cpu_ns_per_op":50}`
	for name, out := range map[string][]byte{
		"nothing":          nil,
		"no JSON":          []byte("glib\n"),
		"no line":          []byte(good),
		"empty object":     []byte("{}\n"),
		"no samples":       peerOutput(good),
		"cut off":          peerOutput(good, 1)[:len(good)+4],
		"too many":         peerOutput(good, 1, 2),
		"no batch":         peerOutput(`{"samples":1,"cpu_ns_per_op":50}`, 1),
		"batch of zero":    peerOutput(`{"samples":1,"batch":0,"cpu_ns_per_op":50}`, 1),
		"zero samples":     peerOutput(`{"samples":0,"batch":1,"cpu_ns_per_op":50}`),
		"negative":         peerOutput(`{"samples":-1,"batch":1,"cpu_ns_per_op":50}`),
		"huge":             peerOutput(`{"samples":1,"batch":4611686018427387904,"cpu_ns_per_op":50}`, 1),
		"no CPU time":      peerOutput(`{"samples":1,"batch":1}`, 1),
		"negative CPU":     peerOutput(`{"samples":1,"batch":1,"cpu_ns_per_op":-1}`, 1),
		"a century of CPU": peerOutput(`{"samples":1,"batch":1,"cpu_ns_per_op":1e300}`, 1),
		"a long sample":    peerOutput(good, 1<<63),
		"words":            peerOutput(`{"samples":"one","batch":1,"cpu_ns_per_op":50}`, 1),
	} {
		if r, err := parsePeer(out); !errors.Is(err, errPeerOutput) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzParsePeer(f *testing.F) {
	f.Add(peerOutput(`{"peer":"c","mode":"spin","samples":2,"batch":100,"cpu_ns_per_op":5.5}`, 3, 4))
	f.Add([]byte("{\"samples\":1,\"batch\":1,\"cpu_ns_per_op\":1}\n\x00"))
	f.Fuzz(func(t *testing.T, out []byte) {
		r, err := parsePeer(out)
		if err != nil {
			return
		}
		if len(r.samples) == 0 || r.ops() < int64(len(r.samples)) || r.cpu < 0 {
			t.Errorf("%+v", r)
		}
	})
}

// script makes a peer out of a few lines of shell.
func script(t *testing.T, lines string) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("the peer is a script: ", err)
	}
	path := filepath.Join(t.TempDir(), "peer")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return path
}

// What answers has to be what was asked: a wrong program under the right name would
// make a wrong line.
func TestPeerRunChecksWhoAnswers(t *testing.T) {
	row := peerRow{mode: "idle", peer: "glib"}
	answer := func(peer, mode string) string {
		return script(t, fmt.Sprintf(`printf '{"peer":"%s","mode":"%s","samples":1,"batch":1,"cpu_ns_per_op":1}\n\001\001\001\000\000\000\000\000'`, peer, mode))
	}
	if _, err := row.run(answer("glib", "idle"), nil); err != nil {
		t.Error(err)
	}
	for _, path := range []string{answer("libev", "idle"), answer("glib", "wakeup")} {
		if _, err := row.run(path, nil); !errors.Is(err, errPeerOutput) {
			t.Error(err)
		}
	}
}

// A peer that cannot run says why in its own words.
func TestPeerRunFailure(t *testing.T) {
	_, err := peerRow{}.run(script(t, "echo io_uring is forbidden here >&2; exit 2"), nil)
	if err == nil || !strings.Contains(err.Error(), "io_uring is forbidden here") {
		t.Error(err)
	}
	if _, err := (peerRow{}).run(script(t, "kill -9 $$"), nil); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
	if _, err := (peerRow{}).run(filepath.Join(t.TempDir(), "missing"), nil); err == nil {
		t.Error("a missing program ran")
	}
}

// A program that was not built is named, with the reason; one that was is found from
// any folder of the tree.
func TestFindPeer(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "bench", "cmd")
	bin := filepath.Join(root, peersFolder)
	for _, dir := range []string{below, bin} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(below)
	if _, err := findPeer("glib"); err == nil || !strings.Contains(err.Error(), "make peers-deps") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	want := filepath.Join(bin, "glib")
	if err := os.WriteFile(want+".absent", []byte("glib.h was not found\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := findPeer("glib"); err == nil || err.Error() != "glib.h was not found" {
		t.Errorf("the error is not the reason: %v", err)
	}
	if err := os.WriteFile(want, nil, 0o777); err != nil {
		t.Fatal(err)
	}
	if path, err := findPeer("glib"); err != nil || path != want {
		t.Errorf("%s, %v, want %s", path, err, want)
	}
}

// Each row is listed for the scenarios that it is a part of.
func TestRowsIn(t *testing.T) {
	if rows := RowsIn([]string{"self-bh"}); !slices.Equal(rows, []string{"ppoll", "epoll", "io_uring", "epoll park", "io_uring park", GoroutineChannel, "libev (C)", "libuv (C)", "glib (C)"}) {
		t.Errorf("self-bh: %q", rows)
	}
	if rows := RowsIn([]string{"mainloop"}); !slices.Equal(rows, []string{"ppoll", "epoll", "io_uring", GoroutineChannel, Netpoller, "glib (C)"}) {
		t.Errorf("mainloop: %q", rows)
	}
	if rows := RowsIn(nil); !slices.Equal(rows, Rows()) {
		t.Errorf("some row is in no scenario: %q", rows)
	}
}

// Peers are pinned like the rows of the library.
func TestPeerPinning(t *testing.T) {
	for _, c := range []struct {
		where   cpus
		pinning peerPinning
		want    string
		notes   int
	}{
		{cpus{2, 3}, unpinned, "-cpu none", 0},
		{cpus{2, 3}, pinnedTogether, "-cpu 2", 0},
		{cpus{2, 3}, pinnedApart, "-cpus 2,3", 0},
		{cpus{2, -1}, pinnedApart, "-cpu 2", 1},
		{cpus{-1, -1}, pinnedTogether, "-cpu none", 1},
	} {
		s := newFixture(c.where)
		if got := strings.Join(s.pinningArgs(c.pinning), " "); got != c.want || len(s.notes) != c.notes {
			t.Errorf("%+v: %s, notes %q", c, got, s.notes)
		}
	}
}

// A variant of the backends is a row more for each of them in every scenario.
func TestVariantsAreRows(t *testing.T) {
	before := variants
	t.Cleanup(func() { variants = before })
	variants = append(slices.Clone(variants), variant{name: "other", mode: aio.ModeThread, unlocked: true, backends: []aio.Backend{aio.Epoll}})
	if list := Backends(); !slices.Contains(list, "epoll other") || slices.Contains(list, "ppoll other") {
		t.Fatalf("backends: %q", list)
	}
	groups, err := plan([]string{"pingpong", "self-timer", "busy"}, []string{"epoll other", "epoll"})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if len(g.cases) != 2 {
			t.Errorf("%v has %d cases", g, len(g.cases))
		}
	}
	if isLocked("epoll other") || !isLocked("epoll") || isLocked(Netpoller) {
		t.Error("locked and unlocked rows are mixed up")
	}
	for _, g := range groups {
		for _, c := range g.cases {
			if err := newTally(&c).round(&c, cpus{-1, -1}, phase{ops: 3}, report.NewRecorder()); err != nil {
				t.Errorf("%v: %v", g, err)
			}
		}
	}
}

// In each round every case has one turn, and over the rounds each comes first.
func TestTurns(t *testing.T) {
	first := map[int]bool{}
	for round := range 4 {
		order := turns(round, 4)
		first[order[0]] = true
		slices.Sort(order)
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("round %d: %v", round, order)
		}
	}
	if len(first) != 4 {
		t.Errorf("first were only %v", first)
	}
}
