//go:build linux

// Package leak makes a test binary fail if it leaves descriptors or goroutines
// behind. Every package of the module with tests has
//
//	func TestMain(m *testing.M) { leak.Main(m) }
//
// or a TestMain that calls Run, where it does more.
package leak

import (
	"fmt"
	"io"
	"os"
	"time"
)

// patience is how long a goroutine may take to end after the last test.
const patience = 5 * time.Second

// Main runs the tests, looks for leaks, and exits.
func Main(m interface{ Run() int }) { os.Exit(Run(m.Run)) }

// Run calls run and returns its exit status, or 1 if run has returned 0 and has
// left something behind; that is written to the standard output.
func Run(run func() int) int {
	wakeRuntimePoller()
	installRecorder()
	fds, goroutines := openDescriptors(), goroutineIDs()
	status := run()
	if leaked := report(os.Stdout, fds, goroutines); leaked && status == 0 {
		status = 1
	}
	return status
}

func report(w io.Writer, fds map[int]string, goroutines map[string]bool) bool {
	stacks := leakedGoroutines(goroutines)
	for _, s := range stacks {
		fmt.Fprintf(w, "FAIL: goroutine left running:\n%s\n", s)
	}
	// A goroutine that has just ended may have been about to close one.
	lost := leakedDescriptors(fds)
	for _, d := range lost {
		fmt.Fprintf(w, "FAIL: descriptor left open: %s\n", d)
	}
	return len(stacks)+len(lost) > 0
}

// wakeRuntimePoller makes the runtime open the descriptors that it keeps forever.
func wakeRuntimePoller() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_ = r.SetDeadline(time.Now())
	r.Close()
	w.Close()
}
