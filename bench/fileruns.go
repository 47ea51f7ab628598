package bench

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/file"
)

// places are the offsets of requests, made as those of bench/peers/fileio.c are.
type places struct {
	blocks, block uint64
	inOrder       bool
	seed, last    uint64
}

func (w *fileWork) places(seed uint64) places {
	return places{
		blocks: uint64(w.span() / w.block()), block: uint64(w.block()),
		inOrder: w.access == inOrder, seed: 88172645463325252 + seed,
	}
}

func (p *places) next() int64 {
	if p.inOrder {
		p.last = (p.last + 1) % p.blocks
		return int64(p.last * p.block)
	}
	p.seed ^= p.seed << 13
	p.seed ^= p.seed >> 7
	p.seed ^= p.seed << 17
	return int64(p.seed % p.blocks * p.block)
}

func (w *fileWork) flags() (flags int) {
	flags = os.O_RDONLY
	if w.write {
		flags = os.O_RDWR
	}
	if w.direct() {
		flags |= unix.O_DIRECT
	}
	return flags
}

// fileRun keeps requests under way on a loop that the driver polls.
type fileRun struct {
	*fixture
	loop     *aio.Context
	submit   func(*file.Request) error
	places   places
	requests []fileRequest

	budget      budget
	rec         *report.Recorder
	begun, done int64
	underWay    int
	err         error
}

type fileRequest struct {
	file.Request
	made time.Duration
}

// loopFile sets up a row of the library.
func loopFile(s *fixture, row fileRow, w *fileWork, path string) (runFunc, error) {
	on := row.loop()
	loop, err := on.open(s.cpus)
	if err != nil {
		return nil, err
	}
	s.atExit(loop.Close)
	f, err := file.Open(loop, path, w.flags(), append(row.opts, file.WithEngine(row.engine))...)
	if err != nil {
		return nil, err
	}
	s.atExit(f.Close)
	if live := f.Engine(); row.engine == file.EngineAuto {
		s.note(fmt.Sprintf("the live engine is %v", live))
	} else if live.Engine != row.engine {
		return nil, fmt.Errorf("asked for the engine %v, but the live one is %v", row.engine, live)
	}
	l := &fileRun{fixture: s, loop: loop, submit: f.Read, places: w.places(0), requests: make([]fileRequest, w.depth)}
	if w.write {
		l.submit = f.Write
	}
	for i := range l.requests {
		r := &l.requests[i]
		r.Buf = f.Buffer(int(w.block()))
		r.Done = func(*file.Request) { l.over(r) }
	}
	return l.run, nil
}

func (l *fileRun) run(b budget, rec *report.Recorder) (int64, error) {
	l.budget, l.rec, l.begun, l.done, l.err = b, rec, 0, 0, nil
	start := now()
	for i := range l.requests {
		l.next(&l.requests[i], start)
	}
	for l.underWay > 0 {
		if _, err := l.loop.Poll(); err != nil {
			return l.done, errors.Join(err, l.err)
		}
	}
	l.elapsed += now() - start
	return l.done, l.err
}

// next begins a request, unless there were enough.
func (l *fileRun) next(r *fileRequest, at time.Duration) {
	if l.err != nil || l.budget.spent(l.begun, at) {
		return
	}
	r.Offset = l.places.next()
	r.made = now()
	if err := l.submit(&r.Request); err != nil {
		l.err = err
		return
	}
	l.begun++
	l.underWay++
}

func (l *fileRun) over(r *fileRequest) {
	at := now()
	l.underWay--
	if r.Err != nil {
		l.err = r.Err
		return
	}
	l.rec.Record(at - r.made)
	l.done++
	l.next(r, at)
}

// goroutineFile sets up what a Go program would do without a loop.
func goroutineFile(s *fixture, w *fileWork, path string) (runFunc, error) {
	f, err := os.OpenFile(path, w.flags(), 0)
	if err != nil {
		return nil, err
	}
	s.atExit(f.Close)
	call := f.ReadAt
	if w.write {
		call = f.WriteAt
	}
	callers := make([]fileCaller, w.depth)
	for i := range callers {
		callers[i] = fileCaller{call: call, places: w.places(uint64(i)), buf: pageAligned(int(w.block()))}
	}
	if w.access == inOrder { // they take turns, as requests of one loop do
		shared := w.places(0)
		var mu sync.Mutex
		for i := range callers {
			callers[i].shared = func() int64 {
				mu.Lock()
				defer mu.Unlock()
				return shared.next()
			}
		}
	}
	return func(b budget, rec *report.Recorder) (int64, error) { return s.callAll(callers, b, rec) }, nil
}

// fileCaller is one goroutine. Its samples are its own until it has ended.
type fileCaller struct {
	call    func([]byte, int64) (int, error)
	places  places
	shared  func() int64 // instead of places
	buf     []byte
	samples []time.Duration
	err     error
}

func (s *fixture) callAll(callers []fileCaller, b budget, rec *report.Recorder) (n int64, err error) {
	var begun atomic.Int64
	var all sync.WaitGroup
	start := now()
	for i := range callers {
		all.Go(func() { callers[i].run(b, &begun) })
	}
	all.Wait()
	s.elapsed += now() - start
	for i := range callers {
		c := &callers[i]
		for _, took := range c.samples {
			rec.Record(took)
		}
		n += int64(len(c.samples))
		err = errors.Join(err, c.err)
	}
	return n, err
}

func (c *fileCaller) run(b budget, begun *atomic.Int64) {
	c.samples, c.err = c.samples[:0], nil
	for at := now(); !b.spent(begun.Add(1)-1, at); {
		offset := int64(0)
		if c.shared != nil {
			offset = c.shared()
		} else {
			offset = c.places.next()
		}
		made := now()
		if _, c.err = c.call(c.buf, offset); c.err != nil {
			return
		}
		at = now()
		c.samples = append(c.samples, at-made)
	}
}

// pageAligned returns n bytes that suit O_DIRECT.
func pageAligned(n int) []byte {
	const align = 4096
	b := make([]byte, n+align)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (align - 1))
	return b[at : at+n : at+n]
}
