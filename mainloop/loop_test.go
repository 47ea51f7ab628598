package mainloop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestInit(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		for c, name := range map[*aio.Context]string{l.AIO(): "aio", l.IOHandler(): "iohandler"} {
			if c.Name() != name || c.Backend().Name != b.String() {
				t.Errorf("context %q on %s, want %q on %s", c.Name(), c.Backend().Name, name, b)
			}
		}
		if l.AIO() == l.IOHandler() || l.Context() == nil || l.Signals() == nil {
			t.Error("something is missing")
		}
		var names []string
		for _, a := range l.Context().sources {
			names = append(names, a.source.Name())
		}
		if want := []string{"aio", "iohandler"}; !slices.Equal(names, want) {
			t.Errorf("sources %q, want %q", names, want)
		}
	})
}

func TestInitTwice(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	_, err := Init()
	wantError(t, err, ErrInitialized)
	must(t, l.Close())
	second := openLoop(t, aio.Ppoll)
	wantError(t, l.Close(), ErrClosed) // which does not make room for a third
	_, err = Init()
	wantError(t, err, ErrInitialized)
	must(t, second.Close())
}

// An Init that fails leaves nothing behind, and the next one works.
func TestInitThatFails(t *testing.T) {
	before := descriptors(t)
	for range 3 {
		if _, err := Init(WithAIO(aio.WithBackend(aio.Backend(99)))); err == nil || errors.Is(err, ErrInitialized) {
			t.Fatalf("an unknown backend: %v", err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	openLoop(t, aio.Ppoll)
}

// descriptors returns how many of the first ones are open.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	for fd := range 256 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

func TestWaitRunsWhateverIsThere(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		if p, err := l.TryWait(); p || err != nil {
			t.Errorf("TryWait with nothing to do: %v, %v", p, err)
		}
		var ran journal
		must(t, l.ScheduleBH(func() { ran.add("bh") }))
		if p, err := l.TryWait(); !p || err != nil {
			t.Errorf("TryWait: %v, %v", p, err)
		}
		ran.expect(t, "bh")
		go l.ScheduleBH(func() { ran.add("from elsewhere") })
		waitUntil(t, l, func() bool { return len(ran) > 0 })
		ran.expect(t, "from elsewhere")

		fd := openEvent(t)
		h, err := l.SetFDHandler(fd, aio.Callbacks{Read: func(*aio.Handler) { clearEvent(fd); ran.add("fd") }})
		must(t, err)
		go setEvent(t, fd)
		waitUntil(t, l, func() bool { return len(ran) > 0 })
		ran.expect(t, "fd")
		must(t, h.Close())
		setEvent(t, fd)
		if p, err := l.TryWait(); p || err != nil {
			t.Errorf("after the handler is closed: %v, %v", p, err)
		}
		ran.expect(t)
	})
}

func TestHandlerIsSetWhileTheLoopWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		fd, done := openEvent(t), false
		setEvent(t, fd)
		result := make(chan *aio.Handler, 1)
		go func() {
			eventually(t, "the loop waits", func() bool { return !l.main.gate.Kicked() })
			h, err := l.SetFDHandler(fd, aio.Callbacks{Read: func(*aio.Handler) { clearEvent(fd); done = true }})
			if err != nil {
				t.Error(err)
			}
			result <- h
		}()
		waitUntil(t, l, func() bool { return done })
		must(t, (<-result).Close())
	})
}

func TestNotifyEvent(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		for range 10 {
			l.NotifyEvent() // before the wait
			waits := func() {
				if wait(t, l) {
					t.Error("a notify is progress")
				}
			}
			waits()
			whileWaiting(t, l.main, l.NotifyEvent, waits)
		}
	})
}

