//go:build linux

package vmtest

import (
	"os"
	"testing"
)

// TestModulesAreLoaded: kernels.json asks for them, for tests that need a disk without
// hardware. Reading proves that a node has a driver behind it.
func TestModulesAreLoaded(t *testing.T) {
	needVM(t)
	for _, module := range []string{"null_blk", "dm_mod", "dm_flakey", "nbd"} {
		if _, err := os.Stat("/sys/module/" + module); err != nil {
			t.Error(err)
		}
	}
	for _, device := range []string{"/dev/nullb0", "/dev/nbd0", "/dev/mapper/control"} {
		f, err := os.Open(device)
		if err != nil {
			t.Error(err)
			continue
		}
		f.Close()
	}
	f, err := os.Open("/dev/nullb0")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.Read(make([]byte, 4096)); n != 4096 || err != nil {
		t.Errorf("reading /dev/nullb0: %d, %v", n, err)
	}
}
