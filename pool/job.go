//go:build linux

package pool

import (
	"fmt"
	"reflect"
	"runtime"
	"sync/atomic"
)

// Job is work for a Pool, in memory of the caller. The zero value with Work and Done set is ready
// for Submit. From Submit until its Done is called it belongs to the pool: it must not be
// changed or copied. After that, also within Done, it can be submitted again, to any pool.
type Job struct {
	// Name is for reports: LeakError, Snapshot, PanicError. Without it they say where Work
	// was written.
	Name string
	// Work is called on a worker and may block. Work of one job runs beside that of others.
	Work func() error
	// Done is called on the home goroutine, once for each Submit that has not failed, with the
	// error of Work, or with ErrCanceled or ErrGoexit.
	Done func(err error)

	pool  atomic.Pointer[Pool] // it is under way there; nil if it is not
	state atomic.Uint32        // a State

	// The rest is guarded by Pool.mu, or is the worker's while the job is Active.
	err        error
	crash      *PanicError
	prev, next *Job // in one of the pool's lists
}

// State is how far a job has come.
type State uint32

// The states of a job.
const (
	Idle     State = iota // not submitted, or its Done has been called
	Queued                // it waits for a worker and can be cancelled
	Active                // its Work runs
	Finished              // it waits for the loop to call Done: its Work has returned, or it was cancelled
)

var stateNames = [...]string{Idle: "idle", Queued: "queued", Active: "active", Finished: "done"}

// String returns "idle", "queued", "active" or "done".
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint32(s))
	}
	return stateNames[s]
}

// State returns how far the job has come. Any goroutine may call it. A worker may have gone on when
// the answer arrives.
func (j *Job) State() State { return State(j.state.Load()) }

// Cancel takes a job back whose Work has not begun. It reports whether it has: Work is certain
// not to run then, and Done is called with ErrCanceled, later, not inside Cancel. If it reports
// false, the job takes its course: it is not under way, or Work has begun, or Cancel was called
// before. Any goroutine may call it.
func (j *Job) Cancel() bool {
	p := j.pool.Load()
	return p != nil && p.cancel(j)
}

func (j *Job) set(s State) { j.state.Store(uint32(s)) }

// title is what reports call the job.
func (j *Job) title() string {
	if j.Name != "" {
		return j.Name
	}
	if f := runtime.FuncForPC(reflect.ValueOf(j.Work).Pointer()); f != nil {
		return f.Name()
	}
	return "?"
}

// letGo makes the job one that can be submitted. The state comes first: see Pool.cancel.
func (j *Job) letGo() {
	j.err, j.crash = nil, nil
	j.set(Idle)
	j.pool.Store(nil)
}

// jobList is a list of jobs, the oldest first. A job is in one list at most.
type jobList struct {
	first, last *Job
	n           int
}

func (l *jobList) push(j *Job) {
	j.prev, j.next = l.last, nil
	if l.last == nil {
		l.first = j
	} else {
		l.last.next = j
	}
	l.last = j
	l.n++
}

// pop takes the oldest job, nil if there is none.
func (l *jobList) pop() *Job {
	j := l.first
	if j != nil {
		l.remove(j)
	}
	return j
}

func (l *jobList) remove(j *Job) {
	if j.prev == nil {
		l.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.last = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
	l.n--
}

// names appends a line for each job.
func (l *jobList) names(to []string) []string {
	for j := l.first; j != nil; j = j.next {
		to = append(to, fmt.Sprintf("job %s %v", j.title(), j.State()))
	}
	return to
}
