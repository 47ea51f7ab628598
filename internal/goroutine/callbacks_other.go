//go:build !cgo

package goroutine

// CallsToC returns how many calls to C the process has made: none without cgo.
func CallsToC() int64 { return 0 }

// Callbacks returns how many calls from C the goroutine is inside of: none without cgo.
func Callbacks() int { return 0 }
