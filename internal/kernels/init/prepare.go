//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const memory = "memory"

// mounts are the file systems of the guest, in order.
var mounts = []struct {
	dir, kind, data string
}{
	{"/proc", "proc", ""},
	{"/sys", "sysfs", ""},
	{"/sys/fs/cgroup", "tmpfs", ""},
	{"/sys/fs/cgroup/pids", "cgroup", "pids"},
	{"/sys/fs/cgroup/cpu", "cgroup", "cpu"},
	{"/sys/fs/cgroup/memory", "cgroup", memory},
	{"/dev", "devtmpfs", ""},
	{"/dev/pts", "devpts", "mode=0620,ptmxmode=0666"},
	{"/dev/shm", "tmpfs", ""},
	{"/tmp", "tmpfs", "mode=1777"},
}

// prepare makes the guest a place in which tests of a Linux program can run.
func prepare() error {
	unix.Umask(0o022)
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		err := unix.Mount(m.kind, m.dir, m.kind, 0, m.data)
		if err != nil && m.data == memory {
			err = unifiedMemory(m.dir)
		}
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := os.MkdirAll("/bin", 0o755); err != nil {
		return err
	}
	for _, link := range [][2]string{{"/proc/self/fd", "/dev/fd"}, {"pts/ptmx", "/dev/ptmx"}, {"/init", "/bin/cat"}} {
		_ = os.Remove(link[1])
		if err := os.Symlink(link[0], link[1]); err != nil {
			return err
		}
	}
	for _, e := range [][2]string{{"PATH", "/bin"}, {"HOME", "/tmp"}, {"TMPDIR", "/tmp"}, {"USER", "root"}} {
		os.Setenv(e[0], e[1])
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 1 << 19}); err != nil {
		return fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	// The kernel's choice goes by the memory, of which a guest has little.
	if err := unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: 1 << 17, Max: 1 << 17}); err != nil {
		return fmt.Errorf("RLIMIT_SIGPENDING: %w", err)
	}
	return loopbackUp()
}

// unifiedMemory limits memory where a kernel has it in version 2 of cgroups only, as Debian builds newer
// ones. The folder of version 1 goes.
func unifiedMemory(dir string) error {
	const unified = "/sys/fs/cgroup/unified"
	if err := errors.Join(os.Remove(dir), os.Mkdir(unified, 0o755)); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", unified, "cgroup2", 0, ""); err != nil {
		return err
	}
	return os.WriteFile(unified+"/cgroup.subtree_control", []byte("+memory"), 0)
}

// loopbackUp sets the flag that ifconfig lo up would set; the kernel adds the address.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(request))); errno != 0 {
		return fmt.Errorf("loopback: %w", errno)
	}
	return nil
}
