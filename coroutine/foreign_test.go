package coroutine_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
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
	runtime.LockOSThread() // the thread stays the same
	defer runtime.UnlockOSThread()
	loop := newLoop(t, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread))
	idle := coroutine.Go(loop, func(*coroutine.Co) error { return nil })
	other := lockingLoop(t)
	waiting := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	second := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	must(t, other.Close())
	must(t, waiting.Wake())
	for range 3 {
		_, err := loop.TryPoll()
		must(t, err)
	}
	if !idle.Ended() || waiting.Ended() {
		t.Fatalf("%v\n%v", idle, waiting)
	}
	wantError(t, second.Enter(), coroutine.ErrNested)

	again := lockingLoop(t) // the depth is the old one
	pollUntil(t, loop, waiting.Ended)
	must(t, waiting.Err())
	must(t, second.Enter())
	must(t, loop.Close())
	must(t, again.Close())
}

// lockingLoop returns a loop that has locked the goroutine to its thread.
func lockingLoop(t *testing.T) *aio.Context {
	loop, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread), aio.WithThread(aio.Thread{TimerSlack: 1}))
	must(t, err)
	_, err = loop.TryPoll()
	must(t, err)
	return loop
}

// TestLockOfAnotherThread: a goroutine that is locked as often as before, but to another thread, enters
// no coroutine of then: the runtime would end the process. Close says that they are left. Their
// goroutines stay, so it is a process of its own.
func TestLockOfAnotherThread(t *testing.T) {
	const env = "AIOLOOP_TEST_OTHER_THREAD"
	if os.Getenv(env) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockOfAnotherThread$")
		cmd.Env = append(os.Environ(), env+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	loop, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread))
	must(t, err)
	_, err = loop.TryPoll() // now it belongs to this goroutine
	must(t, err)
	other := lockingLoop(t)
	waiting := coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
	before := unix.Gettid()
	must(t, other.Close())
	lockElsewhere(t, before)
	again := lockingLoop(t)
	runtime.UnlockOSThread()
	must(t, waiting.Wake())
	for range 3 {
		_, err := loop.TryPoll()
		must(t, err)
	}
	var leak *aio.LeakError
	if err := loop.Close(); waiting.Ended() || !errors.As(err, &leak) {
		t.Fatalf("it was entered, or Close does not name it: %v; %v", waiting, err)
	}
	must(t, again.Close())
	os.Exit(0)
}

// lockElsewhere locks the goroutine to another thread than before, which is left to goroutines that
// wait in the kernel.
func lockElsewhere(t *testing.T, before int) {
	t.Helper()
	var p [2]int
	must(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
	var readers sync.WaitGroup
	deadline := time.Now().Add(patience)
	for runtime.LockOSThread(); unix.Gettid() == before; runtime.LockOSThread() {
		runtime.UnlockOSThread()
		if time.Now().After(deadline) {
			t.Fatal("the goroutine stays on its thread")
		}
		readers.Go(func() { _, _ = unix.Read(p[0], make([]byte, 1)) })
		runtime.Gosched()
	}
	must(t, unix.Close(p[1]))
	readers.Wait()
	must(t, unix.Close(p[0]))
}
