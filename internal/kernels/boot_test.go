//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/kernels/protocol"
)

// fakeMachine is one whose emulator is a shell script.
func fakeMachine(t *testing.T, script string) machine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return machine{qemu: path, console: "ttyS0"}
}

// TestTrap31_KVMIsProved: a device that can be opened is not enough, a guest has to get
// to its end with it.
func TestTrap31_KVMIsProved(t *testing.T) {
	begin := "echo '" + protocol.Line(protocol.Kernel, "6.1", "x86_64") + "'; "
	done := "echo '" + protocol.Line(protocol.Done) + "'"
	const second, minute = time.Second, time.Minute
	for _, tc := range []struct {
		name, device, script string
		limit                time.Duration
		want                 string // empty: it works
	}{
		{"no device", "no such device", begin + done, minute, "no such file"},
		{"works", os.DevNull, begin + done, minute, ""},
		{"hangs at once", os.DevNull, "exec sleep 1000", second, "no guest gets to its end within 1s"},
		{"hangs on the way", os.DevNull, begin + "exec sleep 1000", second, "no guest gets to its end within 1s"},
		{"refuses", os.DevNull, "echo failed to initialize kvm >&2; exit 1", minute, "failed to initialize kvm"},
		{"ends before its time", os.DevNull, begin, minute, "before its time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			err := proveKVM(t.Context(), tc.device, fakeMachine(t, tc.script), "vmlinuz", "initramfs", tc.limit)
			switch {
			case err == nil && tc.want != "":
				t.Errorf("it is believed, want an error with %q", tc.want)
			case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v, want %q", err, tc.want)
			}
			if took := time.Since(start); took > minute {
				t.Errorf("it took %v", took)
			}
		})
	}
	if accel, reason := accelerator(t.Context(), "another", "", ""); accel != emulation || reason == "" {
		t.Errorf("another architecture: %s, %s", accel, reason)
	}
}

// A kernel that panics before its init runs is booted again, but not without end; after that only
// if it has met a breakpoint of its own making. So is one whose clock is wrong.
func TestBootThatFailsIsTriedAgain(t *testing.T) {
	const panics = "echo 'Kernel panic - not syncing: Fatal exception in interrupt'"
	begin := "echo '" + protocol.Line(protocol.Kernel, "6.1", "x86_64") + "'; "
	done := "echo '" + protocol.Line(protocol.Done) + "'"
	job := func(ms string) string { // that took so long by the guest's clock
		end := strings.Replace(protocol.Line(protocol.End, "aio", protocol.OK, "MS"), "MS", `'"`+ms+`"'`, 1)
		return "echo '" + protocol.Line(protocol.Begin, "aio") + "'; echo '" + end + "'"
	}
	for _, tc := range []struct {
		name, script string
		boots        string
		works        bool
	}{
		{"first boot only", "if [ $(wc -l <count) = 1 ]; then " + panics + "; else " + begin + done + "; fi", "11", true},
		{"each boot", panics, "111", false},
		{"after init has run", begin + panics, "1", false},
		{"breakpoint after that", "if [ $(wc -l <count) = 1 ]; then " + begin + "echo 'Oops: int3: 0000 [#1] SMP NOPTI'; " + panics + "; else " + begin + done + "; fi", "11", true},
		{"clock of the first boot", begin + job("$((7000 / $(wc -l <count)))") + "; " + done, "11", true},
		{"clock of each boot", begin + job("3600000") + "; " + done, "111", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			m := fakeMachine(t, "echo 1 >>count; "+tc.script)
			guest, err := bootSoundly(t.Context(), m, emulation, "vmlinuz", "initramfs", io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			count, err := os.ReadFile("count")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(string(count), "\n", ""); got != tc.boots || (guest.problem() == "") != tc.works {
				t.Errorf("boots %s, want %s; problem %q", got, tc.boots, guest.problem())
			}
		})
	}
}
