package aio

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

var errCause = errors.New("cause")

func TestRunEndsWithItsContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ctx, cancel := context.WithCancelCause(t.Context())
		ran := 0
		var b *BottomHalf
		b = c.NewBottomHalf(func() {
			if ran++; ran == 3 {
				cancel(errCause)
			}
			_ = b.Schedule()
		})
		must(t, b.Schedule())
		must(t, c.Run(ctx))
		if ran < 3 {
			t.Errorf("ran %d times", ran)
		}
		b.Close()
		turn(t, c) // the loop can go on
	})
}

func TestRunOfAnEndedContextReturns(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		for range 100 {
			must(t, c.Run(ctx))
		}
		deadline, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		must(t, c.Run(deadline))
	})
}

// The end may come at any moment around the sleep, also between Run's look at it
// and the sleep: Run always hears of it.
func TestRunDoesNotMissItsEnd(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		for i := range guest.Few(500) {
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() {
				for range i * 10 {
					_ = c.waker.written.Load()
				}
				cancel()
			})
			must(t, c.Run(ctx))
			group.Wait()
		}
	})
}

// What keeps RunUntilDone going, and how it ends: on the home goroutine, or on another while the
// loop sleeps.
func TestRunUntilDone(t *testing.T) {
	kinds := map[string]func(t *testing.T, c *Context) (end func()){
		"nothing": func(*testing.T, *Context) func() { return func() {} },
		"bottom half": func(t *testing.T, c *Context) func() {
			must(t, c.ScheduleOnce(func() {}))
			return func() {}
		},
		"idle bottom half": func(t *testing.T, c *Context) func() {
			must(t, c.NewBottomHalf(func() {}).ScheduleIdle())
			return func() {}
		},
		"cancelled bottom half": func(t *testing.T, c *Context) func() {
			b, idle := c.NewBottomHalf(func() {}), c.NewBottomHalf(func() {})
			must(t, b.Schedule())
			must(t, idle.ScheduleIdle())
			b.Cancel()
			idle.Cancel()
			return func() {}
		},
		"timer": func(t *testing.T, c *Context) func() {
			timer := c.NewTimer(Realtime, func() {})
			must(t, timer.Reset(time.Hour))
			return func() { timer.Stop() }
		},
		"handler": func(t *testing.T, c *Context) func() {
			r, _ := pipe(t)
			h, err := c.Watch(r, Callbacks{Read: func(*Handler) {}})
			must(t, err)
			return func() { must(t, h.Close()) }
		},
		"handler that closes its descriptor": func(t *testing.T, c *Context) func() {
			r, _ := pipe(t)
			h, err := c.Watch(r, Callbacks{Read: func(*Handler) {}})
			must(t, err)
			closed := false
			t.Cleanup(func() {
				if !closed {
					t.Error("the function of CloseThen was not called")
				}
			})
			return func() { must(t, h.CloseThen(func() { closed = true })) }
		},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, begin := range kinds {
			for _, where := range []string{"home", "elsewhere"} {
				t.Run(name+"/"+where, func(t *testing.T) {
					c := newLoop()
					end := begin(t, c)
					if where == "home" {
						must(t, c.ScheduleOnce(end))
						within(t, "RunUntilDone", func() { must(t, c.RunUntilDone(t.Context())) })
						return
					}
					ended := make(chan error, 1)
					go func() { ended <- c.RunUntilDone(t.Context()) }()
					if name == "timer" || name == "handler" {
						asleep(t, c)
					}
					end()
					select {
					case err := <-ended:
						must(t, err)
					case <-time.After(patience):
						t.Error("RunUntilDone does not end")
					}
				})
			}
		}
	})
}

func TestRunUntilDoneEndsWithItsContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		timer := c.NewTimer(Realtime, func() {})
		must(t, timer.Reset(time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		must(t, c.RunUntilDone(ctx))
		timer.Stop()
		must(t, c.RunUntilDone(t.Context()))
	})
}

func TestRunInsideACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		must(t, c.ScheduleOnce(func() {
			ctx, cancel := context.WithCancel(t.Context())
			must(t, c.ScheduleOnce(func() { ran.add("inner"); cancel() }))
			must(t, c.Run(ctx))
			ran.add("outer")
		}))
		turn(t, c)
		ran.expect(t, "inner", "outer")
	})
}

func TestRunReturnsAnErrorOfPoll(t *testing.T) {
	inner, _, err := Epoll.open(ModeThread)
	must(t, err)
	p := &scriptedPoller{Poller: inner}
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	p.fail = errCause
	wantError(t, c.Run(t.Context()), errCause)
	ran := false
	must(t, c.ScheduleOnce(func() { ran = true }))
	if block(t, c); !ran {
		t.Error("the loop does not go on after an error")
	}
}

// Close is refused for as long as Run runs, also between two of its iterations.
func TestCloseIsRefusedThroughoutRun(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		busy(t, c)
		start(t, c)
		must(t, c.Do(t.Context(), func() error { return nil }))
		for range 2000 {
			wantError(t, c.Close(), ErrPolling)
		}
		must(t, c.Do(t.Context(), func() error { c.halves.now, c.halves.end = bhList{}, nil; return nil }))
	})
}

// Made by one goroutine, driven by another: nothing is lost, and io_uring's single
// issuer is the latter.
func TestTrap03_MadeHereDrivenThere(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		done := make(chan string, 3)
		watchNotifier(t, c, n, func() { done <- "handler" })
		must(t, n.Set())
		must(t, c.ScheduleOnce(func() { done <- "bottom half" }))
		must(t, c.NewTimer(Realtime, func() { done <- "timer" }).Set(0))
		start(t, c)
		seen := map[string]bool{}
		for range 3 {
			seen[<-done] = true
		}
		if len(seen) != 3 {
			t.Errorf("ran %v", seen)
		}
	})
}

// Poll from a goroutine that is not the home goroutine is refused, whether or not
// the loop is inside Poll, and does no harm.
func TestPollFromASecondGoroutine(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		refused := func(c *Context) {
			elsewhere(func() {
				_, err := c.Poll()
				wantError(t, err, ErrWrongGoroutine)
				_, err = c.TryPoll()
				wantError(t, err, ErrWrongGoroutine)
				wantError(t, c.Run(t.Context()), ErrWrongGoroutine)
			})
		}
		c := newLoop()
		turn(t, c)
		refused(c)
		inside := false
		must(t, c.ScheduleOnce(func() { inside = true; refused(c) }))
		if turn(t, c); !inside {
			t.Error("it does not work afterwards")
		}
		asleepElsewhere := newLoop()
		start(t, asleepElsewhere)
		asleep(t, asleepElsewhere)
		refused(asleepElsewhere)
	})
}

// One that is refused at the moment at which the home goroutine polls, or closes the
// Context, does no harm to that.
func TestRefusedPollIsInNobodysWay(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		var closed atomic.Bool
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for !closed.Load() {
					runtime.Gosched()
					if _, err := c.TryPoll(); !errors.Is(err, ErrWrongGoroutine) && !errors.Is(err, ErrClosed) {
						t.Errorf("got %v, want ErrWrongGoroutine", err)
						return
					}
				}
			})
		}
		defer group.Wait()
		defer closed.Store(true)
		for range 5_000 {
			turn(t, c)
		}
		must(t, c.Close())
	})
}
