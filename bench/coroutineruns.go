package bench

import (
	"errors"
	"iter"
	"os"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/coroutine"
	"github.com/aioloop/aioloop/file"
)

// homeLoop is loopHere with a first iteration, which makes the driver the home goroutine: before it, no
// coroutine runs.
func (s *fixture) homeLoop(row string) (*aio.Context, error) {
	loop, err := s.loopHere(row)
	if err != nil {
		return nil, err
	}
	_, err = loop.TryPoll()
	return loop, err
}

// enterAndYield wakes a coroutine, which runs until its next Yield.
func enterAndYield(loop *aio.Context) runFunc {
	var runs int64
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		for {
			if err := co.Yield(); err != nil {
				return err // the loop is closed
			}
			runs++
		}
	})
	return batched(selfBatch, &runs, co.Wake)
}

func createAndFinish(loop *aio.Context) runFunc {
	var runs int64
	f := func(*coroutine.Co) error { runs++; return nil }
	return batched(selfBatch, &runs, func() error { coroutine.Go(loop, f); return nil })
}

// handMutexOver has two coroutines that take turns: each gives the mutex to the other and waits
// for it.
func handMutexOver(loop *aio.Context) runFunc {
	return func(b budget, rec *report.Recorder) (n int64, err error) {
		var m coroutine.Mutex
		var runs int64
		over := false
		other := func(co *coroutine.Co) error {
			for !over {
				if err := m.Lock(co); err != nil {
					return err
				}
				runs++
				m.Unlock(co)
			}
			return nil
		}
		first := coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := m.Lock(co); err != nil {
				return err
			}
			coroutine.Go(loop, other)
			n, err = batched(selfBatch, &runs, func() error { m.Unlock(co); return m.Lock(co) })(b, rec)
			if over = true; err == nil {
				m.Unlock(co)
			}
			return err
		})
		polled := pollUntil(loop, first.Ended) // the loop looks at something else now and then
		return n, errors.Join(err, polled)
	}
}

func pollUntil(loop *aio.Context, over func() bool) error {
	for !over() {
		if _, err := loop.Poll(); err != nil {
			return err
		}
	}
	return nil
}

// twoChannels hands control to another goroutine and gets it back.
func twoChannels(s *fixture) (runFunc, error) {
	var runs int64
	in, out, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range in {
			runs++
			out <- struct{}{}
		}
	}()
	s.atExit(func() error { close(in); <-ended; return nil })
	return batched(selfBatch, &runs, func() error {
		in <- struct{}{}
		<-out
		return nil
	}), nil
}

func newGoroutines(*fixture) (runFunc, error) {
	var runs int64
	ended := make(chan struct{})
	f := func() { runs++; ended <- struct{}{} }
	return batched(selfBatch, &runs, func() error {
		go f()
		<-ended
		return nil
	}), nil
}

func pull(s *fixture) (runFunc, error) {
	var runs int64
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		for more := true; more; more = yield(struct{}{}) {
			runs++
		}
	})
	s.atExit(func() error { stop(); return nil })
	return batched(selfBatch, &runs, func() error { next(); return nil }), nil
}

func pullOnce(*fixture) (runFunc, error) {
	var runs int64
	seq := func(func(struct{}) bool) { runs++ }
	return batched(selfBatch, &runs, func() error {
		next, stop := iter.Pull(seq)
		next()
		stop()
		return nil
	}), nil
}

// event is something that a loop makes happen, again and again.
type event struct {
	begin func() error     // begins it; then done is called, once
	await func(end func()) // begins it; then end is called, once
	done  func()
	err   error // why it did not happen
}

// newHalf is a bottom half.
func newHalf(loop *aio.Context) []*event {
	e := &event{}
	half := loop.NewBottomHalf(func() { e.done() })
	e.begin = half.Schedule
	e.await = func(end func()) {
		e.done = end
		_ = half.Schedule() // it fails only on a closed loop, and then so does the wait
	}
	return []*event{e}
}

