package aio

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CloseThen closes the descriptor of a handler while the loop waits for it, from another
// goroutine. No Poll and no foreign loop waits for a number that is closed, or another's.
func TestCloseThenFromAnotherGoroutine(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		for range 100 {
			var fds [2]int
			must(t, unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
			fd := fds[0]
			h, err := c.Watch(fd, Callbacks{Read: func(*Handler) { t.Error("nothing was written") }})
			must(t, err)
			called := make(chan error)
			must(t, h.CloseThen(func() { called <- unix.Close(fd) }))
			must(t, <-called)
			must(t, unix.Close(fds[1]))
			wantError(t, h.CloseThen(func() { t.Error("called after a second close") }), ErrClosed)
		}
	})
}

// The function comes when no callback of the handler is on the stack, on the home goroutine,
// and counts as progress.
func TestCloseThenInsideACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		p, w := pipe(t)
		var got []string
		var h *Handler
		h = watch(t, c, p, Callbacks{Read: func(*Handler) {
			must(t, h.CloseThen(func() { got = append(got, "closed") }))
			for range 3 {
				_, err := c.TryPoll()
				must(t, err)
			}
			got = append(got, "read")
		}})
		write(t, w, "x")
		progress := 0
		for len(got) < 2 {
			if turn(t, c) {
				progress++
			}
		}
		if want := []string{"read", "closed"}; !slices.Equal(got, want) || progress != 2 {
			t.Errorf("%v with %d times progress, want %v", got, progress, want)
		}
	})
}

// A device gets its notifications back before the function is called.
func TestCloseThenComesAfterPollEnd(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithPolling(Polling{Max: time.Millisecond}))
		p, _ := pipe(t)
		var begun, ended atomic.Int32
		h := watch(t, c, p, Callbacks{
			Read: func(*Handler) {}, Poll: func() bool { return false },
			PollBegin: func() { begun.Add(1) }, PollEnd: func() { ended.Add(1) },
		})
		start(t, c)
		for range 50 {
			must(t, c.Do(t.Context(), func() error { return nil }))
		}
		called := make(chan int32)
		must(t, h.CloseThen(func() { called <- begun.Load() - ended.Load() }))
		if owed := <-called; owed != 0 {
			t.Errorf("PollEnd was owed %d times", owed)
		}
	})
}

// A foreign loop waits for what Query has returned. Poll and Run, which may be called
// in between, do not call the function.
func TestCloseThenWaitsForTheForeignLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		p, _ := pipe(t)
		h := watch(t, c, p, Callbacks{Read: func(*Handler) {}})
		called := false
		_, err := c.Prepare()
		must(t, err)
		fds := c.Query(nil)
		must(t, h.CloseThen(func() { called = true }))
		for range 3 {
			_, err := c.TryPoll()
			must(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			must(t, c.ScheduleOnce(cancel))
			must(t, c.Run(ctx))
		}
		if called {
			t.Error("called while the foreign loop waits")
		}
		_, err = c.Check(fds)
		must(t, err)
		foreignUntil(t, c, func() bool { return called })
	})
}

// Close of the Context calls what waits, all of it even after a panic, and names none of it.
func TestCloseThenWithoutAnotherIteration(t *testing.T) {
	for _, due := range []bool{false, true} {
		c, err := New(WithBackend(Epoll))
		must(t, err)
		var reason any
		if !due {
			reason = "first"
		}
		p, _ := pipe(t)
		q, _ := pipe(t)
		first := watch(t, c, p, Callbacks{Read: func(*Handler) {}})
		second := watch(t, c, q, Callbacks{Read: func(*Handler) {}})
		var got []string
		must(t, first.CloseThen(func() { got = append(got, "first"); panicUnlessNil(reason) }))
		must(t, second.CloseThen(func() { got = append(got, "second") }))
		if due { // and their bottom halves behind one that panics
			must(t, c.ScheduleOnce(func() { panic("before") }))
			panicOf(func() { turn(t, c) })
		}
		if caught := panicOf(func() { err = c.Close() }); caught != reason {
			t.Errorf("panic %v, want %v", caught, reason)
		}
		must(t, err)
		if want := []string{"first", "second"}; !slices.Equal(got, want) {
			t.Errorf("called: %v, want %v", got, want)
		}
	}
}

// A panic goes on to the caller of Poll. The next function is called in the next iteration.
func TestCloseThenPanics(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		p, _ := pipe(t)
		q, _ := pipe(t)
		first := watch(t, c, p, Callbacks{Read: func(*Handler) {}})
		second := watch(t, c, q, Callbacks{Read: func(*Handler) {}})
		called := false
		must(t, errors.Join(first.CloseThen(func() { panic("first") }), second.CloseThen(func() { called = true })))
		if caught := panicOf(func() { turn(t, c) }); caught != "first" {
			t.Errorf("%v, not the panic", caught)
		}
		for !called {
			turn(t, c)
		}
	})
}

func panicUnlessNil(value any) {
	if value != nil {
		panic(value)
	}
}
