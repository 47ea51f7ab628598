package coroutine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

// step is a turn of a foreign loop.
func step(t *testing.T, loop *aio.Context) {
	t.Helper()
	timeout, err := loop.Prepare()
	must(t, err)
	fds := loop.Query(nil)
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if _, err := unix.Poll(fds, ms); err != nil && !errors.Is(err, unix.EINTR) {
		t.Fatal(err)
	}
	_, err = loop.Check(fds)
	must(t, err)
	_, err = loop.Dispatch()
	must(t, err)
}

// TestForeignLoop: coroutines run in a loop that another one steps, and are woken between the
// phases.
func TestForeignLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		rounds := 0
		sleeper := coroutine.Go(loop, func(co *coroutine.Co) error {
			for ; rounds < 20; rounds++ {
				if err := co.Sleep(100 * time.Microsecond); err != nil {
					return err
				}
				if err := loop.Do(context.Background(), func() error { return nil }); err != nil {
					return err
				}
				if err := co.Wait(func(done func()) { go done() }); err != nil {
					return err
				}
			}
			return nil
		})
		for !sleeper.Ended() {
			step(t, loop)
		}
		must(t, sleeper.Err())

		// The program wakes one while the foreign loop is about to wait, and that one another.
		second := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Sleep(0) })
		first := coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := co.Yield(); err != nil {
				return err
			}
			must(t, loop.ScheduleOnce(func() {}))
			return co.Sleep(0)
		})
		_, err := loop.Prepare()
		must(t, err)
		fds := loop.Query(nil)
		must(t, first.Wake())
		_, err = unix.Poll(fds, 1000)
		must(t, err)
		_, err = loop.Check(fds)
		must(t, err)
		_, err = loop.Dispatch()
		must(t, err)
		for !first.Ended() || !second.Ended() {
			step(t, loop)
		}
		must(t, errors.Join(first.Err(), second.Err()))
	})
}

// TestTrap11_CloseInACoroutine: the peer sees the end of the file as soon as a coroutine has closed
// handler and descriptor.
func TestTrap11_CloseInACoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		must(t, err)
		defer unix.Close(pair[1])
		handler, err := loop.Watch(pair[0], aio.Callbacks{Read: func(*aio.Handler) {}})
		must(t, err)
		_, err = loop.TryPoll() // now the kernel knows
		must(t, err)
		coroutine.Go(loop, func(*coroutine.Co) error {
			must(t, handler.Close())
			must(t, unix.Close(pair[0]))
			if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("the peer reads %d, %v, want the end of the file", n, err)
			}
			return nil
		})
	})
}

// TestLockDepth: a loop that locks the same goroutine to its thread, or releases it, makes Go's runtime
// refuse the coroutines of another. Idle ones are ended before, those that wait are not entered.
func TestLockDepth(t *testing.T) {
	loop := newLoop(t, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread))
	idle := coroutine.Go(loop, func(*coroutine.Co) error { return nil })
	other, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread), aio.WithThread(aio.Thread{TimerSlack: 1}))
	must(t, err)
	_, err = other.TryPoll() // locks the goroutine
	must(t, err)
	waiting := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	second := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	must(t, other.Close())
	must(t, waiting.Wake())
	for range 3 {
		_, err = loop.TryPoll()
		must(t, err)
	}
	if !idle.Ended() || waiting.Ended() {
		t.Fatalf("%v\n%v", idle, waiting)
	}
	wantError(t, second.Enter(), coroutine.ErrNested)

	again, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread), aio.WithThread(aio.Thread{TimerSlack: 1}))
	must(t, err)
	_, err = again.TryPoll() // the depth is the old one
	must(t, err)
	pollUntil(t, loop, waiting.Ended)
	must(t, waiting.Err())
	must(t, second.Enter())
	must(t, loop.Close())
	must(t, again.Close())
}
