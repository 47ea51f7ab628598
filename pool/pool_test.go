//go:build linux

package pool

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func TestWorkRunsElsewhereAndDoneAtHome(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		want := errors.New("the error of the work")
		written, done := 0, 0 // the race detector sees whether Done may read what Work wrote
		for i := range 100 {
			must(t, Run(loop.Context, func() error {
				if loop.OnHome() {
					t.Error("Work is on the home goroutine")
				}
				written++
				return want
			}, func(err error) {
				if done++; written != done || !loop.OnHome() || err != want {
					t.Errorf("Done %d sees %d, and %v", done, written, err)
				}
			}))
			loop.until(t, func() bool { return done > i })
		}
	})
}

// A chain of jobs and many beside it, each submitted in the Done of another.
func TestJobsAreUsedAgain(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context, WithWorkers(0, 4))
		const each = 200
		jobs, runs := make([]Job, 16), make([]int, 16)
		left := len(jobs) * each
		loop.Batch(func() {
			for i := range jobs {
				j := &jobs[i]
				j.Work = func() error { runs[i]++; return nil }
				j.Done = func(err error) {
					must(t, err)
					if left--; runs[i] < each {
						must(t, p.Submit(j))
					}
				}
				must(t, p.Submit(j))
			}
		})
		loop.until(t, func() bool { return left == 0 })
		for i, n := range runs {
			if n != each {
				t.Errorf("job %d ran %d times", i, n)
			}
		}
	})
}

func TestJobsBeginAndEndInOrder(t *testing.T) {
	loop := newLoop(t)
	p, first := occupy(t, loop)
	var begun, done []int
	for i := range 5 {
		must(t, p.Run(func() error { begun = append(begun, i); return nil }, func(error) { done = append(done, i) }))
	}
	close(first.letGo)
	until(t, loop, func() bool { return len(done) == 5 })
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(begun, want) || !slices.Equal(done, want) {
		t.Errorf("they began in the order %v, and were done in the order %v", begun, done)
	}
}

// Nothing begins before the end of the iteration, and then one worker is woken.
func TestABatchIsHandedOverAtTheEndOfTheIteration(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	done := 0
	must(t, loop.ScheduleOnce(func() {
		for range 16 {
			must(t, p.Run(nothing, func(error) { done++ }))
		}
		if workers, _ := p.counts(); workers != 0 || p.queued.n != 16 {
			t.Errorf("%d workers, %d jobs in the queue", workers, p.queued.n)
		}
	}))
	until(t, loop, func() bool { return done == 16 })

	loop.Batch(func() {
		must(t, p.Run(nothing, func(error) { done++ }))
		if p.queued.n != 1 {
			t.Error("it has begun inside Batch")
		}
	})
	until(t, loop, func() bool { return done == 17 })
}

// A nested Poll starts the jobs, and calls the Done of those behind the one that polls.
func TestDoneMayPoll(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context)
		const n = 20
		calls := make([]int, n)
		total := 0
		loop.Batch(func() {
			for i := range n {
				must(t, p.Run(nothing, func(error) {
					calls[i]++
					total++
					if i == 3 || i == 7 { // one inside the other
						until(t, loop.Context, func() bool { return total == n })
					}
				}))
			}
		})
		eventually(t, "all wait for their Done", func() bool { return p.finished() == n })
		loop.until(t, func() bool { return total >= n })
		must2(t)(loop.TryPoll())
		for i, c := range calls {
			if c != 1 {
				t.Errorf("Done of job %d was called %d times", i, c)
			}
		}
		if progress, _ := loop.TryPoll(); progress {
			t.Error("the loop has something to do still")
		}
	})
}

