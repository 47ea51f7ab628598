//go:build linux && !amd64

package seccomp

// here returns the name that a call has on this CPU.
func here(name string) string {
	switch name {
	case "poll":
		return "ppoll"
	case "epoll_wait":
		return "epoll_pwait"
	}
	return name
}

// Looks are the numbers of the calls that package sys asks before their successors.
var Looks []uint32
