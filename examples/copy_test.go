package examples

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCopy copies files with and without holes, by each engine, and compares every byte.
func TestCopy(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		dir := t.TempDir()
		for name, size := range map[string]int{"empty": 0, "small": 5, "blocks": 3 << 20, "odd": 20<<20 + 12345} {
			from, to := filepath.Join(dir, name), filepath.Join(dir, name+".copy")
			data := make([]byte, size)
			if len(data) > 0 {
				data[len(data)-1] = 1
			}
			random := rand.New(rand.NewPCG(1, 2))
			for i := 0; i < size/3; i++ { // the rest stays zero, but for the end
				data[i] = byte(random.Uint32())
			}
			sparse(t, from, data)
			for _, engine := range []string{"auto", "threads"} {
				for _, cached := range []string{"-cached", "-cached=false"} {
					sync := "-sync=" + strconv.FormatBool(engine == "auto")
					p := start(t, "copy", "-backend", backend, "-file-engine", engine, cached, sync, from, to)
					if size == 0 {
						p.expect("0 bytes$")
					} else {
						p.expect("100 %$")
					}
					p.exits()
					got, err := os.ReadFile(to)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("%s, %s, %s: the copy has %d bytes of %d, or others: %v", name, engine, cached, len(got), len(data), err)
					}
					if a, b := allocated(t, from), allocated(t, to); b > a+1<<20 {
						t.Errorf("%s: the copy takes %d bytes of the disk, the original %d", name, b, a)
					}
				}
			}
		}
	})
}

// sparse writes the blocks of data that are not zero.
func sparse(t *testing.T, name string, data []byte) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(data))); err != nil {
		t.Fatal(err)
	}
	const block = 4096
	for at := 0; at < len(data); at += block {
		part := data[at:min(at+block, len(data))]
		if strings.Trim(string(part), "\x00") == "" {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

func allocated(t *testing.T, name string) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(name, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}
