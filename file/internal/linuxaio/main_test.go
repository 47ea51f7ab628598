//go:build linux

package linuxaio

import (
	"os"
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) {
	status := leak.Run(m.Run)
	_ = os.RemoveAll(folder)
	os.Exit(status)
}
