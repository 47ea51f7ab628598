package sys

import "golang.org/x/sys/unix"

// The older calls take no timeout from memory and no signal mask. That spares a tenth of a look
// that finds nothing.
const (
	sysPoll     = unix.SYS_POLL
	sysEpollNow = unix.SYS_EPOLL_WAIT
)