// Timers on all four clocks, of both contexts, end the wait: in order, not early,
// and to the microsecond rather than to the millisecond.
func TestTimersRunFromTheLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		for _, c := range []*aio.Context{l.AIO(), l.IOHandler()} {
			for id := aio.Realtime; id <= aio.VirtualRT; id++ {
				best := time.Hour
				for range 5 {
					best = min(best, runTimer(t, l, c, id))
				}
				if best > 1300*time.Microsecond { // 800 µs, rounded to milliseconds and a bit
					t.Logf("%v: %v at best", id, best)
				}
			}
		}
		var ran journal
		now := l.AIO().Now(aio.Realtime)
		for i, name := range []string{"third", "first", "second"} {
			timer := l.AIO().NewTimer(aio.Realtime, func() { ran.add(name) }) // the order holds within one clock
			must(t, timer.Set(now+[]time.Duration{3, 1, 2}[i]*time.Millisecond))
		}
		waitUntil(t, l, func() bool { return len(ran) == 3 })
		ran.expect(t, "first", "second", "third")
	})
}

// runTimer returns how long a timer of 800 µs takes.
func runTimer(t *testing.T, l *Loop, c *aio.Context, id aio.ClockID) time.Duration {
	t.Helper()
	const after = 800 * time.Microsecond
	begin, end := sys.Monotonic(), time.Duration(0)
	timer := c.NewTimer(id, func() { end = sys.Monotonic() })
	must(t, timer.Reset(after))
	turns := 0
	for end == 0 {
		wait(t, l)
		turns++
	}
	if id != aio.Host && end-begin < after { // the wall clock may be slewed
		t.Errorf("%v: %v early", id, after-(end-begin))
	}
	if turns > 4 {
		t.Errorf("%v: %d turns for one timer", id, turns)
	}
	return end - begin
}

func TestVirtualClockMovesWhileTheLoopWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		clock := l.AIO().VirtualClock()
		moves := map[string]func(){
			"Advance": func() { clock.Advance(2 * time.Hour) },
			"Set":     func() { clock.Set(clock.Now() + 2*time.Hour) },
		}
		for name, move := range moves {
			done := false
			timer := l.AIO().NewTimer(aio.Virtual, func() { done = true })
			must(t, timer.Reset(time.Hour))
			whileWaiting(t, l.main, move, func() { wait(t, l) })
			if waitUntil(t, l, func() bool { return done }); timer.Pending() {
				t.Errorf("%s: the timer is still pending", name)
			}
		}
	})
}

// recorder is a Poller with a descriptor of its own.
type recorder struct {
	fd     int
	got    [][]PollFD
	errs   []error
	before time.Duration // what Fill was told
	want   time.Duration // what Fill asks for
}

func (r *recorder) poller() Poller {
	return Poller{
		Fill: func(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration) {
			r.before = timeout
			return append(fds, PollFD{Fd: int32(r.fd), Events: unix.POLLIN}), r.want
		},
		OK:    func(fds []PollFD) { r.got = append(r.got, slices.Clone(fds)) },
		Error: func(err error) { r.errs = append(r.errs, err) },
	}
}

func TestPollers(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	a, b := recorder{fd: openEvent(t), want: -1}, recorder{fd: openEvent(t), want: time.Hour}
	l.AddPoller(a.poller())
	l.AddPoller(Poller{}) // every function may be nil
	l.AddPoller(b.poller())
	setEvent(t, b.fd)
	wait(t, l)
	want := []PollFD{{Fd: int32(a.fd), Events: unix.POLLIN}, {Fd: int32(b.fd), Events: unix.POLLIN, Revents: unix.POLLIN}}
	for _, r := range []recorder{a, b} {
		if len(r.got) != 1 || !slices.Equal(r.got[0], want) || r.errs != nil {
			t.Errorf("OK got %+v, Error %v; want %+v", r.got, r.errs, want)
		}
	}
	clearEvent(b.fd)
	b.want = 2 * time.Millisecond // shortens the wait
	begin := sys.Monotonic()
	if wait(t, l); sys.Monotonic()-begin < b.want {
		t.Error("early")
	}
	// It cannot lengthen it.
	ran := false
	must(t, l.AIO().NewTimer(aio.Realtime, func() { ran = true }).Reset(time.Millisecond))
	a.want, b.want = -1, time.Hour
	waitUntil(t, l, func() bool { return ran })
	if b.before < 0 || b.before > time.Millisecond {
		t.Errorf("the second Poller was told %v", b.before)
	}
	if _, err := l.TryWait(); err != nil || b.before != 0 {
		t.Errorf("TryWait: told %v, %v", b.before, err)
	}
}

