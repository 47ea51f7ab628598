//go:build linux

package pool

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// Pool does jobs for one loop, on workers. See the package documentation for what it guarantees.
type Pool struct {
	loop     *aio.Context
	of       *pools
	handOver *aio.Deferred   // wakes a worker, once for what an iteration has submitted
	half     *aio.BottomHalf // calls Done of what is in done
	min, max int
	idle     time.Duration

	mu      sync.Mutex // guards the rest, and what it guards of each Job under way
	queued  jobList
	active  jobList
	done    jobList // its Done has not been called
	workers crew
	closed  bool // nothing is accepted any more
	ended   bool // the loop was closed: no Done is called any more

	telling atomic.Int32 // goroutines between finish and the end of tell
}

// Of returns the pool that loop has of its own, with the default limits. It makes one if there is
// none, or if that was closed. Any goroutine may call it. It fails with aio.ErrClosed.
func Of(loop *aio.Context) (*Pool, error) {
	of, err := poolsOf(loop)
	if err != nil {
		return nil, err
	}
	return of.loopsOwn(loop), nil
}

// New returns another pool for loop, whose workers and queue are its own. It ends with loop, or
// with Close. Any goroutine may call New. It fails with aio.ErrClosed and with the errors of
// the options.
func New(loop *aio.Context, opts ...Option) (*Pool, error) {
	var o options
	if err := o.apply(opts); err != nil {
		return nil, err
	}
	of, err := poolsOf(loop)
	if err != nil {
		return nil, err
	}
	return of.another(loop, o), nil
}

func newPool(loop *aio.Context, of *pools, o options) *Pool {
	p := &Pool{loop: loop, of: of, min: o.min, max: o.max, idle: o.idle}
	p.handOver = loop.NewDeferred(p.wakeWorker)
	p.half = loop.NewBottomHalf(p.callDone).Named("pool")
	return p
}

// Run is Pool.Run with the pool of Of.
func Run(loop *aio.Context, work func() error, done func(err error)) error {
	p, err := Of(loop)
	if err != nil {
		return err
	}
	return p.Run(work, done)
}

// Run submits a new Job with this Work and this Done.
func (p *Pool) Run(work func() error, done func(err error)) error {
	return p.Submit(&Job{Work: work, Done: done})
}

// Submit queues j. Its Work begins on a worker when the loop has called back for everything in
// this iteration, and outside of Poll at the end of the outermost aio.Context.Batch or inside Submit;
// or before, if a worker ends another job. Its Done is called in a later iteration. The queue
// has no limit.
//
// The home goroutine calls Submit; before the first Poll, one goroutine at a time. It fails with
// aio.ErrWrongGoroutine, aio.ErrClosed and ErrUnderWay, and Done is not called then. It panics if
// Work or Done is nil.
func (p *Pool) Submit(j *Job) error {
	if j.Work == nil || j.Done == nil {
		panic("pool: Submit: the Work or the Done of the Job is nil")
	}
	if err := p.check(); err != nil {
		return err
	}
	if err := p.queue(j); err != nil {
		return err
	}
	if err := p.handOver.Schedule(); err != nil && p.withdraw(j) {
		return err
	}
	return nil
}

// check fails on a goroutine that must not call Submit.
func (p *Pool) check() error {
	if p.loop.OnHome() {
		return nil
	}
	return p.handOver.Schedule() // it knows whether there is a home goroutine, and wakes none in vain
}

func (p *Pool) queue(j *Job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return aio.ErrClosed
	case !j.pool.CompareAndSwap(nil, p):
		return ErrUnderWay
	}
	j.set(Queued)
	p.queued.push(j)
	p.loop.Hold()
	return nil
}

// withdraw undoes queue, unless a worker has the job already. The loop was closed in between.
func (p *Pool) withdraw(j *Job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.pool.Load() != p || j.State() != Queued {
		return false
	}
	p.queued.remove(j)
	p.loop.Release()
	j.letGo()
	return true
}

