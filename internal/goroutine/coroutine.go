package goroutine

import (
	"regexp"
	"runtime"
)

// madeByPull is how the stack trace of a coroutine ends, that of its creator left out.
var madeByPull = regexp.MustCompile(`(?m)^created by iter\.Pull2?\[`)

// IsCoroutine reports whether the caller runs in a coroutine of iter.Pull or iter.Pull2.
// Such a goroutine must not lock itself to its thread and then yield: the runtime ends the
// process. It takes microseconds, and more with a deep stack.
func IsCoroutine() bool {
	for size := 1 << 12; ; size *= 2 {
		stack := make([]byte, size)
		if n := runtime.Stack(stack, false); n < size {
			return madeByPull.Match(stack[:n])
		}
	}
}
