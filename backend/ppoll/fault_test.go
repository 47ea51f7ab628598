package ppoll

import (
	"testing"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestFaults(t *testing.T) {
	backendtest.TestFaults(t, func() (backend.Poller, error) { return New(), nil }, inject)
}

// inject is the seam of package sys.
func inject(f func(call string) backendtest.Fault) (restore func()) {
	return sys.Inject(func(c sys.Call) sys.Fault { return sys.Fault(f(string(c))) })
}
