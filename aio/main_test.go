package aio

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

// children are the functions that a test runs in a process of its own, by the
// value of childEnv.
var children = map[string]func() error{}

const childEnv = "AIOLOOP_TEST_CHILD"

// TestMain fails the run if it leaves descriptors or goroutines behind, a child too.
func TestMain(m *testing.M) {
	name := os.Getenv(childEnv)
	if strings.HasPrefix(name, profilePrefix) { // no poller of Go's yet, as in a program that starts
		os.Exit(runChild(name))
	}
	inherited = leak.Inherited()
	switch name {
	case "":
	case inheritedChild:
		listInherited()
	default:
		os.Exit(leak.Run(func() int { return runChild(name) }))
	}
	os.Unsetenv(BackendEnv) // the suite chooses for itself
	leak.Main(m)
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
