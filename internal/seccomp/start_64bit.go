//go:build linux && !386 && !arm && !mips && !mipsle

package seccomp

import "golang.org/x/sys/unix"

const (
	sysMmap       = unix.SYS_MMAP
	sysNewfstatat = unix.SYS_NEWFSTATAT
)
