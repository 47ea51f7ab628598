package aio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// Each callback has a beginning and an end, nested ones inside, with the name of the loop; one
// that panics ends too.
func TestTraceHasBeginningsAndEnds(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		var seen []string
		c := newLoop(WithName("disk"), WithTrace(func(e TraceEvent) {
			if e.Point != TraceBottomHalf && e.Point != TraceTimer && e.Point != TraceHandler {
				return
			}
			if e.Loop != "disk" || e.End && e.Duration <= 0 || !e.End && e.Duration != 0 {
				t.Errorf("%+v", e)
			}
			end := ""
			if e.End {
				end = "/"
			}
			seen = append(seen, end+e.Name)
		}))
		a, b := sockets(t)
		write(t, b, "x")
		h := watch(t, c, a, Callbacks{Name: "handler", Read: func(h *Handler) { must(t, h.Close()) }})
		must(t, c.NewTimer(Realtime, func() { panic(errCause) }).Named("timer").Set(0))
		inner := c.NewBottomHalf(func() {}).Named("inner")
		must(t, c.NewBottomHalf(func() { must(t, inner.Schedule()); turn(t, c) }).Named("outer").Schedule())
		if panicOf(func() { settle(t, c) }) != errCause {
			t.Error("the panic does not go on")
		}
		wantError(t, h.Close(), ErrClosed)
		outer, in := slices.Index(seen, "outer"), slices.Index(seen, "inner")
		if in != outer+1 || slices.Index(seen, "/inner") != in+1 || !slices.Contains(seen, "/timer") || !slices.Contains(seen, "/handler") {
			t.Errorf("%q", seen)
		}
	})
}

func TestTimings(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithTimings())
		must(t, c.NewTimer(Realtime, func() { time.Sleep(2 * time.Millisecond) }).Set(c.Now(Realtime)-time.Millisecond))
		turn(t, c)
		must(t, c.NewTimer(Realtime, func() {}).Reset(3*time.Millisecond))
		pollUntil(t, c, func() bool { return c.Stats().Timers == 2 })
		s := c.Stats()
		if s.Busy < 2*time.Millisecond || s.LongestCallback < 2*time.Millisecond || s.LatestTimer < time.Millisecond {
			t.Errorf("%+v", s)
		}
		if s.Sleeps > 0 && s.Idle <= 0 {
			t.Errorf("%d sleeps took %v", s.Sleeps, s.Idle)
		}
		if plain := newLoop().Stats(); plain.Busy+plain.Idle+plain.LongestCallback+plain.LatestTimer != 0 {
			t.Errorf("%+v of a loop without an observer", plain)
		}
	})
}

func TestSlowCallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		var slow []SlowCallback
		c := newLoop(WithName("disk"), WithSlowCallback(time.Millisecond, func(s SlowCallback) { slow = append(slow, s) }))
		must(t, c.NewBottomHalf(func() { time.Sleep(2 * time.Millisecond) }).Named("sleepy").Schedule())
		turn(t, c)
		if len(slow) == 0 || slow[0].Kind != TraceBottomHalf || slow[0].Name != "sleepy" || slow[0].Loop != "disk" || slow[0].Duration < 2*time.Millisecond {
			t.Fatalf("%+v", slow)
		}
		if s := slow[0].String(); !strings.Contains(s, `loop "disk": bottom-half sleepy took`) {
			t.Error(s)
		}
	})
}

func TestBadObservers(t *testing.T) {
	for want, opt := range map[string]Option{
		"WithTrace: the function is nil":        WithTrace(nil),
		"WithDebug: the function is nil":        WithDebug(nil),
		"WithSlowCallback: the function is nil": WithSlowCallback(1, nil),
		"WithSlowCallback: the limit is 0s":     WithSlowCallback(0, func(SlowCallback) {}),
	} {
		if _, err := New(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A snapshot of a loop whose callback hangs names everything.
func TestSnapshotWhileACallbackHangs(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithName("disk"), WithDebug(func(err error) { t.Error(err) }))
		r, _ := pipe(t)
		h := watch(t, c, r, Callbacks{Name: "queue", Read: func(*Handler) {}})
		timer := c.NewTimer(Realtime, func() {}).Named("retry")
		must(t, timer.Reset(time.Hour))
		cancelled := c.NewBottomHalf(func() {}).Named("cancelled")
		must(t, cancelled.Schedule())
		cancelled.Cancel()
		start(t, c)
		entered, leave := make(chan struct{}), make(chan struct{})
		must(t, c.NewBottomHalf(func() { close(entered); <-leave }).Named("hangs").Schedule())
		<-entered
		must(t, c.NewBottomHalf(func() {}).Named("next").Schedule())
		s, err := c.Snapshot()
		must(t, err)
		text := s.String()
		for _, want := range []string{`loop "disk"`, "awake", "runs bottom-half hangs for", "handler queue of fd " + fmt.Sprint(r) + " waits for in|rdhup",
			"timer retry runs in 59m59", "bottom half next is scheduled"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if strings.Contains(text, "cancelled") || s.Partial != "" {
			t.Error(text)
		}
		close(leave)
		must(t, c.Do(t.Context(), func() error { timer.Stop(); return h.Close() }))
	})
}

// What a snapshot knows without an option, on the home goroutine and elsewhere.
func TestSnapshotWithoutDebug(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var names []string
		note := func() {
			s, err := c.Snapshot()
			must(t, err)
			names = s.BottomHalves
		}
		b := c.NewBottomHalf(func() {}).Named("b")
		idle := c.NewBottomHalf(func() {}).Named("idle")
		must(t, b.Schedule())
		must(t, idle.ScheduleIdle())
		note() // no one polls
		if !slices.Equal(names, []string{"b", "idle"}) {
			t.Errorf("before: %q", names)
		}
		ran := 0
		var self *BottomHalf
		self = c.NewBottomHalf(func() {
			ran++
			must(t, self.Schedule())
			note()
		}).Named("self")
		must(t, self.Schedule())
		turn(t, c)
		if ran != 1 || !slices.Contains(names, "self") || slices.Contains(names, "b") {
			t.Errorf("in iteration: %d runs, %q", ran, names)
		}
		must(t, self.Close())
		idle.Cancel()
		settle(t, c)
		if s, err := c.Snapshot(); err != nil || s.State != NotPolled || len(s.BottomHalves) > 0 || s.Partial != "" {
			t.Errorf("%+v, %v", s, err)
		}
		c = newLoop()
		start(t, c)
		asleep(t, c)
		s, err := c.Snapshot()
		must(t, err)
		if !strings.Contains(s.String(), "WithDebug makes them known elsewhere") {
			t.Error(s)
		}
	})
}

