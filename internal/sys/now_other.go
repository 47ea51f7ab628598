//go:build !amd64

package sys

import "golang.org/x/sys/unix"

// Newer CPUs lack the older calls.
const (
	sysPoll     = none
	sysEpollNow = unix.SYS_EPOLL_PWAIT
)
