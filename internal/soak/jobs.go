//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/pool"
)

// jobs are work of a thread pool of their own, used again and again, cancelled by anyone. The pool is
// closed and made again now and then, with jobs under way.
type jobs struct {
	*station
	debt *debt
	pool *pool.Pool
	all  []*job

	tried, undone atomic.Uint64 // Cancels that have said yes; Dones with ErrCanceled
	swept         uint64        // of undone: by Close of the pool
}

type job struct {
	jobs     *jobs
	job      pool.Job
	underWay bool
	runs     atomic.Int32
	want     error
	length   time.Duration
	ends     bool // its goroutine
}

var errJob = errors.New("a job has failed")

func threadPool(s *station) error {
	g := &jobs{station: s, debt: s.newDebt("jobs")}
	if err := g.open(); err != nil {
		return err
	}
	for range 24 {
		j := &job{jobs: g}
		j.job.Work, j.job.Done = j.work, j.done
		g.all = append(g.all, j)
	}
	for range 2 {
		s.producer(func(r *rand.Rand) {
			if j := g.all[r.IntN(len(g.all))]; j.job.Cancel() {
				g.tried.Add(1)
			}
		})
	}
	s.producer(func(r *rand.Rand) { s.do("jobs", func() { g.submit(1 + r.IntN(len(g.all))) }) })
	s.singles = append(s.singles, single{g.debt, func() { s.once("jobs", g.single) }})
	s.closers = append(s.closers, g.end)
	return nil
}

func (g *jobs) open() (err error) {
	g.pool, err = pool.New(g.loop, pool.WithWorkers(g.random.IntN(2), 1+g.random.IntN(4)), pool.WithIdle(20*time.Millisecond))
	return err
}

// submit submits n jobs at most.
func (g *jobs) submit(n int) {
	for _, j := range g.all {
		if n > 0 && !j.underWay && g.random.IntN(2) == 0 {
			g.debt.publish()
			j.submit()
			n--
		}
	}
	if g.random.IntN(500) == 0 {
		g.reopen()
	}
}

func (g *jobs) single() {
	j := g.all[g.random.IntN(len(g.all))]
	j.submit()
}

func (j *job) submit() {
	g := j.jobs
	j.underWay = true
	j.runs.Store(0)
	j.want, j.length, j.ends = nil, 0, false
	switch g.random.IntN(16) {
	case 0:
		j.want = errJob
	case 1:
		j.ends, j.want = true, pool.ErrGoexit
	case 2, 3, 4:
		j.length = time.Duration(g.random.IntN(500)) * time.Microsecond
	}
	if !g.rep.must("jobs", g.pool.Submit(&j.job)) {
		return
	}
	if g.random.IntN(16) == 0 && j.job.Cancel() {
		g.tried.Add(1)
	}
}

func (j *job) work() error {
	j.runs.Add(1)
	if j.length > 0 {
		time.Sleep(j.length)
	}
	if j.ends {
		runtime.Goexit()
	}
	return j.want
}

func (j *job) done(err error) {
	g := j.jobs
	g.called("jobs")
	runs, want := int32(1), j.want
	if err == pool.ErrCanceled {
		runs, want = 0, err
		g.undone.Add(1)
	}
	if got := j.runs.Load(); !j.underWay || got != runs || err != want {
		g.rep.fail("%s: jobs: Done with %v, not %v, after %d runs, not %d; under way: %v", g.name, err, want, got, runs, j.underWay)
	}
	j.underWay = false
	g.rep.counts.jobs.Add(1)
	g.pollInside()
	g.debt.pay(1)
}

// reopen closes the pool, which polls the loop, and cancels what waits.
func (g *jobs) reopen() {
	old := g.pool
	if !g.rep.must("jobs", g.open()) {
		return
	}
	// Cancels that come in between are counted as such; only the sum is known.
	g.rep.must("jobs: Close", old.Close(context.Background()))
	g.swept++
}

// end is with nothing under way.
func (g *jobs) end() {
	g.rep.must("jobs: Close", g.pool.Close(context.Background()))
	tried, undone := g.tried.Load(), g.undone.Load()
	if undone < tried || g.swept == 0 && undone > tried {
		g.rep.fail("%s: jobs: %d were cancelled, of which %d know", g.name, tried, undone)
	}
}
