package aio

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// children are the functions that a test runs in a process of its own, by the
// value of childEnv.
var children = map[string]func() error{}

const childEnv = "AIOLOOP_TEST_CHILD"

// TestMain fails the run if it leaves descriptors or goroutines behind.
func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(runChild(name))
	}
	os.Unsetenv(BackendEnv) // the suite chooses for itself
	wakeRuntimePoller()
	before := openDescriptors()
	code := m.Run()
	for _, leak := range leakedDescriptors(before) {
		fmt.Println("FAIL: descriptor left open:", leak)
		code = 1
	}
	for _, stack := range leakedGoroutines() {
		fmt.Println("FAIL: goroutine left running:\n" + stack)
		code = 1
	}
	os.Exit(code)
}

// wakeRuntimePoller makes the runtime open the descriptors that it keeps for ever.
func wakeRuntimePoller() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_ = r.SetDeadline(time.Now())
	r.Close()
	w.Close()
}

func leakedDescriptors(before map[int]string) (leaks []string) {
	for fd, name := range openDescriptors() {
		if before[fd] == "" {
			leaks = append(leaks, fmt.Sprintf("%d: %s", fd, name))
		}
	}
	return leaks
}

// leakedGoroutines returns the stacks of those that are inside this package and
// do not end within a bounded time.
func leakedGoroutines() (stacks []string) {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if stacks = goroutinesOfPackage(); len(stacks) == 0 || time.Now().After(deadline) {
			return stacks
		}
	}
}

func goroutinesOfPackage() (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, s := range all[1:] { // the first is this one
		if strings.Contains(s, "aioloop/aio.") && !strings.Contains(s, "TestMain") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

func runChild(name string) int {
	f := children[name]
	if f == nil {
		fmt.Println("no such child:", name)
		return 2
	}
	if err := f(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