// ppoll(2) fails with EINVAL for more descriptors than RLIMIT_NOFILE allows.
func TestPollersHearOfErrors(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	r := recorder{fd: openEvent(t), want: -1}
	l.AddPoller(r.poller())
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur > 1<<20 {
		t.Skip("the limit of open descriptors is too high to exceed it")
	}
	many := true
	l.AddPoller(Poller{Fill: func(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration) {
		for range limit.Cur {
			if many {
				fds = append(fds, PollFD{Fd: -1})
			}
		}
		return fds, timeout
	}})
	l.AddPoller(Poller{OK: func([]PollFD) {
		if many {
			t.Error("OK is called after an error")
		}
	}})
	ran := false
	must(t, l.ScheduleBH(func() { ran = true }))
	_, err := l.Wait()
	wantError(t, err, unix.EINVAL)
	if !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
		t.Errorf("%v does not name the limit", err)
	}
	if len(r.errs) != 1 || len(r.got) != 0 || !ran {
		t.Errorf("Error got %v, OK %v, bottom half ran: %v", r.errs, r.got, ran)
	}
	many = false
	l.NotifyEvent()
	if wait(t, l); len(r.errs) != 1 || len(r.got) != 1 {
		t.Errorf("afterwards Error got %v, OK %v", r.errs, r.got)
	}
}

func TestWaitInsideADispatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		var ran journal
		must(t, l.ScheduleBH(func() {
			_, err := l.Wait()
			wantError(t, err, ErrWaiting)
			_, err = l.TryWait()
			wantError(t, err, ErrWaiting)
			wantError(t, l.Run(t.Context()), ErrWaiting)
			wantError(t, l.Close(), ErrWaiting)
			elsewhere(func() {
				_, err := l.Wait()
				wantErrorElsewhere(t, err, ErrOwned)
				wantErrorElsewhere(t, l.Close(), ErrWaiting)
			})
			ran.add("outer")
		}))
		must(t, l.ScheduleBH(func() { ran.add("the next") }))
		wait(t, l)
		ran.expect(t, "outer", "the next")
		l.AddPoller(Poller{OK: func([]PollFD) {
			_, err := l.TryWait()
			wantError(t, err, ErrWaiting)
			ran.add("poller")
		}})
		_, err := l.TryWait()
		must(t, err)
		ran.expect(t, "poller")
	})
}

// The home goroutine of both contexts is the first to wait.
func TestWaitFromAnotherGoroutine(t *testing.T) {
	l := openLoop(t, aio.Epoll)
	_, err := l.TryWait()
	must(t, err)
	elsewhere(func() {
		if _, err := l.TryWait(); !errors.Is(err, aio.ErrWrongGoroutine) {
			t.Errorf("got %v", err)
		}
	})
	_, err = l.TryWait()
	must(t, err)
}

func TestPanicInACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		ran := false
		must(t, l.ScheduleBH(func() { panic(errCause) }))
		must(t, l.ScheduleBH(func() { ran = true }))
		func() {
			defer func() {
				if r := recover(); r != errCause {
					t.Errorf("recovered %v", r)
				}
			}()
			_, _ = l.Wait()
		}()
		waitUntil(t, l, func() bool { return ran })
	})
}

func TestStop(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		second := errors.New("second")
		l.Stop(errCause) // before Run; the first counts
		l.Stop(second)
		wantError(t, l.Run(t.Context()), errCause)

		var ran journal
		must(t, l.ScheduleBH(func() { ran.add("bh"); l.Stop(errCause) })) // from a callback
		must(t, l.ScheduleBH(func() { ran.add("the turn is completed") }))
		wantError(t, l.Run(t.Context()), errCause)
		ran.expect(t, "bh", "the turn is completed")

		for range 10 { // from elsewhere
			go func() {
				eventually(t, "the loop waits", func() bool { return !l.main.gate.Kicked() })
				l.Stop(nil)
			}()
			if err := l.Run(t.Context()); err != nil {
				t.Errorf("no reason is a reason, too: %v", err)
			}
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		for range 10 {
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				eventually(t, "the loop waits", func() bool { return !l.main.gate.Kicked() })
				cancel(errCause)
			}()
			must(t, l.Run(ctx))
			must(t, l.Run(ctx)) // it had ended before
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		must(t, l.Run(ctx))
	})
}

