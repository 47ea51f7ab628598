//go:build linux

package protocol

import (
	"slices"
	"testing"
)

func TestLineThereAndBack(t *testing.T) {
	line := Line(End, "a job", "exit\tstatus\n1", "12")
	for _, console := range []string{line, line + "\r\n", "[    1.5] random: " + line} {
		k, fields, ok := Parse(console)
		if !ok || k != End || !slices.Equal(fields, []string{"a job", "exit status 1", "12"}) {
			t.Errorf("%q: %v %q %v", console, k, fields, ok)
		}
	}
	if _, _, ok := Parse("[    0.1] Linux version 6.1"); ok {
		t.Error("a line of the kernel was taken for one of the protocol")
	}
}