func TestSnapshotOfOperations(t *testing.T) {
	for _, options := range [][]Option{nil, {WithDebug(func(error) {})}} {
		c := newLoopOn(t, IOUring, append(options, WithMode(ModeThread))...)
		r, w := pipe(t)
		var b [1]byte
		done := false
		must(t, submit(c, Request{Code: backend.OpRead, FD: r, Buf: b[:]}, func(int, error) { done = true }))
		s, err := c.Snapshot()
		must(t, err)
		if want := fmt.Sprintf("operation under way: %v of fd %d", backend.OpRead, r); !strings.Contains(s.String(), want) {
			t.Errorf("no %q in\n%v", want, s)
		}
		write(t, w, "x")
		pollUntil(t, c, func() bool { return done })
		if s, err = c.Snapshot(); err != nil || len(s.Operations) > 0 {
			t.Errorf("%v, %v", s, err)
		}
	}
}

func TestSnapshotOfAClosedLoop(t *testing.T) {
	c, err := New()
	must(t, err)
	must(t, c.Close())
	_, err = c.Snapshot()
	wantError(t, err, ErrClosed)
}

// Snapshots beside everything that changes.
func TestSnapshotBesideALoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, options := range [][]Option{nil, {WithDebug(func(error) {})}} {
			c := newLoop(options...)
			start(t, c)
			var group sync.WaitGroup
			for range 3 {
				group.Go(func() {
					for range 50 {
						must(t, c.ScheduleOnce(func() {}))
						timer, err := c.AfterFunc(time.Microsecond, func() {})
						must(t, err)
						_, err = c.Snapshot()
						must(t, err)
						timer.Stop()
					}
				})
			}
			group.Wait()
		}
	})
}

// A descriptor that is closed, or becomes another file, under an open handler is reported once.
func TestDebugFindsClosedDescriptors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, spoil := range map[string]func(fd int){
			"closed":        func(fd int) { must(t, unix.Close(dupOver(t, fd))) },
			"another file":  func(fd int) { n := notifier(t); must(t, unix.Dup3(n.FD(), fd, unix.O_CLOEXEC)) },
			"nothing wrong": func(int) {},
		} {
			var reports []error
			c := newLoop(WithName("disk"), WithDebug(func(err error) { reports = append(reports, err) }))
			r, _ := pipe(t)
			h := watch(t, c, r, Callbacks{Name: "queue", Read: func(*Handler) {}})
			turn(t, c)
			spoil(r)
			for range 3 {
				turn(t, c)
			}
			_ = h.Close()
			if name == "nothing wrong" {
				if len(reports) > 0 {
					t.Error(reports)
				}
				continue
			}
			if len(reports) != 1 || !errors.Is(reports[0], unix.EBADF) {
				t.Fatalf("%s: %v", name, reports)
			}
			if s := reports[0].Error(); !strings.Contains(s, `loop "disk": handler queue: fd `) || !strings.Contains(s, "close the handler first") {
				t.Error(s)
			}
		}
	})
}

// Loops that would wait for each other in Do are told, whichever comes second; a loop that waits
// for one that does not wait is not.
func TestDebugFindsLoopsThatWaitForEachOther(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const n = 3
		var loops [n]*Context
		for i := range loops {
			loops[i] = newLoop(WithName(fmt.Sprint("loop ", i)), WithDebug(func(err error) { t.Error(err) }))
			start(t, loops[i])
		}
		nothing := func() error { return nil }
		must(t, loops[0].Do(t.Context(), func() error { return loops[1].Do(t.Context(), nothing) }))

		errs := make(chan error, n)
		var inside sync.WaitGroup
		inside.Add(n)
		for i := range loops {
			must(t, loops[i].ScheduleOnce(func() {
				inside.Done()
				inside.Wait() // all are in a callback now
				errs <- loops[(i+1)%n].Do(t.Context(), nothing)
			}))
		}
		deadlocks := 0
		for range n {
			select {
			case err := <-errs:
				if errors.Is(err, ErrDeadlock) {
					deadlocks++
					if !strings.Contains(err.Error(), "which waits for") {
						t.Error(err)
					}
				} else {
					must(t, err)
				}
			case <-time.After(patience):
				t.Fatal("they wait for each other")
			}
		}
		if deadlocks != 1 {
			t.Errorf("%d of them were told", deadlocks)
		}
	})
}