// A context that ends late, after its Run, does not end the next Run.
func TestRunIsNotEndedByAnEarlierContext(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	for range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		must(t, l.ScheduleBH(func() {
			l.Stop(errCause)
			go cancel()
		}))
		if err := l.Run(ctx); err != errCause && err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		l.Stop(errCause)
		wantError(t, l.Run(t.Context()), errCause)
	}
}

func TestRunEndsWithAnError(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	fails := openSource(t, l.Context(), "fails", Funcs{Check: func([]PollFD) (bool, error) { return false, errCause }})
	wantError(t, l.Run(t.Context()), errCause)
	fails.Close()
	l.Stop(nil)
	must(t, l.Run(t.Context()))
}

func TestCloseReportsLeaks(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		_, err := l.SetFDHandler(openEvent(t), aio.Callbacks{Name: "tap", Read: func(*aio.Handler) {}})
		must(t, err)
		must(t, l.AIO().NewTimer(aio.Realtime, func() {}).Named("retry").Reset(time.Hour))
		wait(t, openNotified(l))
		err = l.Close()
		var leaks *aio.LeakError
		if !errors.As(err, &leaks) || !strings.Contains(err.Error(), "tap") || !strings.Contains(err.Error(), "retry") {
			t.Errorf("Close: %v", err)
		}
		wantError(t, l.Close(), ErrClosed)
		_, err = l.Wait()
		wantError(t, err, ErrClosed)
		wantError(t, l.ScheduleBH(func() {}), aio.ErrClosed)
		_, err = l.SetFDHandler(0, aio.Callbacks{Read: func(*aio.Handler) {}})
		wantError(t, err, aio.ErrClosed)
		l.NotifyEvent() // does nothing
		l.Stop(nil)
		wantError(t, l.Run(t.Context()), nil)
	})
}

// openNotified returns l, whose next Wait does not wait.
func openNotified(l *Loop) *Loop {
	l.NotifyEvent()
	return l
}

// A source of the user's own goes with the loop's.
func TestSourceBesideTheContexts(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		l := openLoop(t, b)
		fd, ran, final := openEvent(t), 0, 0
		s := openSource(t, l.Context(), "mine", Funcs{
			Dispatch: func() bool { ran += int(clearEvent(fd)); return true },
			Finalize: func() { final++ },
		})
		_, err := s.AddFD(fd, unix.POLLIN)
		must(t, err)
		for want := 1; want <= 3; want++ {
			go setEvent(t, fd)
			waitUntil(t, l, func() bool { return ran == want })
		}
		if must(t, l.Close()); final != 1 {
			t.Errorf("finalized %d times", final)
		}
	})
}

func TestOptionsOfBothContexts(t *testing.T) {
	clock := aio.NewVirtualClock()
	traced := map[string]bool{}
	l, err := Init(WithName("vm"), WithAIO(
		aio.WithBackend(aio.Epoll), aio.WithVirtualClock(clock), aio.WithPolling(aio.Polling{Max: time.Microsecond}),
		aio.WithTrace(func(e aio.TraceEvent) { traced[e.Name] = true }), aio.WithThread(aio.Thread{TimerSlack: 1})))
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	for what, c := range map[string]*aio.Context{"vm/aio": l.AIO(), "vm/iohandler": l.IOHandler()} {
		if c.Name() != what || c.Backend().Name != "epoll" || c.VirtualClock() != clock {
			t.Errorf("%s: %v, %v", c.Name(), c.Backend(), c.VirtualClock())
		}
		must(t, c.NewBottomHalf(func() {}).Named(what).Schedule())
	}
	for _, err := l.TryWait(); len(traced) < 2; _, err = l.TryWait() {
		must(t, err)
	}
	initialized.Store(false)
	_, err = Init(WithAIO(aio.WithName("x")))
	initialized.Store(true)
	if err == nil || !strings.Contains(err.Error(), "WithName is given twice") {
		t.Errorf("%v", err)
	}
	initialized.Store(false)
	_, err = Init(WithName("a"), WithName("b"))
	initialized.Store(true)
	if err == nil || !strings.Contains(err.Error(), "WithName is given twice") {
		t.Errorf("%v", err)
	}
}
