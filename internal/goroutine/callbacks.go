//go:build cgo

package goroutine

import "runtime"

// CallsToC returns how many calls to C the process has made. As long as it stays the same, no goroutine
// that was outside of C is called by C now. It is the cheap question before Callbacks.
func CallsToC() int64 { return runtime.NumCgoCall() }

// Callbacks returns how many calls from C the goroutine is inside of. Each locks it to its thread
// once more. It takes about a microsecond, and more with a deep stack.
func Callbacks() (depth int) {
	pcs := make([]uintptr, 64)
	n := runtime.Callers(1, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(1, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for more := n > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); f.Function == "runtime.cgocallbackg" {
			depth++
		}
	}
	return depth
}
