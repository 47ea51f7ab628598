package backendtest

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbid installs a seccomp filter, for all threads of the process and for good,
// under which the system calls of those numbers fail with errno.
func forbid(errno unix.Errno, calls ...uint32) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := filterProgram(errno, calls)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if e != 0 {
		return e
	}
	return nil
}

// filterProgram compares the number of the call, at offset 0 of struct
// seccomp_data, with each of calls.
func filterProgram(errno unix.Errno, calls []uint32) []unix.SockFilter {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for i, call := range calls {
		toErrno := uint8(len(calls) - i) // over the other comparisons and the "allow"
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: toErrno, K: call})
	}
	return append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
	)
}
