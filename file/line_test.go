//go:build linux

package file

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/pool"
)

func lineSetup(t *testing.T) (*setup, *File, string) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: EngineThreads})
	name := s.create(make([]byte, 1<<20))
	return s, s.open(name, os.O_RDWR), name
}

// inOrder makes n requests of 100 bytes, one behind the other, that count in over.
func inOrder(n int, over *int) (all []*Request, data []byte) {
	for i := range n {
		buf := patterned(100, int64(i)*100, 1)
		data = append(data, buf...)
		all = append(all, &Request{Buf: buf, Offset: int64(i) * 100, Done: func(*Request) { *over++ }})
	}
	return all, data
}

// One job, and so one wake-up, is enough for all that a callback writes.
func TestWritesStandInLine(t *testing.T) {
	s, f, name := lineSetup(t)
	over := 0
	all, data := inOrder(20, &over)
	s.loop.Batch(func() {
		for _, r := range all {
			s.must(f.Write(r))
		}
	})
	if n := count(f.line.taken); n != len(all) {
		t.Errorf("the job has %d of %d writes", n, len(all))
	}
	s.until(func() bool { return over == len(all) })
	for _, r := range all {
		if r.N != 100 || r.Err != nil {
			t.Errorf("at %d: %d, %v", r.Offset, r.N, r.Err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got[:len(data)], data) {
		t.Error("what was written is not what there is: ", err)
	}
}

// A job is not larger than lineSize, unless one request is.
func TestLineHasALimit(t *testing.T) {
	s, f, _ := lineSetup(t)
	over := 0
	for range 3 {
		s.must(f.Write(&Request{Buf: make([]byte, lineSize/2+1), Done: func(*Request) { over++ }}))
	}
	s.must(f.Write(&Request{Buf: make([]byte, 2*lineSize), Done: func(*Request) { over++ }}))
	for taken := 0; over < 4; {
		_, err := s.loop.Poll()
		s.must(err)
		if n := count(f.line.taken); n > 2 {
			t.Fatalf("%d at a time", n)
		} else if n > 0 {
			taken++
		}
		if taken > 1000 {
			t.Fatal("no end")
		}
	}
}

func count(q requests) (n int) {
	for r := q.first; r != nil; r = r.next {
		n++
	}
	return n
}

// Of the writes of a job that no worker has begun, those that are cancelled end, and the others are
// done.
func TestCancelInLine(t *testing.T) {
	s, f, _ := lineSetup(t)
	p, err := pool.New(s.loop, pool.WithWorkers(0, 1))
	s.must(err)
	s.Cleanup(func() { s.must(p.Close(t.Context())) })
	own := f.all.pool
	f.all.pool = p
	s.Cleanup(func() { f.all.pool = own })
	hold := make(chan struct{})
	s.must(p.Run(func() error { <-hold; return nil }, func(error) {}))
	over := 0
	all, _ := inOrder(4, &over)
	s.loop.Batch(func() {
		for _, r := range all[:3] {
			s.must(f.Write(r))
		}
	})
	s.must(f.Write(all[3])) // behind the job
	s.must(all[1].Cancel())
	s.must(all[3].Cancel())
	s.until(func() bool { return all[1].Err != nil && all[3].Err != nil })
	close(hold)
	s.until(func() bool { return over == len(all) })
	for i, r := range all {
		if cancelled := errors.Is(r.Err, unix.ECANCELED); cancelled != (i%2 == 1) {
			t.Errorf("write %d: %v", i, r.Err)
		}
	}
}

// A panic of one Done keeps none of the others back.
func TestPanicInLine(t *testing.T) {
	s, f, _ := lineSetup(t)
	over := 0
	all, _ := inOrder(5, &over)
	all[2].Done = func(*Request) { over++; panic("of a test") }
	s.loop.Batch(func() {
		for _, r := range all {
			s.must(f.Write(r))
		}
	})
	panics := 0
	for over < len(all) {
		func() {
			defer func() {
				if recover() != nil {
					panics++
				}
			}()
			_, err := s.loop.Poll()
			s.must(err)
		}()
	}
	if panics != 1 {
		t.Errorf("%d panics", panics)
	}
}

// With WithWaitingWrites no worker writes, and a call that says EINTR or too little goes on.
func TestWaitingWrites(t *testing.T) {
	s := newSetup(t, variant{backend: aio.Epoll, mode: aio.ModeThread, engine: EngineAuto})
	name := s.create(make([]byte, 1000))
	f := s.open(name, os.O_RDWR, WithWaitingWrites())
	data := patterned(1000, 0, 3)
	r := &Request{Buf: data, Done: func(*Request) {}}
	if s.must(f.Write(r)); r.way != inLoop {
		t.Errorf("the way is %d", r.way)
	}
	s.until(func() bool { return r.file == nil })
	for _, fault := range []sys.Fault{{}, {Room: 10}, {Errno: unix.EINTR}} {
		calls := 0
		restore := sys.Inject(func(c sys.Call) (f sys.Fault) {
			if c == sys.CallPwritev && calls == 0 {
				calls++
				f = fault
			}
			return f
		})
		n, err := s.do(f.Write, &Request{Buf: data})
		restore()
		if n != 1000 || err != nil || calls != 1 {
			t.Errorf("%+v: %d, %v", fault, n, err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
		t.Error("what was written is not what there is: ", err)
	}
}
