//go:build linux

package pool

import (
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/testkit"
)

func TestMain(m *testing.M) { leak.Main(m) }

var (
	must       = testkit.Must
	wantError  = testkit.WantError
	eventually = testkit.Eventually
	elsewhere  = testkit.Elsewhere
)

// newLoop returns a loop that the test's end closes, if the test has not, and fails if something
// was left in it.
func newLoop(t testing.TB, opts ...aio.Option) *aio.Context {
	t.Helper()
	loop, err := aio.New(opts...)
	must(t, err)
	t.Cleanup(func() {
		if err := loop.Close(); err != nil && err != aio.ErrClosed {
			t.Error(err)
		}
	})
	return loop
}
