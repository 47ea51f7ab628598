package backendtest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// What a Poller does where something is forbidden or used up. Each of these runs
// in a process of its own, because a filter and a limit cannot be undone, and
// because a probe's answer is remembered.
var environmentChecks = []check{
	{name: "trap20_epoll_pwait2_is_missing", bare: true, run: inFilter(unix.ENOSYS, (*home).shortTimeouts, unix.SYS_EPOLL_PWAIT2)},
	{name: "trap20_epoll_pwait2_is_forbidden", bare: true, run: inFilter(unix.EPERM, (*home).shortTimeouts, unix.SYS_EPOLL_PWAIT2)},
	{name: "trap33_epoll_pwait2_fails_with_eacces", bare: true, run: inFilter(unix.EACCES, (*home).shortTimeouts, unix.SYS_EPOLL_PWAIT2)},
	{name: "trap33_epoll_pwait2_fails_with_einval", bare: true, run: inFilter(unix.EINVAL, (*home).shortTimeouts, unix.SYS_EPOLL_PWAIT2)},
	{name: "trap33_io_uring_fails_with_eacces", bare: true, run: inFilter(unix.EACCES, (*home).worksOrTellsOfFilter, ioUring...)},
	{name: "trap33_io_uring_enter_fails_with_eacces", bare: true, run: inFilter(unix.EACCES, (*home).worksOrTellsOfFilter, unix.SYS_IO_URING_ENTER)},
	{name: "trap33_io_uring_register_fails_with_eopnotsupp", bare: true, run: inFilter(unix.EOPNOTSUPP, (*home).worksOrTellsOfFilter, unix.SYS_IO_URING_REGISTER)},
	{name: "trap33_epoll_create1_fails_with_eacces", bare: true, run: inFilter(unix.EACCES, (*home).worksOrTellsOfFilter, unix.SYS_EPOLL_CREATE1)},
	{name: "trap22_io_uring_is_missing", bare: true, run: inFilter(unix.ENOSYS, (*home).worksOrTellsOfFilter, ioUring...)},
	{name: "trap22_io_uring_is_forbidden", bare: true, run: inFilter(unix.EPERM, (*home).worksOrTellsOfFilter, ioUring...)},
	{name: "trap22_io_uring_enter_is_forbidden", bare: true, run: inFilter(unix.EPERM, (*home).worksOrTellsOfFilter, unix.SYS_IO_URING_ENTER)},
	{name: "trap22_io_uring_register_is_forbidden", bare: true, run: inFilter(unix.EPERM, (*home).worksOrTellsOfFilter, unix.SYS_IO_URING_REGISTER)},
	{name: "trap22_no_descriptor_left", bare: true, run: inNewProcess((*home).noDescriptorLeft)},
	{name: "trap22_no_locked_memory", bare: true, run: inNewProcess((*home).noLockedMemory)},
}

var ioUring = []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// inNewProcess runs a subtest in a new process of the test binary.
func inNewProcess(run func(*home)) func(*home) {
	return func(h *home) {
		if inChild() {
			run(h)
			return
		}
		cmd := exec.Command(os.Args[0], "-test.run="+exactly(h.Name()), "-test.v", "-test.timeout=60s")
		// With the race detector a process stays for a second more, unless told not to.
		cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		switch {
		case err != nil:
			h.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP"):
			h.Skipf("skipped in the new process:\n%s", out)
		case !strings.Contains(string(out), "--- PASS"):
			h.Errorf("the new process ran no test:\n%s", out)
		}
	}
}

// exactly is the pattern that matches one subtest.
func exactly(name string) string { return "^" + strings.ReplaceAll(name, "/", "$/^") + "$" }

// inFilter runs a subtest in a process in which the calls fail with errno.
func inFilter(errno unix.Errno, run func(*home), calls ...uint32) func(*home) {
	return inNewProcess(func(h *home) {
		if err := forbid(errno, calls...); err != nil {
			h.Skipf("skipped: the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): %v", err)
		}
		run(h)
	})
}

