//go:build linux

package timeslice

import (
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
