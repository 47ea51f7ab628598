//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is how to emulate a computer of an architecture.
type machine struct {
	qemu, debian string // the program, and the Debian package that has it
	console      string // the kernel's name of the serial line
	args         []string
	boot         string // in addition on the kernel's command line
}

// machines: page tables of 5 levels are slow to emulate. On a busy machine the emulated
// timer does not tick in time for the kernel's check at boot, and its clock looks unstable
// beside another one: each reading is then a device access.
var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", "ttyS0", []string{"-cpu", "max,la57=off"}, "no_timer_check tsc=reliable"},
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", "ttyAMA0", []string{"-machine", "virt", "-cpu", "cortex-a72"}, ""},
}

// Limits of a guest, between which nothing may be silent.
const (
	bootLimit  = 3 * time.Minute
	quietLimit = testLimit + 30*time.Second
	probeLimit = 15 * time.Second
)

// guestMemory holds the initramfs twice while it is unpacked, and the tests.
const guestMemory = "2048"

// command is the emulator's, with the console on its standard output.
func (m machine) command(ctx context.Context, accel, kernel, initramfs string) *exec.Cmd {
	args := append([]string{
		"-accel", accel, "-smp", "2", "-m", guestMemory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs,
		"-append", "console=" + m.console + " rdinit=/init panic=-1 oops=panic loglevel=4 mitigations=off random.trust_cpu=on " + m.boot,
	}, m.args...)
	return exec.CommandContext(ctx, m.qemu, args...)
}

// boot runs a guest until it has switched itself off, or is silent for too long. It
// copies the console to log.
func boot(ctx context.Context, m machine, accel, kernel, initramfs string, log io.Writer) (*transcript, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := m.command(ctx, accel, kernel, initramfs)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := newTranscript()
	t.live = true
	t.cpu = func() time.Duration { return cpuTime(cmd.Process.Pid) }
	watch(t, out, log, bootLimit, quietLimit, cancel)
	t.cpuTotal = t.cpu()
	if err := cmd.Wait(); err != nil && t.problem() == "" {
		return t, fmt.Errorf("%s: %w\n%s", m.qemu, err, &stderr)
	}
	if !t.done && t.silent == 0 && stderr.Len() > 0 {
		return t, errors.New(stderr.String())
	}
	return t, nil
}

// boots is how often a guest may be started that is a victim of the emulation. A kernel that
// changes its own code, at boot most of all, may panic: another of the emulator's threads meets the
// breakpoint that stands there for a moment ("Oops: int3"). One that measures its clock at boot, on a busy
// host, may find one that runs several times too fast, and each limit is over too early.
const boots = 3

// bootSoundly is boot, again if the guest is a victim of the emulation.
func bootSoundly(ctx context.Context, m machine, accel, kernel, initramfs string, log io.Writer) (t *transcript, err error) {
	for range boots {
		t, err = boot(ctx, m, accel, kernel, initramfs, log)
		if err != nil || !t.victim() {
			break
		}
	}
	return t, err
}

// cpuTime is what a process has used of the CPUs; 0 if it cannot be asked. See
// clock_getcpuclockid(3): the clock's number is made of the process's.
func cpuTime(pid int) time.Duration {
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// watch reads the console to its end. A guest that says nothing in time is stopped:
// at the beginning nothing of the protocol, and then no line at all.
func watch(t *transcript, console io.Reader, log io.Writer, first, quiet time.Duration, stop func()) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for b := bufio.NewReaderSize(console, 1<<16); ; {
			line, err := b.ReadString('\n')
			if line != "" {
				lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	limit := first
	timer := time.NewTimer(limit)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			_, _ = io.WriteString(log, line)
			t.line(line)
			if t.hurried != "" {
				stop()
			}
			if t.started() {
				limit = quiet
				timer.Reset(limit)
			}
		case <-timer.C:
			t.silent = limit
			stop()
			for line := range lines {
				t.line(line)
			}
			return
		}
	}
}

// emulation is without the CPU's help.
const emulation = "tcg,thread=multi"

// accelerator returns kvm if a guest gets to the end with it in a short time, and
// emulation otherwise, with the reason.
func accelerator(ctx context.Context, arch, kernel, dir string) (accel, reason string) {
	if arch != hostArch {
		return emulation, "another architecture than this machine's"
	}
	initramfs, err := build(ctx, dir, arch, "-probe", nil, nil)
	if err != nil {
		return emulation, err.Error()
	}
	if err := proveKVM(ctx, "/dev/kvm", machines[arch], kernel, initramfs, probeLimit); err != nil {
		return emulation, err.Error()
	}
	return "kvm", "a probe boot worked"
}

// proveKVM boots a guest: that the device exists does not mean that it works.
func proveKVM(ctx context.Context, device string, m machine, kernel, initramfs string, limit time.Duration) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t, err := boot(ctx, m, "kvm", kernel, initramfs, io.Discard)
	switch {
	case t != nil && t.done:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("with %s no guest gets to its end within %v", device, limit)
	case err != nil:
		return fmt.Errorf("with %s: %s", device, firstLine(err.Error()))
	}
	return fmt.Errorf("with %s: %s", device, t.problem())
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
