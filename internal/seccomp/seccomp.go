//go:build linux

// Package seccomp puts a test's process under a filter of system calls, among
// others one that a table of docs/security.md describes.
package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Allow kills the process with SIGSYS when it makes a call that is not named. It
// holds for all threads and for good.
func Allow(names []string) error {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for i, name := range names {
		number, ok := numbers[name]
		if !ok {
			return fmt.Errorf("seccomp: the number of %s is not known here", name)
		}
		toAllow := uint8(len(names) - i) // over the other comparisons and the trap
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: toAllow, K: number})
	}
	return Install(append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRAP}, // the runtime prints who it was
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}))
}

// Start are the calls that a Go program makes to start, beside those of the runtime.
var Start = []string{"execve", "openat", "fcntl", "prlimit64"}

// IOUring are the numbers of the system calls of an io_uring.
var IOUring = []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// Deny makes the calls of those numbers fail with errno, in all threads, in the
// programs that they start, and for good.
func Deny(errno unix.Errno, calls ...uint32) error {
	return refuse(unix.SECCOMP_RET_ERRNO|uint32(errno), calls)
}

// Kill ends the process when it makes one of the calls.
func Kill(calls ...uint32) error { return refuse(unix.SECCOMP_RET_KILL_PROCESS, calls) }

func refuse(action uint32, calls []uint32) error {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // the number of the call
	for _, call := range calls {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	return Install(append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}))
}

// Install puts all threads under a filter.
func Install(program []unix.SockFilter) error {
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // no_new_privs is the thread's, until TSYNC spreads it
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if e != 0 {
		return os.NewSyscallError("seccomp", e)
	}
	return nil
}

// Column reads a Markdown document and returns the first cells, without their
// quotes, of those rows that have an x in the named column. The table is the one
// whose header begins with "system call".
func Column(markdown, column string) (names []string) {
	at := -1
	for line := range strings.Lines(markdown) {
		cells := cellsOf(line)
		switch {
		case len(cells) == 0:
			at = -1
		case cells[0] == "system call":
			at = slices.Index(cells, column)
		case at > 0 && at < len(cells) && cells[at] == "x":
			names = append(names, here(strings.Trim(cells[0], "`")))
		}
	}
	return names
}

func cellsOf(line string) (cells []string) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
		cells = append(cells, strings.TrimSpace(c))
	}
	return cells
}

// numbers are the calls that the table may name.
var numbers = map[string]uint32{
	"clock_gettime":     unix.SYS_CLOCK_GETTIME,
	"clone":             unix.SYS_CLONE,
	"close":             unix.SYS_CLOSE,
	"dup3":              unix.SYS_DUP3,
	"epoll_create1":     unix.SYS_EPOLL_CREATE1,
	"epoll_ctl":         unix.SYS_EPOLL_CTL,
	"epoll_pwait":       unix.SYS_EPOLL_PWAIT,
	"epoll_pwait2":      unix.SYS_EPOLL_PWAIT2,
	"eventfd2":          unix.SYS_EVENTFD2,
	"execve":            unix.SYS_EXECVE,
	"exit":              unix.SYS_EXIT,
	"exit_group":        unix.SYS_EXIT_GROUP,
	"fcntl":             unix.SYS_FCNTL,
	"fstat":             unix.SYS_FSTAT,
	"futex":             unix.SYS_FUTEX,
	"getdents64":        unix.SYS_GETDENTS64,
	"getpid":            unix.SYS_GETPID,
	"getpriority":       unix.SYS_GETPRIORITY,
	"gettid":            unix.SYS_GETTID,
	"io_uring_enter":    unix.SYS_IO_URING_ENTER,
	"io_uring_register": unix.SYS_IO_URING_REGISTER,
	"io_uring_setup":    unix.SYS_IO_URING_SETUP,
	"madvise":           unix.SYS_MADVISE,
	"mmap":              sysMmap,
	"munmap":            unix.SYS_MUNMAP,
	"nanosleep":         unix.SYS_NANOSLEEP,
	"openat":            unix.SYS_OPENAT,
	"newfstatat":        sysNewfstatat,
	"readlinkat":        unix.SYS_READLINKAT,
	"ppoll":             unix.SYS_PPOLL,
	"prctl":             unix.SYS_PRCTL,
	"prlimit64":         unix.SYS_PRLIMIT64,
	"pread64":           unix.SYS_PREAD64,
	"read":              unix.SYS_READ,
	"restart_syscall":   unix.SYS_RESTART_SYSCALL,
	"rt_sigaction":      unix.SYS_RT_SIGACTION,
	"rt_sigprocmask":    unix.SYS_RT_SIGPROCMASK,
	"rt_sigreturn":      unix.SYS_RT_SIGRETURN,
	"sched_getaffinity": unix.SYS_SCHED_GETAFFINITY,
	"sched_getattr":     unix.SYS_SCHED_GETATTR,
	"sched_setaffinity": unix.SYS_SCHED_SETAFFINITY,
	"sched_setattr":     unix.SYS_SCHED_SETATTR,
	"setpriority":       unix.SYS_SETPRIORITY,
	"sched_yield":       unix.SYS_SCHED_YIELD,
	"sigaltstack":       unix.SYS_SIGALTSTACK,
	"signalfd4":         unix.SYS_SIGNALFD4,
	"tgkill":            unix.SYS_TGKILL,
	"timerfd_create":    unix.SYS_TIMERFD_CREATE,
	"timerfd_settime":   unix.SYS_TIMERFD_SETTIME,
	"write":             unix.SYS_WRITE,
}