// shortTimeouts: a timeout of 300 µs that is rounded down to a millisecond's
// fraction of zero would be over many times.
func (h *home) shortTimeouts() {
	if !h.workable() {
		return
	}
	const timeout = 300 * time.Microsecond
	h.add(h.eventfd(0).fd, backend.In, 1)
	h.wait(0)
	for range 20 {
		waits := 0
		for left, start := timeout, time.Now(); left > 0; left = timeout - time.Since(start) {
			h.wait(left)
			waits++
		}
		if waits > 2 {
			h.Errorf("%d Waits until %v were over", waits, timeout)
		}
	}
	h.works()
}

// workable opens a Poller; one that is not available says so in the right way.
func (h *home) workable() bool {
	h.Helper()
	p, err := h.open()
	if err != nil {
		h.tells(err)
		h.Logf("not available, and says: %v", err)
		return false
	}
	h.p = p
	h.Cleanup(func() { h.must("Close", p.Close()) })
	h.bind(p)
	return true
}

// tells checks the form of the error of a Poller that is not available.
func (h *home) tells(err error, causes ...error) {
	h.Helper()
	var u *backend.UnavailableError
	if !errors.Is(err, backend.ErrUnavailable) || !errors.As(err, &u) {
		h.Fatalf("the error %v (%T) is no *backend.UnavailableError", err, err)
	}
	if u.Backend == "" || u.Op == "" || u.Err == nil || u.Advice == "" {
		h.Errorf("the error does not tell everything: %+v", *u)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			h.Errorf("the error %v does not wrap %q", err, cause)
		}
	}
}

// works is a test of everything that a Poller asks the kernel for.
func (h *home) works() {
	h.Helper()
	level, edge, file := h.eventfd(0), h.eventfd(0), h.file("")
	h.add(level.fd, backend.In, 11)
	h.add(edge.fd, backend.In|backend.Edge, 12)
	h.quiet()
	for range 5 {
		level.signal()
		h.expect(11)
		level.drain()
		edge.signal()
		h.expect(12)
		edge.drain()
	}
	h.add(file.fd, backend.In, 13)
	h.expect(13)
	for _, d := range []*descriptor{level, edge, file} {
		h.remove(d.fd)
	}
	h.quiet()
}

func (h *home) worksOrTellsOfFilter() {
	p, err := h.open()
	if err != nil {
		h.tells(err, backend.ErrSeccomp)
		h.Logf("not available, and says: %v", err)
		return
	}
	h.must("Close", p.Close())
	h.workable()
	h.works()
}

// noDescriptorLeft: the failure must not be remembered.
func (h *home) noDescriptorLeft() {
	h.must("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}))
	for spare := range 3 {
		fill := h.useUpDescriptors()
		for range spare {
			fill[0].close()
			fill = fill[1:]
		}
		if p, err := h.open(); err == nil {
			h.must("Close", p.Close())
		} else {
			h.tells(err, backend.ErrFDLimit, unix.EMFILE)
			h.Logf("with %d descriptors left: %v", spare, err)
		}
		for _, d := range fill {
			d.close()
		}
	}
	if h.workable() {
		h.works()
	} else {
		h.Error("not available although there are descriptors again")
	}
}

func (h *home) useUpDescriptors() (fill []*descriptor) {
	h.Helper()
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fill
		}
		fill = append(fill, h.descriptor(fd))
	}
}

// noLockedMemory fails where rings count as locked memory: before Linux 5.12, and on newer
// kernels, 6.18 for one, again. In between they are charged to the memory cgroup.
func (h *home) noLockedMemory() {
	h.must("setrlimit", unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{}))
	h.dropLockPrivilege()
	p, err := h.open()
	if err != nil {
		h.tells(err, backend.ErrMemlock)
		h.Logf("not available, and says: %v", err)
		return
	}
	h.must("Close", p.Close())
	h.workable()
	h.works()
}

// dropLockPrivilege gives up CAP_IPC_LOCK, which knows no limit, on this thread.
func (h *home) dropLockPrivilege() {
	h.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	h.must("capget", unix.Capget(&header, &data[0]))
	data[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	h.must("capset", unix.Capset(&header, &data[0]))
	runtime.KeepAlive(&data)
}
