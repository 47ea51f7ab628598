//go:build linux

package file

import (
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/pool"
)

// line has the buffered writes of a regular file that a worker makes. Linux locks such a file for
// each of them, so that several workers would wait for each other: one makes all that there are,
// and hands them back together. It belongs to the home goroutine.
type line struct {
	f       *File
	job     pool.Job
	begin   *aio.Deferred
	waiting requests
	taken   requests // by the job: while it runs, the worker has them
}

// lineSize is how many bytes one job writes, if it has more than one request: those that are
// written first wait for the others.
const lineSize = 256 << 10

func newLine(f *File) *line {
	l := &line{f: f}
	l.begin = f.loop.NewDeferred(l.take)
	l.job = pool.Job{Work: l.write, Done: l.done, Name: "writes of " + f.name}
	return l
}

func (l *line) add(r *Request) {
	l.waiting.push(r)
	if l.taken.empty() {
		_ = l.begin.Schedule() // it fails if the loop is closed
	}
}

// take gives a worker what waits, but for what was cancelled.
func (l *line) take() {
	for size := int64(0); l.taken.empty() || size < lineSize; {
		r := l.waiting.pop()
		if r == nil {
			break
		}
		if r.cancelled {
			l.f.answer(r, -int32(unix.ECANCELED))
			continue
		}
		l.taken.push(r)
		size += r.left
	}
	if !l.taken.empty() {
		l.f.all.submit(&l.job)
	}
}

// write is what the worker does.
func (l *line) write() error {
	for r := l.taken.first; r != nil; r = r.next {
		n, errno := sys.WriteAt(l.f.fd, r.vectors, r.position)
		r.native.Result = int32(n) // Linux moves less than 2 GiB in a call
		if errno != 0 {
			r.native.Result = -int32(errno)
		}
	}
	return nil
}

// done hands back what the worker has done. After a Cancel that came before it, nothing is done, and
// all go back into the line.
func (l *line) done(err error) {
	taken := l.taken
	l.taken = requests{}
	if err != nil {
		taken.append(&l.waiting)
		l.waiting, taken = taken, requests{}
	}
	for r := taken.pop(); r != nil; r = taken.pop() {
		l.f.answer(r, r.native.Result)
	}
	l.take()
}
