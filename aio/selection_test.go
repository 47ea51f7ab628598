package aio

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// What happens where a backend is not available. Each case is a process of its own,
// because filters and limits cannot be taken back.

func init() {
	children["seccomp EPERM"] = func() error { return underFilter(unix.EPERM) }
	children["seccomp ENOSYS"] = func() error { return underFilter(unix.ENOSYS) }
	children["no descriptors"] = withoutDescriptors
}

func TestTrap22_UnderASeccompFilter(t *testing.T) {
	runInChild(t, "seccomp EPERM")
	runInChild(t, "seccomp ENOSYS")
}

func TestTrap22_WithoutAnyDescriptorLeft(t *testing.T) {
	runInChild(t, "no descriptors")
}

// runInChild runs this test binary once more, for one function of children.
func runInChild(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name, "GORACE=atexit_sleep_ms=0") // the race detector waits a second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// forbid makes io_uring_setup fail with errno in this process, for ever.
func forbid(errno unix.Errno) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // no_new_privs is the thread's, until TSYNC spreads it
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if e != 0 {
		return os.NewSyscallError("seccomp", e)
	}
	return nil
}

// underFilter checks that the explicit choice fails with the cause, and that auto
// goes on and says why.
func underFilter(errno unix.Errno) error {
	if err := forbid(errno); err != nil {
		fmt.Println("no filter can be installed here:", err)
		return nil
	}
	_, err := New(WithBackend(IOUring))
	for _, want := range []error{backend.ErrUnavailable, backend.ErrSeccomp, errno} {
		if !errors.Is(err, want) {
			return fmt.Errorf("explicit: %v does not match %v", err, want)
		}
	}
	c, err := New()
	if err != nil {
		return fmt.Errorf("auto: %w", err)
	}
	defer c.Close()
	info := c.Backend()
	if info.Name != "epoll" || !strings.Contains(info.Reason, "seccomp") || !strings.Contains(info.Reason, "io_uring") {
		return fmt.Errorf("auto chose %v", info)
	}
	if err := os.Setenv(BackendEnv, "io_uring"); err != nil {
		return err
	}
	if _, err := New(); !errors.Is(err, backend.ErrUnavailable) {
		return fmt.Errorf("chosen by the environment, it fell back: %v", err)
	}
	return nil
}

// withoutDescriptors checks each choice in a process that has none left, and that
// everything works again once it has.
func withoutDescriptors() error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return err
	}
	for _, free := range []int{0, 1, 2} {
		taken := takeDescriptors()
		for range free {
			unix.Close(taken[len(taken)-1])
			taken = taken[:len(taken)-1]
		}
		err := tryAll(free)
		for _, fd := range taken {
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("with %d descriptors left: %w", free, err)
		}
	}
	for _, b := range append([]Backend{Auto}, realBackends...) {
		c, err := New(WithBackend(b))
		if err != nil {
			return fmt.Errorf("%v, afterwards: %w", b, err)
		}
		c.Close()
	}
	return nil
}

// takeDescriptors opens all that are left.
func takeDescriptors() (fds []int) {
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fds
		}
		fds = append(fds, fd)
	}
}

func tryAll(free int) error {
	for _, b := range append([]Backend{Auto}, realBackends...) {
		c, err := New(WithBackend(b))
		enough := free >= 2 || free == 1 && b == Ppoll // ppoll has the notifier alone
		if err == nil {
			err = c.Close()
			if !enough {
				return fmt.Errorf("%v: works", b)
			}
		}
		if enough != (err == nil) || err != nil && !errors.Is(err, unix.EMFILE) {
			return fmt.Errorf("%v: %v", b, err)
		}
		if left := takeDescriptors(); len(left) != free {
			return fmt.Errorf("%v: %d descriptors left afterwards, want %d", b, len(left), free)
		} else {
			for _, fd := range left {
				unix.Close(fd)
			}
		}
	}
	if _, err := NewEventNotifier(); free == 0 && !errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("NewEventNotifier: %v", err)
	}
	return nil
}
