//go:build linux

package file

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/file/internal/linuxaio"
	"github.com/aioloop/aioloop/pool"
)

// engines are what all files of a loop share.
type engines struct {
	loop *aio.Context
	pool *pool.Pool

	aio *linuxaio.Engine // nil before it was asked for

	ended chan struct{} // closed with the loop

	sync.Mutex // guards files, and aio for Work, which any goroutine calls
	files      []*File

	ring         ring     // these belong to the home goroutine
	memory       []memory // that is registered with the ring
	freeTasks    *task    // can be used again
	freeAIOTasks *aioTask
}

type enginesKey struct{}

func enginesOf(loop *aio.Context) (*engines, error) {
	a, err := loop.Attach(enginesKey{}, func() (aio.Attachment, error) {
		p, err := pool.Of(loop)
		if err != nil {
			return nil, err
		}
		return &engines{loop: loop, pool: p, ended: make(chan struct{})}, nil
	})
	if err != nil {
		return nil, err
	}
	return a.(*engines), nil
}

func (e *engines) add(f *File) error {
	e.Lock()
	defer e.Unlock()
	for _, other := range e.files {
		if other.fd == f.fd {
			return fmt.Errorf("fd %d is the File %s of this loop already: %w", f.fd, other.name, unix.EEXIST)
		}
	}
	e.files = append(e.files, f)
	return nil
}

func (e *engines) remove(f *File) {
	e.Lock()
	defer e.Unlock()
	if i := slices.Index(e.files, f); i >= 0 {
		e.files = slices.Delete(e.files, i, i+1)
	}
}

// linuxAIO opens the loop's Linux AIO, and returns why there is none.
func (e *engines) linuxAIO() error {
	if e.aio != nil {
		return nil
	}
	a, err := linuxaio.Open(e.loop, linuxaio.Depth)
	if err == nil { // else the next File asks again: a limit may be raised
		e.Lock()
		e.aio = a
		e.Unlock()
	}
	return err
}

// Work implements aio.Attachment. What is under way is named by the ring, the pool and Linux AIO.
func (e *engines) Work() []string {
	e.Lock()
	a := e.aio
	e.Unlock()
	if a == nil {
		return nil
	}
	return a.Work()
}

// End implements aio.Attachment: files that are open are named, and closed if nothing uses them.
func (e *engines) End() (left []string) {
	close(e.ended)
	if e.aio != nil {
		left = e.aio.Close()
	}
	left = append(left, e.ring.names()...)
	e.Lock()
	files := e.files
	e.files = nil
	e.Unlock()
	for _, f := range files {
		if !f.closed {
			left = append(left, "file "+f.name+" is open")
		}
		f.closed, f.allowed = true, 0
		if f.busy == 0 {
			_ = unix.Close(f.fd)
			f.fd = -1
		}
	}
	return left
}

// task is the work of a request on the thread pool.
type task struct {
	job    pool.Job
	r      *Request
	result int64 // a count or -errno
	next   *task // in engines.freeTasks
}

// thread hands a request to the pool.
func (f *File) thread(r *Request) {
	t := f.all.freeTasks
	if t == nil {
		t = new(task)
		t.job.Work, t.job.Done = t.work, t.done
	} else {
		f.all.freeTasks = t.next
	}
	t.r, t.result, r.task = r, 0, t
	t.job.Name = f.titles[r.op]
	f.all.submit(&t.job)
}

// submit hands a job to the loop's pool, to another one if the program has closed the first.
func (e *engines) submit(j *pool.Job) {
	if e.pool.Submit(j) == nil {
		return
	}
	if p, err := pool.Of(e.loop); err == nil { // else the loop is closed
		e.pool = p
		_ = p.Submit(j)
	}
}

func (t *task) done(err error) {
	r, e := t.r, t.r.file.all
	result := t.result
	if err != nil {
		result = -int64(unix.ECANCELED)
	}
	r.task, t.r = nil, nil
	t.next, e.freeTasks = e.freeTasks, t
	r.step(result)
}

// aioTask is a request of Linux AIO.
type aioTask struct {
	request linuxaio.Request
	r       *Request
	next    *aioTask // in engines.freeAIOTasks
}

func (f *File) linuxAIO(r *Request) {
	l := f.all.freeAIOTasks
	if l == nil {
		l = new(aioTask)
		l.request.Done = l.done
	} else {
		f.all.freeAIOTasks = l.next
	}
	l.r, r.aioTask = r, l
	q := &l.request
	q.Op, q.FD, q.Iovecs, q.Offset = linuxaio.Read, f.fd, r.vectors, r.position
	if r.op == opWrite {
		q.Op = linuxaio.Write
	}
	_ = f.all.aio.Submit(q) // it fails if the loop is closed
}

func (l *aioTask) done(q *linuxaio.Request) {
	r, e, result := l.r, l.r.file.all, q.Result
	r.aioTask, l.r, q.Iovecs = nil, nil, nil
	l.next, e.freeAIOTasks = e.freeAIOTasks, l
	r.step(result)
}
