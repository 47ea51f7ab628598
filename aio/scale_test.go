package aio

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// needDescriptors skips a test for which the limit of open files is too low.
func needDescriptors(t testing.TB, n int) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur < uint64(n) {
		t.Skipf("needs %d descriptors, the limit is %d", n, limit.Cur)
	}
}

// Seven thousand descriptors: all of them together, one of them, half of them closed.
func TestSevenThousandDescriptors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		n := max(guest.Few(7000), 1<<11)
		needDescriptors(t, n+200)
		c := newLoop()
		ran := make([]int, n)
		notifiers, handlers := make([]*EventNotifier, n), make([]*Handler, n)
		for i := range n {
			notifiers[i] = notifier(t)
			handlers[i] = watchNotifier(t, c, notifiers[i], func() { ran[i]++ })
			must(t, notifiers[i].Set())
		}
		// More events than io_uring's queue holds: there may be more calls than sets,
		// but each handler has been called.
		pollUntil(t, c, func() bool { return count(ran) == n })
		settle(t, c)
		expectAll(t, ran, func(int) bool { return true })
		must(t, notifiers[n/2+1].Set())
		block(t, c)
		if expectAll(t, ran, func(i int) bool { return i == n/2+1 }); turn(t, c) {
			t.Error("progress without an event")
		}
		for i := 0; i < n; i += 2 {
			must(t, handlers[i].Close())
		}
		for i := range n {
			must(t, notifiers[i].Set())
		}
		// An iteration may have nothing but thousands of cancellations to see.
		pollUntil(t, c, func() bool { return count(ran) == n/2 })
		settle(t, c)
		expectAll(t, ran, func(i int) bool { return i%2 == 1 })
	})
}

// expectAll checks which handlers were called, and begins to count again.
func expectAll(t *testing.T, ran []int, want func(i int) bool) {
	t.Helper()
	for i, n := range ran {
		if (n > 0) != want(i) {
			t.Fatalf("handler %d was called %d times, expected %v", i, n, want(i))
		}
	}
	clear(ran)
}

func count(ran []int) (called int) {
	for _, n := range ran {
		called += min(n, 1)
	}
	return called
}

// A thousand Contexts one after the other leave nothing behind.
func TestThousandContextsLeakNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		b := newLoop().Backend().Name
		cycle := func() {
			c, err := New(WithBackend(backendNamed(t, b)))
			must(t, err)
			n, err := NewEventNotifier()
			must(t, err)
			h, err := c.WatchNotifier(n, Callbacks{Read: func(*Handler) {}})
			must(t, err)
			must(t, n.Set())
			must(t, c.ScheduleOnce(func() {}))
			turn(t, c)
			must(t, h.Close())
			must(t, n.Close())
			must(t, c.Close())
		}
		for range 20 {
			cycle()
		}
		fds, goroutines, memory := len(openDescriptors()), runtime.NumGoroutine(), heap()
		for range guest.Few(1000) {
			cycle()
		}
		if n := len(openDescriptors()); n > fds {
			t.Errorf("%d descriptors more", n-fds)
		}
		eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
		if grown := heap() - memory; grown > 1<<20 {
			t.Errorf("%d KiB of memory more", grown>>10)
		}
	})
}

func backendNamed(t testing.TB, name string) (b Backend) {
	t.Helper()
	must(t, b.Set(name))
	return b
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second empties what sync.Pool has kept for one
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
