//go:build linux

package leak_test

import (
	"os"
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

// childEnv makes the test binary be one of children and nothing else.
const childEnv = "AIOLOOP_LEAK_CHILD"

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childEnv)]; child != nil {
		os.Exit(leak.Run(child))
	}
	leak.Main(m)
}
