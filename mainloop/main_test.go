package mainloop

import (
	"testing"

	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) {
	securityChild()
	leak.Main(m)
}
