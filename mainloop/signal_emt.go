//go:build mips || mipsle || mips64 || mips64le

package mainloop

import "golang.org/x/sys/unix"

// These CPUs have SIGEMT instead of SIGSTKFLT.
func init() { runtimeSignals[unix.SIGEMT] = "it ends the program" }
