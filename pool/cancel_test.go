//go:build linux

package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/testkit/guest"
)

func TestOnlyQueuedJobsCanBeCancelled(t *testing.T) {
	loop := newLoop(t)
	p, first := occupy(t, loop)
	if first.State() != Active || first.Cancel() {
		t.Errorf("%v work was cancelled", first.State())
	}
	var got error
	calls := 0
	second := Job{Work: func() error { t.Error("it runs"); return nil }, Done: func(err error) { calls++; got = err }}
	if second.State() != Idle || second.Cancel() {
		t.Errorf("it is not under way but %v, and was cancelled", second.State())
	}
	must(t, p.Submit(&second))
	if second.State() != Queued || !second.Cancel() {
		t.Errorf("it is %v and cannot be cancelled", second.State())
	}
	if calls != 0 || second.State() != Finished || second.Cancel() {
		t.Errorf("after Cancel: %d calls of Done, %v", calls, second.State())
	}
	wantError(t, p.Submit(&second), ErrUnderWay)
	until(t, loop, func() bool { return calls > 0 }) // though the worker is busy
	wantError(t, got, ErrCanceled)
	wantError(t, got, unix.ECANCELED)
	if errors.Is(got, context.Canceled) {
		t.Error("it matches context.Canceled, which is about a Context of that package")
	}
	close(first.letGo)
	until(t, loop, func() bool { return len(first.result) == 1 })
	must(t, first.result[0])
	if first.State() != Idle || first.Cancel() || second.Cancel() || calls != 1 {
		t.Errorf("afterwards: %v, %d calls of Done", first.State(), calls)
	}
}

// What is before and behind a cancelled job in the queue runs.
func TestCancelInTheMiddleOfTheQueue(t *testing.T) {
	for cancelled := range 3 {
		loop := newLoop(t)
		p, first := occupy(t, loop)
		jobs, ran, done := make([]Job, 3), make([]bool, 3), 0
		for i := range jobs {
			jobs[i].Work, jobs[i].Done = func() error { ran[i] = true; return nil }, func(error) { done++ }
			must(t, p.Submit(&jobs[i]))
		}
		if !jobs[cancelled].Cancel() {
			t.Fatal("it cannot be cancelled")
		}
		close(first.letGo)
		until(t, loop, func() bool { return done == 3 })
		for i, r := range ran {
			if r == (i == cancelled) {
				t.Errorf("job %d of 0 to 2 ran: %v, cancelled: %d", i, r, cancelled)
			}
		}
	}
}

func TestCancelOfABatchThatWasNotHandedOver(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	var got error
	job := Job{Work: nothing, Done: func(err error) { got = err }}
	loop.Batch(func() {
		must(t, p.Submit(&job))
		if !job.Cancel() {
			t.Error("it cannot be cancelled")
		}
	})
	if workers, _ := p.counts(); workers != 0 {
		t.Errorf("%d workers were started for nothing", workers)
	}
	until(t, loop, func() bool { return got != nil })
	wantError(t, got, ErrCanceled)
}

// Exactly one Done each, ErrCanceled exactly for those that Cancel took back, and none of these ran.
func TestTrap27_JobsAreCancelledOnce(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context, WithWorkers(0, 4))
		n := guest.Few(10_000)
		jobs, ran, cancelled := make([]Job, n), make([]bool, n), make([]bool, n)
		done, calls := 0, make([]int, n)
		for i := range jobs {
			jobs[i].Work = func() error { ran[i] = true; return nil }
			jobs[i].Done = func(err error) {
				done++
				calls[i]++
				if errors.Is(err, ErrCanceled) == ran[i] {
					t.Errorf("job %d: ran %v, %v", i, ran[i], err)
				}
			}
		}
		// Two other goroutines cancel, and so does the home goroutine: none of the three knows the
		// state.
		var wait sync.WaitGroup
		rounds := make(chan [2]int, n/16+1)
		var mu sync.Mutex
		cancel := func(i int) {
			if jobs[i].Cancel() {
				mu.Lock()
				defer mu.Unlock()
				if cancelled[i] {
					t.Errorf("job %d was cancelled twice", i)
				}
				cancelled[i] = true
			}
		}
		for range 2 {
			wait.Go(func() {
				for r := range rounds {
					for i := r[0]; i < r[1]; i++ {
						if rand.IntN(2) == 0 {
							cancel(i)
						}
					}
				}
			})
		}
		for from := 0; from < n; from += 16 {
			to := min(n, from+16)
			loop.Batch(func() {
				for i := from; i < to; i++ {
					must(t, p.Submit(&jobs[i]))
				}
			})
			rounds <- [2]int{from, to}
			cancel(from + rand.IntN(to-from))
			if from%64 == 0 {
				must2(t)(loop.TryPoll())
			}
		}
		close(rounds)
		loop.until(t, func() bool { return done >= n })
		wait.Wait()
		must2(t)(loop.TryPoll())
		took := 0
		for i, c := range calls {
			if c != 1 || ran[i] == cancelled[i] {
				t.Fatalf("job %d: %d calls of Done, ran %v, cancelled %v", i, c, ran[i], cancelled[i])
			}
			if cancelled[i] {
				took++
			}
		}
		t.Logf("%d of %d were cancelled", took, n)
	})
}

// Cancel of a job that is submitted again and again, to one pool and another, hits one life of it
// or none.
func TestCancelWhileAJobGoesRound(t *testing.T) {
	loop := newLoop(t)
	pools := []*Pool{newPoolOf(t, loop, WithWorkers(0, 1)), newPoolOf(t, loop, WithWorkers(0, 1))}
	rounds := guest.Few(10_000)
	var job Job
	done, ran, canceled := 0, 0, 0
	job.Work = func() error { ran++; return nil }
	job.Done = func(err error) {
		if err != nil {
			canceled++
		}
		if done++; done < rounds {
			must(t, pools[done%2].Submit(&job))
		}
	}
	stop, took := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				took <- n
				return
			default:
				if job.Cancel() {
					n++
				}
				runtime.Gosched()
			}
		}
	}()
	must(t, pools[0].Submit(&job))
	until(t, loop, func() bool { return done == rounds })
	close(stop)
	if n := <-took; n != canceled || ran+canceled != rounds {
		t.Errorf("%d rounds: %d ran, %d ended with ErrCanceled, %d were cancelled", rounds, ran, canceled, n)
	}
}
