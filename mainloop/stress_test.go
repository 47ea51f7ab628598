package mainloop

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Two aio.Contexts, sources of two MainContexts, that sleep forever until the
// other one wakes them up, with nothing in between but two flags: one lost wake-up
// and it hangs.
func TestNotifyOfASourceIsNeverLost(t *testing.T) {
	wakeups := int64(100_000)
	if testing.Short() || guest.Is() { // all guests together have half of the host's
		wakeups /= 10
	}
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		openAIO(t, b).Close() // or skip
		var c [2]*aio.Context
		var flag [2]atomic.Int64
		for i := range c {
			c[i] = openAIO(t, b)
		}
		alarm := time.AfterFunc(patience, func() {
			t.Errorf("a wake-up was lost: flags %d, %d", flag[0].Load(), flag[1].Load())
			flag[0].Store(wakeups)
			flag[1].Store(wakeups)
			c[0].Notify()
			c[1].Notify()
		})
		defer alarm.Stop()
		var group sync.WaitGroup
		for me := range c {
			group.Go(func() { answer(t, c, &flag, me, wakeups/2, func() { alarm.Reset(patience) }) })
		}
		group.Wait()
	})
}

// answer waits for its flag to be raised, and raises the other one. Now and then it
// says that it gets on.
func answer(t *testing.T, c [2]*aio.Context, flag *[2]atomic.Int64, me int, rounds int64, getsOn func()) {
	m, err := NewMainContext()
	if err != nil {
		t.Error(err)
		return
	}
	s := NewAIOSource("aio", c[me])
	if err := s.Attach(m); err != nil {
		t.Error(err)
	}
	raise := func(i int64) { flag[1-me].Store(i); c[1-me].Notify() }
	for i := int64(1); i <= rounds; i++ {
		if me == 0 {
			raise(i)
		}
		for flag[me].Load() < i {
			if _, err := m.Iterate(); err != nil {
				t.Error(err)
				return
			}
		}
		if me == 1 {
			raise(i)
		}
		if i%1000 == 0 {
			getsOn()
		}
	}
	for _, close := range []func() error{m.Close, c[me].Close} { // on the home goroutine
		if err := close(); err != nil {
			t.Error(err)
		}
	}
}

// A source and its Context are closed by another goroutine while the loop
// waits for it: the loop goes on with the others.
func TestCloseWhileTheLoopWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		for range 20 {
			m, c := openMain(t), openAIO(t, b)
			s := NewAIOSource("aio", c)
			must(t, s.Attach(m))
			try(t, m)
			closed := make(chan error, 1)
			go func() {
				for m.gate.Kicked() {
					time.Sleep(10 * time.Microsecond)
				}
				s.Close()
				err := c.Close()
				for err == aio.ErrPolling { // one of its phases is running at this moment
					err = c.Close()
				}
				closed <- err
				m.Wakeup()
			}()
			end := bounded(t, m)
			for done := false; !done; {
				// Closed in the middle of a turn, it may be an error of that turn.
				if _, err := m.Iterate(); err != nil {
					wantError(t, err, aio.ErrClosed)
				}
				select {
				case err := <-closed:
					must(t, err)
					done = true
				default:
				}
			}
			end()
			must(t, m.Close())
		}
	})
}
