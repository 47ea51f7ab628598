//go:build linux && (386 || arm || mips || mipsle)

package seccomp

import "golang.org/x/sys/unix"

const (
	sysMmap       = unix.SYS_MMAP2
	sysNewfstatat = unix.SYS_FSTATAT64
)
