package bench

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParsePeer(t *testing.T) {
	out := []byte("{\"peer\":\"glib\",\"cpu_ns_per_op\":50}\n")
	for _, ns := range []uint64{300, 10, 200} { // 10 is a newline
		out = binary.NativeEndian.AppendUint64(out, ns)
	}
	samples, cpu, err := parsePeer(out, 3)
	if err != nil || cpu != 150 || !slices.Equal(samples, []time.Duration{300, 10, 200}) {
		t.Errorf("%v, %v, %v", samples, cpu, err)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), []byte("glib\n"), out[:len(out)-1]} {
		if _, _, err := parsePeer(bad, 3); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// A program that was not built is named, with the command that builds it; one that
// was is found from any folder of the tree.
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
	if _, err := findPeer("glib"); err == nil || !strings.Contains(err.Error(), "make -C bench/peers") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	want := filepath.Join(bin, "glib")
	if err := os.WriteFile(want, nil, 0o777); err != nil {
		t.Fatal(err)
	}
	if path, err := findPeer("glib"); err != nil || path != want {
		t.Errorf("%s, %v, want %s", path, err, want)
	}
}

// Only the scenario that it is a part of has the row in C.
func TestRowsIn(t *testing.T) {
	if rows := RowsIn([]string{"pingpong"}); !slices.Equal(rows, goRows()) {
		t.Errorf("pingpong: %q", rows)
	}
	if rows := RowsIn([]string{"self-bh", "mainloop"}); !slices.Equal(rows, Rows()) {
		t.Errorf("mainloop: %q", rows)
	}
}
