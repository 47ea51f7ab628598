package park

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

var must = testkit.Must

func newParker(t *testing.T, wrap func(Poller) Poller) *Parker {
	t.Helper()
	inner, err := epoll.New()
	must(t, err)
	p := New(wrap(inner), true)
	t.Cleanup(func() {
		must(t, p.Close())
		must(t, inner.Close())
	})
	return p
}

// The alarm says that the time is up, which is nothing to return from a Wait for.
func TestAlarmIsNoEvent(t *testing.T) {
	p := newParker(t, func(inner Poller) Poller { return inner })
	must(t, p.Prepare(false))
	p.readable.Store(false)
	must(t, p.alarm.set(sys.Deadline(1)))
	for !p.Readable() {
		runtime.Gosched()
	}
	if n, err := p.Ask(make([]backend.Ready, 4)); n != 0 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}

// lateEvent is a Poller whose descriptor becomes readable again just after it was asked.
type lateEvent struct {
	Poller
	p *Parker
}

func (l *lateEvent) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	n, err := l.Poller.Wait(ready, timeout)
	l.p.readable.Store(true) // the watcher
	return n, err
}

func TestWhatComesWhileThePollerIsAskedIsNotForgotten(t *testing.T) {
	late := new(lateEvent)
	late.p = newParker(t, func(inner Poller) Poller { late.Poller = inner; return late })
	for range 2 {
		n, err := late.p.Ask(make([]backend.Ready, 4))
		if n != 0 || err != nil || !late.p.Readable() {
			t.Errorf("%d events, %v; the Poller will be asked again: %v", n, err, late.p.Readable())
		}
	}
}

// readyConn becomes readable as often as it is told to.
type readyConn struct {
	syscall.RawConn
	times int
	seen  func()
}

func (r *readyConn) Read(f func(uintptr) bool) error {
	for range r.times {
		f(0)
		r.seen()
	}
	return nil
}

// A loop that is woken by the token looks at readable, so that is set before. The window is a few
// instructions wide: a goroutine on another CPU looks for the token all the time.
func TestWatcherSaysReadableBeforeItWakes(t *testing.T) {
	p := &Parker{token: make(chan struct{}, 1)}
	next := make(chan struct{})
	conn := &readyConn{times: guest.Few(20_000), seen: func() { <-next }}
	p.watcher.Add(1)
	go p.watch(conn)
	early := 0
	for range conn.times {
		for spins := 0; len(p.token) == 0; spins++ {
			if spins > 10_000 {
				runtime.Gosched()
			}
		}
		if !p.readable.Load() {
			early++
		}
		<-p.token
		p.readable.Store(false)
		next <- struct{}{}
	}
	p.watcher.Wait()
	if early > 0 {
		t.Errorf("the token was there %d times before readable was set", early)
	}
}
