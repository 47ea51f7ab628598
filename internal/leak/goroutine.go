//go:build linux

package leak

import (
	"runtime"
	"slices"
	"strings"
	"time"
)

// forEver are functions of goroutines that the standard library starts once and
// never ends.
var forEver = []string{
	"os/signal.signal_recv", // since the first Notify
	"runtime.ensureSigM",    // the same
}

// leakedGoroutines returns the stacks of those that were not there before and do
// not end within patience.
func leakedGoroutines(before map[string]bool) (stacks []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stacks = slices.DeleteFunc(goroutines(), func(s string) bool { return before[id(s)] })
		if len(stacks) == 0 || time.Now().After(deadline) {
			return stacks
		}
	}
}

func goroutineIDs() map[string]bool {
	ids := map[string]bool{}
	for _, s := range goroutines() {
		ids[id(s)] = true
	}
	return ids
}

// id returns the number in "goroutine 7 [running]:".
func id(stack string) string {
	number, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
	return number
}

// goroutines returns the stacks of all but the caller and those of forEver.
func goroutines() []string {
	all := strings.Split(allStacks(), "\n\n")[1:] // the first is the caller
	return slices.DeleteFunc(all, func(s string) bool {
		return slices.ContainsFunc(forEver, func(f string) bool { return strings.Contains(s, f) })
	})
}

func allStacks() string {
	for size := 1 << 16; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return string(buf[:n])
		}
	}
}