// What a Done that polls or panics would need is taken back if none does.
func TestDoneOfABatchTakesOneIteration(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	done := 0
	loop.Batch(func() {
		for range 5 {
			must(t, p.Run(nothing, func(error) { done++ }))
		}
	})
	eventually(t, "all are done", func() bool { return p.finished() == 5 && p.telling.Load() == 0 })
	must2(t)(loop.Poll())
	if progress, err := loop.TryPoll(); progress || err != nil || done != 5 {
		t.Errorf("%d Dones in the first iteration, and more to do: %v, %v", done, progress, err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	loop := newLoop(t)
	p, first := occupy(t, loop)
	for range 2 { // active, and then with its Done to come
		err := p.Submit(&first.Job)
		wantError(t, err, ErrUnderWay)
		wantError(t, err, unix.EBUSY)
		wantError(t, newPoolOf(t, loop).Submit(&first.Job), ErrUnderWay)
		if first.State() == Active {
			close(first.letGo)
			eventually(t, "it is done", func() bool { return first.State() == Finished })
		}
	}
	until(t, loop, func() bool { return len(first.result) == 1 })

	ran := false
	job := Job{Work: nothing, Done: func(error) { ran = true }}
	elsewhere(func() { wantErrorElsewhere(t, p.Submit(&job), aio.ErrWrongGoroutine) })
	elsewhere(func() { wantErrorElsewhere(t, p.Run(nothing, ignore), aio.ErrWrongGoroutine) })
	elsewhere(func() { wantErrorElsewhere(t, Run(loop, nothing, ignore), aio.ErrWrongGoroutine) })
	for _, bad := range []*Job{{}, {Work: nothing}, {Done: ignore}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = p.Submit(bad)
		}()
	}
	must2(t)(loop.TryPoll())
	must(t, loop.Close())
	wantError(t, p.Submit(&job), aio.ErrClosed)
	wantError(t, Run(loop, nothing, ignore), aio.ErrClosed)
	elsewhere(func() { wantErrorElsewhere(t, p.Submit(&job), aio.ErrClosed) })
	_, err := Of(loop)
	wantError(t, err, aio.ErrClosed)
	_, err = New(loop)
	wantError(t, err, aio.ErrClosed)
	if job.State() != Idle || ran {
		t.Errorf("a job that was refused is %v, and its Done called: %v", job.State(), ran)
	}
}

// wantErrorElsewhere is wantError for a goroutine other than the test's.
func wantErrorElsewhere(t *testing.T, err, want error) {
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// A pool that is made while the loop is being closed is not ended with it.
func TestSubmitIsUndoneIfTheLoopWasClosedInTheMeantime(t *testing.T) {
	loop := newLoop(t)
	p := newPool(loop, new(pools), options{max: 1})
	must2(t)(loop.TryPoll())
	must(t, loop.Close())
	job := Job{Work: nothing, Done: ignore}
	wantError(t, p.Submit(&job), aio.ErrClosed)
	if p.underWay() || job.State() != Idle || job.pool.Load() != nil {
		t.Errorf("the job is %v", job.State())
	}
}

func TestSubmitBeforeTheFirstPoll(t *testing.T) {
	loop := newLoop(t)
	done := false
	elsewhere(func() {
		if err := Run(loop, nothing, func(error) { done = true }); err != nil {
			t.Error(err)
		}
	})
	until(t, loop, func() bool { return done })
}

func TestRunUntilDoneWaitsForJobs(t *testing.T) {
	loop := newLoop(t)
	order := ""
	letGo := make(chan struct{})
	must(t, Run(loop, func() error { <-letGo; return nil }, func(error) {
		order += "a"
		must(t, Run(loop, nothing, func(error) { order += "b" }))
	}))
	must(t, loop.ScheduleOnce(func() { close(letGo) }))
	must(t, loop.RunUntilDone(t.Context()))
	if order != "ab" {
		t.Errorf("it ended after %q", order)
	}
	p, first := occupy(t, loop)
	second := Job{Work: nothing, Done: func(error) { order += "c" }}
	must(t, p.Submit(&second))
	second.Cancel()
	close(first.letGo)
	must(t, loop.RunUntilDone(t.Context()))
	if order != "abc" || len(first.result) != 1 {
		t.Errorf("it ended after %q", order)
	}
}

func TestSnapshotNamesJobs(t *testing.T) {
	loop := newLoop(t)
	p, first := occupy(t, loop)
	second := Job{Name: "second", Work: nothing, Done: ignore}
	must(t, p.Submit(&second))
	must(t, p.Run(nothing, ignore))
	s, err := loop.Snapshot()
	must(t, err)
	if want := []string{"job first active", "job second queued", "job github.com/aioloop/aioloop/pool.nothing queued"}; !slices.Equal(s.Operations, want) {
		t.Errorf("%q", s.Operations)
	}
	close(first.letGo)
	eventually(t, "all are done", func() bool { return p.finished() == 3 })
	s, err = loop.Snapshot()
	must(t, err)
	if want := []string{"job first done", "job second done", "job github.com/aioloop/aioloop/pool.nothing done"}; !slices.Equal(s.Operations, want) {
		t.Errorf("%q", s.Operations)
	}
	must(t, loop.RunUntilDone(t.Context()))
}

func TestALoopHasOnePoolOfItsOwn(t *testing.T) {
	loop := newLoop(t)
	a, err := Of(loop)
	must(t, err)
	if b, err := Of(loop); a != b || err != nil {
		t.Errorf("two: %v", err)
	}
	if a.min != 0 || a.max != 64 || a.idle != defaultIdle || defaultIdle.Seconds() != 10 {
		t.Errorf("its limits are %d, %d, %v", a.min, a.max, a.idle)
	}
	if newPoolOf(t, loop) == a {
		t.Error("New returns that of Of")
	}
	must(t, a.Close(context.Background()))
	if b, err := Of(loop); a == b || err != nil {
		t.Errorf("it was closed, and is that of Of still: %v", err)
	}
}

func TestStatesHaveNames(t *testing.T) {
	var got []string
	for s := Idle; s <= Finished+1; s++ {
		got = append(got, s.String())
	}
	if want := []string{"idle", "queued", "active", "done", "State(4)"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}

// The memory of a job is the caller's: nothing is allocated for one.
func TestJobsAllocateNothing(t *testing.T) {
	for _, mode := range []aio.Mode{aio.ModePark, aio.ModeThread} {
		loop := newLoop(t, aio.WithBackend(aio.Epoll), aio.WithMode(mode))
		p := newPoolOf(t, loop, WithWorkers(2, 2))
		const n = 16
		jobs, done := make([]Job, n), 0
		for i := range jobs {
			jobs[i].Work, jobs[i].Done = nothing, func(error) { done++ }
		}
		submit := func() {
			for i := range jobs {
				must(t, p.Submit(&jobs[i]))
			}
		}
		if allocs := testing.AllocsPerRun(100, func() {
			done = 0
			loop.Batch(submit)
			for done < n {
				_, _ = loop.Poll()
			}
		}); allocs >= 1 {
			t.Errorf("%v: %v allocations for %d jobs", mode, allocs, n)
		}
	}
}
