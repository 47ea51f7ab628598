package seccomp

import "golang.org/x/sys/unix"

func init() { // the runtime sets the register of the thread's data
	numbers["arch_prctl"] = unix.SYS_ARCH_PRCTL
	Start = append(Start, "arch_prctl")
}
