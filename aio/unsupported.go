//go:build !linux

package aio

// aioloop waits with ppoll, epoll and io_uring, which only Linux has. This line
// does not compile, so that the compiler says so.
var _ = aioloop_runs_on_linux_only