// newReads are as many reads of a file as may be under way.
func (w *fileWork) newReads(s *fixture, loop *aio.Context) (events []*event, err error) {
	path, err := s.watchFile(w)
	if err != nil {
		return nil, err
	}
	f, err := file.Open(loop, path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	s.atExit(f.Close)
	places := w.places(0)
	for range w.depth {
		events = append(events, newRead(f, &places, int(w.block())))
	}
	return events, nil
}

func newRead(f *file.File, places *places, block int) *event {
	e, r := &event{}, &file.Request{Buf: f.Buffer(block)}
	r.Done = func(*file.Request) {
		e.err = r.Err
		e.done()
	}
	e.begin = func() error {
		r.Offset = places.next()
		return f.Read(r)
	}
	e.await = func(end func()) {
		r.Offset = places.next()
		r.Done = func(*file.Request) { e.err = r.Err; end() }
		if err := f.Read(r); err != nil {
			e.err = err
			end()
		}
	}
	return e
}

// waitRun keeps events under way on a loop that the driver polls.
type waitRun struct {
	meter
	loop     *aio.Context
	events   []*event
	underWay int
	err      error
}

// form is a way to begin an event as long as there is more to do, and to learn of its end.
type form func(*waitRun, *event)

func waitSetup(s *fixture, row string, events func(*fixture, *aio.Context) ([]*event, error), form form) (runFunc, error) {
	loop, err := s.homeLoop(row)
	if err != nil {
		return nil, err
	}
	l := &waitRun{loop: loop}
	l.events, err = events(s, loop)
	return func(b budget, rec *report.Recorder) (int64, error) {
		l.start(b, rec)
		l.underWay, l.err = len(l.events), nil
		for _, e := range l.events {
			form(l, e)
		}
		err := pollUntil(loop, func() bool { return l.underWay == 0 })
		return l.done, errors.Join(err, l.err)
	}, err
}

func (l *waitRun) byWait(e *event) {
	coroutine.Go(l.loop, func(co *coroutine.Co) error {
		return l.repeat(func() error {
			if err := co.Wait(e.await); err != nil {
				return err
			}
			return e.err
		})
	})
}

func (l *waitRun) byWake(e *event) {
	coroutine.Go(l.loop, func(co *coroutine.Co) error {
		e.done = func() { _ = co.Wake() } // it waits in Yield, so that there is nothing to refuse
		return l.repeat(func() error {
			if err := e.begin(); err != nil {
				return err
			}
			if err := co.Yield(); err != nil {
				return err
			}
			return e.err
		})
	})
}

// repeat is what a coroutine does.
func (l *waitRun) repeat(once func() error) (err error) {
	for err == nil && l.more() {
		if err = once(); err == nil {
			l.over()
		}
	}
	l.end(err)
	return err
}

func (l *waitRun) end(err error) {
	l.underWay--
	l.err = errors.Join(l.err, err)
}

func (l *waitRun) inCallbacks(e *event) {
	e.done = func() {
		if e.err == nil {
			l.over()
		}
		l.next(e)
	}
	l.next(e)
}

func (l *waitRun) next(e *event) {
	if e.err != nil || !l.more() {
		l.end(e.err)
	} else if err := e.begin(); err != nil {
		l.end(err)
	}
}

// meter counts what is begun and what is over, and times it in batches of the latter.
type meter struct {
	budget            budget
	rec               *report.Recorder
	begun, done, seen int64         // seen: in samples
	at                time.Duration // of the latest sample
}

func (m *meter) start(b budget, rec *report.Recorder) { *m = meter{budget: b, rec: rec, at: now()} }

// more reports whether another one is to be begun, and counts it.
func (m *meter) more() bool {
	if m.budget.spent(m.begun, m.at) {
		return false
	}
	m.begun++
	return true
}

func (m *meter) over() {
	m.done++
	n := m.done - m.seen
	if n < m.budget.batch(selfBatch, m.seen) {
		return
	}
	at := now()
	recordBatch(m.rec, at-m.at, n)
	m.at, m.seen = at, m.done
}
