//go:build linux

package pool

import (
	"runtime/debug"
	"slices"
	"time"
)

// crew are the workers of a pool. It is guarded by Pool.mu.
//
//	       begin                       a job is found
//	none ─────────▶ waking ◀──── idle ◀──────────────▶ busy
//	                  │   begin    │   none is left      │
//	                  └─▶ busy     └──▶ ended ◀──────────┘
//	                              retire, dismiss    closed
type crew struct {
	n      int       // that have not been told to end
	idle   []*worker // the one that became idle last is at the end
	waking bool      // one was woken or started, and has not looked for a job yet

	retiring *time.Timer // calls Pool.retire
	armed    bool        // it is going to
	spare    int         // the fewest that were idle at any time since it was armed
}

// worker is a goroutine that does jobs.
type worker struct {
	pool    *Pool
	signals chan bool // true to look for a job, false to end; buffered, for it may not wait yet
	started bool
}

// wakeWorker makes a worker look for a job if there is one. One at a time is under way: when it
// has found its job, it calls wakeWorker for those behind. So a batch of small jobs costs one
// wake-up or two, and one of jobs that block gets a worker for each.
func (p *Pool) wakeWorker() {
	p.mu.Lock()
	w := p.summon()
	p.mu.Unlock()
	w.begin()
}

// summon chooses the worker to begin, nil if none is needed. The caller holds mu.
func (p *Pool) summon() *worker {
	c := &p.workers
	last := len(c.idle) - 1
	switch {
	case c.waking || p.queued.n == 0:
		return nil
	case last >= 0:
		w := c.idle[last]
		c.idle[last], c.idle = nil, c.idle[:last]
		c.spare = min(c.spare, last)
		c.waking = true
		return w
	case c.n == p.max:
		return nil
	}
	c.n++
	c.waking = true
	p.arm()
	return &worker{pool: p, signals: make(chan bool, 1)}
}

func (w *worker) begin() {
	switch {
	case w == nil:
	case w.started:
		w.signals <- true
	default:
		w.started = true
		go w.run(nil)
	}
}

// run does jobs until w is told to end. finished is the one that w has just done, nil after a
// signal.
func (w *worker) run(finished *Job) {
	for {
		j, ends := w.pool.next(w, finished)
		switch {
		case ends:
			return
		case j != nil:
			w.do(j)
		case !<-w.signals:
			return
		}
		finished = j
	}
}

// next ends the job that w has done and takes one for it. Without any it makes w idle or, in a pool
// that is closed, ends it.
func (p *Pool) next(w *worker, finished *Job) (j *Job, ends bool) {
	p.mu.Lock()
	tells := p.leave(finished)
	var other *worker
	if j = p.queued.pop(); j != nil {
		j.set(Active)
		p.active.push(j)
		other = p.summon()
	} else if ends = p.closed; ends {
		p.workers.n--
	} else {
		p.workers.idle = append(p.workers.idle, w)
	}
	p.mu.Unlock()
	if tells {
		p.tell()
	}
	other.begin()
	return j, ends
}

// leave ends the Active state of j, or the waking of a worker that has not had a job. The caller
// holds mu, and calls tell after it if leave says so.
func (p *Pool) leave(j *Job) (tells bool) {
	if j == nil {
		p.workers.waking = false
		return false
	}
	p.active.remove(j)
	if p.ended {
		j.letGo()
		return false
	}
	p.finish(j, j.err)
	return true
}

// do calls Work. A Work that ends its goroutine ends this one: w goes on in another.
func (w *worker) do(j *Job) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			j.crash = &PanicError{Job: j.title(), Value: value, Stack: debug.Stack()}
			return
		}
		j.err = ErrGoexit
		go w.run(j)
	}()
	j.err = j.Work()
	returned = true
}

// arm sets the timer that retires workers beyond the minimum. The caller holds mu.
func (p *Pool) arm() {
	c := &p.workers
	if c.armed || c.n <= p.min {
		return
	}
	c.armed, c.spare = true, len(c.idle)
	if c.retiring == nil {
		c.retiring = time.AfterFunc(p.idle, p.retire)
	} else {
		c.retiring.Reset(p.idle)
	}
}

// retire ends the workers that were idle all the time since arm: as the one that became idle last
// is woken first, they are the first in the list.
func (p *Pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.workers
	if c.armed = false; p.closed {
		return
	}
	c.end(min(c.spare, c.n-p.min))
	p.arm()
}

// end tells the first n idle workers to end.
func (c *crew) end(n int) {
	for _, w := range c.idle[:n] {
		w.signals <- false
	}
	c.idle = slices.Delete(c.idle, 0, n)
	c.n -= n
}

// dismiss ends all that are idle, and the timer. The others end when they find that the pool is
// closed.
func (c *crew) dismiss() {
	c.end(len(c.idle))
	if c.retiring != nil {
		c.retiring.Stop()
	}
}
