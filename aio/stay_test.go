//go:build linux

package aio

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/ppoll"
)

// runOnce runs c until a function that it schedules has ended it.
func runOnce(t testing.TB, c *Context, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	must(t, c.ScheduleOnce(func() { f(); cancel() }))
	must(t, c.Run(ctx))
}

// The kernel keeps a ring that its thread has registered. A Context that another goroutine
// closes after Run watches nothing any more, though the thread of its home is still there.
func TestCloseElsewhereAfterRunLetsGoOfWhatWasWatched(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		a, b := pair[0], owned(t, pair[1], nil)
		must(t, unix.SetNonblock(b, true))
		c := newLoop()
		h := watch(t, c, a, Callbacks{Read: func(*Handler) {}})
		runOnce(t, c, func() {
			runOnce(t, c, func() {}) // the end of a nested one ends nothing else
		})
		elsewhere(func() {
			must(t, h.Close())
			closeLoop(t, c)
		})
		must(t, unix.Close(a))
		eventually(t, "the peer sees the end of the file", func() bool {
			n, err := unix.Read(b, make([]byte, 1))
			return n == 0 && err == nil
		})
	})
}

// stayer is a Poller that counts, and whose Leave fails.
type stayer struct {
	backend.Poller
	stays, leaves int
}

var errLeave = errors.New("it stays")

func (s *stayer) Stay()        { s.stays++ }
func (s *stayer) Leave() error { s.leaves++; return errLeave }

func TestRunStaysOnItsThread(t *testing.T) {
	s := &stayer{Poller: ppoll.New()}
	c, err := New(WithPoller(s))
	must(t, err)
	defer closeLoop(t, c)
	turn(t, c)
	if s.stays != 0 {
		t.Error("a single Poll says that it stays")
	}
	ctx, cancel := context.WithCancel(t.Context())
	must(t, c.ScheduleOnce(func() {
		runOnce(t, c, cancel) // nested
		if s.stays != 1 || s.leaves != 0 {
			t.Errorf("in Run: %d stays, %d ends", s.stays, s.leaves)
		}
	}))
	err = c.Run(ctx)
	wantError(t, err, errLeave)
	if s.stays != 1 || s.leaves != 1 {
		t.Errorf("after Run: %d stays, %d ends", s.stays, s.leaves)
	}
}
