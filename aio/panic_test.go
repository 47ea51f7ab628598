package aio

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// scene is a loop with one of everything about to happen together: the kind under
// test misbehaves, the others must come through.
type scene struct {
	t    *testing.T
	c    *Context
	ran  map[string]int
	want map[string]int
}

// misbehaviours are the ways to set up one callback that calls bad.
var misbehaviours = map[string]func(s *scene, bad func()){
	"bottom half": func(s *scene, bad func()) { must(s.t, s.c.NewBottomHalf(bad).Schedule()) },
	"one-shot":    func(s *scene, bad func()) { must(s.t, s.c.ScheduleOnce(bad)) },
	"timer":       func(s *scene, bad func()) { must(s.t, s.c.NewTimer(Realtime, bad).Set(-10)) },
	"notifier": func(s *scene, bad func()) {
		n := notifier(s.t)
		must(s.t, n.Set())
		watchNotifier(s.t, s.c, n, bad)
	},
	"read": func(s *scene, bad func()) {
		r, w := pipe(s.t)
		write(s.t, w, "x")
		watch(s.t, s.c, r, Callbacks{Read: func(*Handler) { read(r, 1); bad() }})
	},
	"write": func(s *scene, bad func()) {
		a, _ := sockets(s.t)
		var h *Handler
		h = watch(s.t, s.c, a, Callbacks{Write: func(*Handler) { _ = h.Close(); bad() }})
	},
	"do": func(s *scene, bad func()) {
		must(s.t, s.c.ScheduleOnce((&call{ctx: context.Background(), fn: func() error { bad(); return nil }, done: make(chan struct{})}).run))
	},
	"nested": func(s *scene, bad func()) {
		must(s.t, s.c.ScheduleOnce(func() {
			must(s.t, s.c.ScheduleOnce(bad))
			_, _ = s.c.TryPoll()
		}))
	},
	"completion": func(s *scene, bad func()) {
		must(s.t, submit(s.c, Request{}, func(int, error) { bad() }))
	},
}

// populate adds the well-behaved ones, before and after the bad one.
func (s *scene) populate(phase string) {
	expect := func(what string) func() {
		what += " " + phase
		s.want[what] = 1
		return func() { s.ran[what]++ }
	}
	must(s.t, s.c.NewBottomHalf(expect("bottom half")).Schedule())
	must(s.t, s.c.ScheduleOnce(expect("one-shot")))
	for _, id := range allClocks {
		must(s.t, s.c.NewTimer(id, expect("timer "+id.String())).Set(-5))
	}
	n := notifier(s.t)
	must(s.t, n.Set())
	watchNotifier(s.t, s.c, n, expect("notifier"))
	s.want["edge read "+phase], s.want["edge write "+phase] = 1, 1
	a, b := sockets(s.t)
	write(s.t, b, "x")
	watch(s.t, s.c, a, Callbacks{Edge: true, Read: ignoring(expect("edge read")), Write: ignoring(expect("edge write"))})
	if s.c.port.submitter != nil {
		done := expect("completion")
		must(s.t, submit(s.c, Request{}, func(int, error) { done() }))
	}
}

// check runs the loop until all of the others have run, and that only once.
func (s *scene) check() {
	s.t.Helper()
	for range 5 {
		turn(s.t, s.c)
	}
	for what, n := range s.want {
		// By level, a handler that does not read runs again and again.
		if got := s.ran[what]; got == 0 || got > n && s.c.port.edge {
			s.t.Errorf("%s ran %d times, want %d", what, got, n)
		}
	}
	if s.c.home.who.Depth != 0 || s.c.home.state.Load() != stateIdle {
		s.t.Errorf("the loop believes to be inside Poll: depth %d", s.c.home.who.Depth)
	}
}

func eachMisbehaviour(t *testing.T, test func(t *testing.T, s *scene, setUp func(bad func()))) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, setUp := range misbehaviours {
			t.Run(name, func(t *testing.T) {
				s := &scene{t: t, c: newLoop(), ran: map[string]int{}, want: map[string]int{}}
				if name == "completion" && s.c.port.submitter == nil {
					t.Skip("this backend runs no operations")
				}
				test(t, s, func(bad func()) {
					s.populate("before")
					setUp(s, bad)
					s.populate("after")
				})
			})
		}
	})
}

func TestPanicInACallbackLosesNothing(t *testing.T) {
	eachMisbehaviour(t, func(t *testing.T, s *scene, setUp func(bad func())) {
		setUp(func() { panic(errCause) })
		panics := 0
		for range 10 {
			if v := panicOf(func() { _, _ = s.c.TryPoll() }); v == errCause {
				panics++
			} else if v != nil {
				t.Fatalf("Poll panicked with %v", v)
			}
		}
		if panics != 1 {
			t.Errorf("%d panics", panics)
		}
		s.check()
	})
}

func TestPanicGoesThroughRun(t *testing.T) {
	eachMisbehaviour(t, func(t *testing.T, s *scene, setUp func(bad func())) {
		setUp(func() { panic(errCause) })
		if v := panicOf(func() { _ = s.c.Run(t.Context()) }); v != errCause {
			t.Errorf("Run panicked with %v", v)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		must(t, s.c.Run(ctx))
		s.check()
	})
}

// runtime.Goexit, which is what FailNow in a callback does, ends the home goroutine.
// The Context can be closed by another goroutine, and names what is left.
func TestGoexitInACallback(t *testing.T) {
	eachMisbehaviour(t, func(t *testing.T, s *scene, setUp func(bad func())) {
		exited := make(chan bool, 1)
		returned := false
		go func() {
			defer func() { exited <- !returned }()
			setUp(runtime.Goexit)
			for range 10 {
				_, _ = s.c.TryPoll()
			}
			returned = true
		}()
		if !<-exited {
			t.Error("Goexit did not end the goroutine")
		}
		_, err := s.c.Poll()
		wantError(t, err, ErrWrongGoroutine)
		var leaks *LeakError
		if err := s.c.Close(); !errors.As(err, &leaks) {
			t.Fatalf("Close: %v", err)
		}
		if len(leaks.Handlers) < 4 {
			t.Errorf("leaks: %v", leaks)
		}
		s.c.Notify()
		_, err = s.c.Poll()
		wantError(t, err, ErrClosed)
	})
}

// The panic of a user's Poll, PollBegin or PollReady.
func TestPanicWhilePolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, hook := range []string{"Poll", "PollBegin", "PollReady"} {
			t.Run(hook, func(t *testing.T) {
				c := newPolling(t, newLoop, 10*time.Millisecond)
				bad := func(here string) {
					if hook == here {
						hook = ""
						panic(errCause)
					}
				}
				ready := 0
				h := watch(t, c, notifier(t).FD(), Callbacks{
					Read:      func(*Handler) {},
					Poll:      func() bool { bad("Poll"); return true },
					PollBegin: func() { bad("PollBegin") },
					PollReady: func() { bad("PollReady"); ready++ },
				})
				if v := panicOf(func() { _, _ = c.Poll() }); v != errCause {
					t.Fatalf("Poll panicked with %v", v)
				}
				block(t, c)
				if ready != 1 {
					t.Errorf("PollReady returned %d times", ready)
				}
				must(t, h.Close())
			})
		}
	})
}
