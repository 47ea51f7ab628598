package coroutine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit"
)

// patience is a bound against hanging.
var patience = testkit.Patience

// eachLoop runs f in a subtest for each backend and mode that there is here, with a loop that the
// subtest polls.
func eachLoop(t *testing.T, f func(t *testing.T, loop *aio.Context), opts ...aio.Option) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, mode := range []aio.Mode{aio.ModeThread, aio.ModePark} {
			t.Run(fmt.Sprintf("%v/%v", b, mode), func(t *testing.T) {
				f(t, newLoop(t, append([]aio.Option{aio.WithBackend(b), aio.WithMode(mode)}, opts...)...))
			})
		}
	}
}

// eachSetting runs f in a subtest for each backend and mode that there is here, with the options
// of its loops.
func eachSetting(t *testing.T, f func(t *testing.T, opts ...aio.Option)) {
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for _, mode := range []aio.Mode{aio.ModeThread, aio.ModePark} {
			t.Run(fmt.Sprintf("%v/%v", b, mode), func(t *testing.T) {
				opts := []aio.Option{aio.WithBackend(b), aio.WithMode(mode)}
				must(t, newLoop(t, opts...).Close()) // or it skips
				f(t, opts...)
			})
		}
	}
}

// newLoop returns a loop whose home is the test's goroutine, and that is closed without leaks.
func newLoop(t testing.TB, opts ...aio.Option) *aio.Context {
	t.Helper()
	loop, err := aio.New(opts...)
	if errors.Is(err, backend.ErrUnavailable) || errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	_, err = loop.TryPoll()
	must(t, err)
	t.Cleanup(func() {
		if err := loop.Close(); err != nil && !errors.Is(err, aio.ErrClosed) {
			t.Error(err)
		}
	})
	return loop
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("the error is %v, want %v", got, want)
	}
}

// wantPanic fails unless f panics with a text that contains want.
func wantPanic(t testing.TB, want string, f func()) {
	t.Helper()
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
			t.Errorf("the panic is %q, want %q", p, want)
		}
	}()
	f()
}

// pollUntil polls until done says so.
func pollUntil(t testing.TB, loop *aio.Context, done func() bool) {
	t.Helper()
	deadline := loop.NewTimer(aio.Realtime, func() {})
	must(t, deadline.Reset(patience))
	defer deadline.Stop()
	for !done() {
		if !deadline.Pending() {
			t.Fatalf("it takes more than %v", patience)
		}
		_, err := loop.Poll()
		must(t, err)
	}
}

// background starts a loop that a goroutine of its own runs and closes.
func background(t testing.TB, opts ...aio.Option) *aio.Context {
	t.Helper()
	loop, err := aio.New(opts...)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		err := loop.Run(ctx)
		ended <- errors.Join(err, loop.Close())
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return loop
}
