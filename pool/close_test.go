//go:build linux

package pool

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aioloop/aioloop/aio"
)

func TestCloseWaitsForWhatRuns(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		before := runtime.NumGoroutine()
		p, first := occupy(t, loop.Context)
		var second error
		must(t, p.Run(nothing, func(err error) { second = err }))
		must(t, loop.ScheduleOnce(func() { close(first.letGo) })) // only if Close polls
		must(t, p.Close(t.Context()))
		if !slices.Equal(first.result, []error{nil}) || second != ErrCanceled {
			t.Errorf("what ran: %v, what was queued: %v", first.result, second)
		}
		wantError(t, p.Close(t.Context()), aio.ErrClosed)
		wantError(t, p.Run(nothing, ignore), aio.ErrClosed)
		eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before })
		if of, _ := poolsOf(loop.Context); len(of.list()) != 0 {
			t.Error("the loop remembers it")
		}
	})
}

func TestCloseNamesWhatRuns(t *testing.T) {
	loop := newLoop(t)
	p, first := occupy(t, loop)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	go cancel(enough) // wakes the loop
	err := p.Close(ctx)
	wantError(t, err, enough)
	if !strings.Contains(err.Error(), "job first active") {
		t.Error(err)
	}
	wantError(t, p.Run(nothing, ignore), aio.ErrClosed)
	close(first.letGo)
	must(t, loop.RunUntilDone(t.Context()))
	if len(first.result) != 1 {
		t.Errorf("Done was called %d times", len(first.result))
	}
}

func TestCloseFromACallbackAndFromDo(t *testing.T) {
	loop := newLoop(t)
	p, q := newPoolOf(t, loop), newPoolOf(t, loop)
	closed := 0
	must(t, p.Run(nothing, func(error) {
		must(t, p.Run(nothing, func(error) { closed++ }))
		must(t, p.Close(t.Context()))
		closed++
	}))
	until(t, loop, func() bool { return closed > 0 })
	if closed != 2 {
		t.Error("Close did not wait for the Done")
	}
	elsewhere(func() {
		wantErrorElsewhere(t, q.Close(t.Context()), aio.ErrWrongGoroutine)
	})
	errs := make(chan error, 1)
	go func() {
		errs <- loop.Do(t.Context(), func() error { return q.Close(t.Context()) })
		_ = loop.ScheduleOnce(func() { closed = 3 })
	}()
	until(t, loop, func() bool { return closed == 3 })
	must(t, <-errs)
}

func TestCloseOfAPoolThatHasDoneNothing(t *testing.T) {
	loop := newLoop(t)
	must(t, newPoolOf(t, loop).Close(t.Context()))
	p := newPoolOf(t, loop)
	must(t, loop.Close())
	wantError(t, p.Close(t.Context()), aio.ErrClosed)
}

func TestCloseOfTheLoopNamesJobs(t *testing.T) {
	for _, polled := range []bool{false, true} {
		loop := newLoop(t)
		if polled {
			must2(t)(loop.TryPoll())
		}
		p, first := occupy(t, loop)
		second := Job{Name: "second", Work: func() error { t.Error("it runs"); return nil }, Done: func(error) { t.Error("its Done is called") }}
		must(t, p.Submit(&second))
		finished := Job{Name: "finished", Work: nothing, Done: second.Done}
		must(t, newPoolOf(t, loop).Submit(&finished))
		eventually(t, "it is done", func() bool { return finished.State() == Finished })
		fill := newPoolOf(t, loop)
		must(t, fill.Run(nothing, ignore))
		before := runtime.NumGoroutine()
		eventually(t, "there is an idle worker", func() bool { _, idle := fill.counts(); return idle == 1 })

		var leaks *aio.LeakError
		if err := loop.Close(); !errors.As(err, &leaks) || len(leaks.BottomHalves) > 0 {
			t.Fatal(err)
		}
		want := []string{"job first active", "job second queued", "job finished done", "job github.com/aioloop/aioloop/pool.nothing done"}
		if !slices.Equal(leaks.Operations, want) {
			t.Errorf("%q", leaks.Operations)
		}
		eventually(t, "those without work end", func() bool { return runtime.NumGoroutine() <= before-2 })
		if second.State() != Idle || finished.State() != Idle || first.State() != Active {
			t.Errorf("%v, %v, %v", second.State(), finished.State(), first.State())
		}
		close(first.letGo)
		eventually(t, "the work that ran is over", func() bool { return first.pool.Load() == nil })
		eventually(t, "its worker has ended", func() bool { workers, _ := p.counts(); return workers == 0 })
		if len(first.result) > 0 {
			t.Error("its Done was called")
		}
	}
}

// A loop that is closed right after its last Done has nothing left in it, though the worker may not
// have come to the end of the job.
func TestNothingIsLeftAfterTheLastDone(t *testing.T) {
	for i := range 300 {
		loop, err := aio.New(aio.WithBackend(aio.Epoll))
		must(t, err)
		p := newPoolOf(t, loop, WithWorkers(0, 2))
		done := 0
		loop.Batch(func() {
			for range 4 {
				must(t, p.Run(nothing, func(error) { done++ }))
			}
		})
		for done < 4 {
			must2(t)(loop.TryPoll())
			runtime.Gosched()
		}
		if i%2 == 0 {
			must(t, p.Close(t.Context()))
		}
		must(t, loop.Close())
	}
}

// The loop may be closed while work ends: nothing is called, nothing hangs, nothing is left running.
func TestCloseOfTheLoopBesideWork(t *testing.T) {
	for range 100 {
		loop, err := aio.New(aio.WithBackend(aio.Epoll))
		must(t, err)
		p := newPoolOf(t, loop, WithWorkers(0, 3))
		jobs := make([]Job, 20)
		closed := false
		loop.Batch(func() {
			for i := range jobs {
				jobs[i].Work, jobs[i].Done = nothing, func(error) {
					if closed {
						t.Error("Done is called after Close")
					}
				}
				must(t, p.Submit(&jobs[i]))
			}
		})
		must2(t)(loop.TryPoll())
		closed = true
		var leaks *aio.LeakError
		if err := loop.Close(); err != nil && (!errors.As(err, &leaks) || len(leaks.BottomHalves) > 0) {
			t.Fatal(err)
		}
		for i := range jobs {
			eventually(t, "the job is nobody's", func() bool { return jobs[i].State() == Idle })
		}
	}
}
