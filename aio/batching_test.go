//go:build linux

package aio

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

func newBatching(t *testing.T, n int, d time.Duration) *Context {
	c, err := New(WithBackend(IOUring), WithMode(ModeThread), WithBatching(n, d))
	if errors.Is(err, errors.ErrUnsupported) || missing(IOUring) != nil {
		t.Skip("skipped: waiting for a batch (Linux 6.12):", err)
	}
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	return c
}

// One event alone waits for its batch until the time is over; a whole batch ends the sleep. (Timeouts
// do not wait: the kernel ends each sleep for them.)
func TestBatching(t *testing.T) {
	const stay = 30 * time.Millisecond
	c := newBatching(t, 6, stay)
	settle(t, c)
	var events [6]*EventNotifier
	for i := range events {
		events[i] = notifier(t)
	}
	round := func(n int) {
		done := 0
		for _, e := range events[:n] {
			must(t, c.Submit(&Request{Code: backend.OpPoll, FD: e.FD(), Flags: unix.POLLIN, Done: func(*Request) {
				_, err := e.TestAndClear()
				must(t, err)
				done++
			}}))
		}
		var group sync.WaitGroup
		group.Go(func() {
			for c.state() != Asleep {
				runtime.Gosched()
			}
			for _, e := range events[:n] {
				must(t, e.Set())
			}
		})
		for done < n {
			_, err := c.Poll()
			must(t, err)
		}
		group.Wait()
	}
	start := time.Now()
	if round(1); time.Since(start) < stay {
		t.Errorf("one event ended the sleep after %v, want %v at least", time.Since(start), stay)
	}
	sleeps := c.Stats().Sleeps
	round(6)
	if n := c.Stats().Sleeps - sleeps; n > 2 { // one, or two after a signal
		t.Errorf("six events took %d sleeps", n)
	}
}

func TestBatchingIsRefused(t *testing.T) {
	for _, b := range []Backend{Ppoll, Epoll} {
		_, err := New(WithBackend(b), WithBatching(4, time.Millisecond))
		wantError(t, err, errors.ErrUnsupported)
	}
	for _, o := range []Option{WithBatching(0, 1), WithBatching(257, 1), WithBatching(1, 999*time.Nanosecond), WithBatching(1, -1)} {
		if _, err := New(o); err == nil {
			t.Error("an option without sense was taken")
		}
	}
}

// A loop that waits for a batch sleeps as long as any other if nothing comes, with a timer and without.
func TestBatchingLoopSleeps(t *testing.T) {
	c := newBatching(t, 4, time.Millisecond)
	turn(t, c)
	enters := 0
	restore := inject(t, func(call sys.Call) (f sys.Fault) {
		if call == sys.CallIoUringEnter {
			enters++
		}
		return f
	})
	alarm := time.AfterFunc(50*time.Millisecond, c.Notify)
	defer alarm.Stop()
	block(t, c)
	if restore(); enters > 10 {
		t.Errorf("%d calls in 50 ms", enters)
	}
}
