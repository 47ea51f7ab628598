//go:build !mips && !mipsle && !mips64 && !mips64le

package mainloop

import "golang.org/x/sys/unix"

func init() { runtimeSignals[unix.SIGSTKFLT] = "it ends the program" }
