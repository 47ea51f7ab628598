package seccomp

import "golang.org/x/sys/unix"

func init() { // the runtime sets the register of the thread's data
	numbers["arch_prctl"] = unix.SYS_ARCH_PRCTL
	Start = append(Start, "arch_prctl")
	numbers["poll"], numbers["epoll_wait"] = unix.SYS_POLL, unix.SYS_EPOLL_WAIT
}

// here returns the name that a call has on this CPU.
func here(name string) string { return name }

// Looks are the numbers of the calls that package sys asks before their successors.
var Looks = []uint32{unix.SYS_POLL, unix.SYS_EPOLL_WAIT}