// cancel takes j out of the queue. It may be under way elsewhere by now, or for another time: a
// job is only Queued while it has its pool, so one that is seen to be Queued, and then of p, is in
// p's queue.
func (p *Pool) cancel(j *Job) bool {
	p.mu.Lock()
	if j.State() != Queued || j.pool.Load() != p {
		p.mu.Unlock()
		return false
	}
	p.queued.remove(j)
	p.finish(j, ErrCanceled)
	p.mu.Unlock()
	p.tell()
	return true
}

// finish puts j, which is in no list, where callDone finds it. The caller holds mu, and calls tell
// when it has released it: tell may make a system call.
func (p *Pool) finish(j *Job, err error) {
	j.err = err
	j.set(Finished)
	p.done.push(j)
	p.telling.Add(1)
}

// tell lets the loop know of what finish has put into done.
func (p *Pool) tell() {
	_ = p.half.Schedule()
	p.telling.Add(-1)
}

// hush ends tell for good. Nothing is under way, or ended is set. It waits for those that have begun:
// a half that is scheduled by now would be named as left in the loop.
func (p *Pool) hush() {
	for p.telling.Load() > 0 {
		runtime.Gosched()
	}
	_ = p.half.Close()
}

// callDone calls Done of the jobs that are done by now. Any Done may panic or poll: a job leaves
// the list before its Done is called, and half is scheduled for those behind it until all were
// called.
func (p *Pool) callDone() {
	n := p.finished()
	if n > 1 {
		_ = p.half.Schedule()
	}
	for range n { // nested calls may have left fewer
		if j := p.takeDone(); j != nil {
			p.call(j)
		}
	}
	if n > 1 {
		p.half.Cancel()
		if p.finished() > 0 { // a worker may have seen half scheduled until now
			_ = p.half.Schedule()
		}
	}
}

func (p *Pool) finished() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done.n
}

func (p *Pool) takeDone() *Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done.pop()
}

// call ends the job before it calls Done, which may submit it again.
func (p *Pool) call(j *Job) {
	err, crash := j.err, j.crash
	j.letGo()
	p.loop.Release()
	if crash != nil {
		panic(crash)
	}
	j.Done(err)
}

// Close ends the pool. Nothing is accepted any more, jobs in the queue are cancelled, and Close
// polls the loop until no Work runs and each Done has been called. If ctx ends first, Close
// returns an error that names the jobs that are left and wraps context.Cause(ctx); Work goes on
// then, and Done is called when the loop is polled.
//
// The home goroutine calls Close, from a callback too; on another one aio.Context.Do can call it.
// Before the first Poll, the caller becomes the home goroutine, if there is something to wait for.
// Close fails with aio.ErrWrongGoroutine, with the errors of Poll, and with aio.ErrClosed the
// second time.
func (p *Pool) Close(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	if !p.shut() {
		return aio.ErrClosed
	}
	defer context.AfterFunc(ctx, p.loop.Notify)()
	for p.underWay() {
		if ctx.Err() != nil {
			return fmt.Errorf("pool: closed with %s: %w", strings.Join(p.names(), ", "), context.Cause(ctx))
		}
		if _, err := p.loop.Poll(); err != nil {
			return err
		}
	}
	p.hush()
	p.of.remove(p)
	return nil
}

// shut keeps jobs from being accepted and from beginning.
func (p *Pool) shut() bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.closed = true
	cancelled := p.queued.n
	for j := p.queued.pop(); j != nil; j = p.queued.pop() {
		p.finish(j, ErrCanceled)
	}
	p.workers.dismiss()
	p.mu.Unlock()
	for range cancelled {
		p.tell()
	}
	return true
}

// end is Close by the loop's own Close: nothing polls any more. It names what is under way.
func (p *Pool) end() (left []string) {
	left = p.names()
	p.abandon()
	p.hush()
	return left
}

func (p *Pool) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.ended = true, true
	for _, list := range []*jobList{&p.queued, &p.done} {
		for j := list.pop(); j != nil; j = list.pop() {
			j.letGo()
		}
	}
	p.workers.dismiss()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *Pool) underWay() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queued.n+p.active.n+p.done.n > 0
}

// names lists what is under way, the furthest first.
func (p *Pool) names() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range []*jobList{&p.done, &p.active, &p.queued} {
		names = list.names(names)
	}
	return names
}
