//go:build linux

package pool

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Jobs that block get a worker each, up to the limit, though one is woken for all of them.
func TestABatchOfJobsThatBlockGetsAWorkerEach(t *testing.T) {
	for _, limit := range []int{1, 3, 16, 64} {
		loop := newLoop(t)
		p := newPoolOf(t, loop, WithWorkers(0, limit))
		for range 2 { // the second time they are idle
			var running, most atomic.Int32
			letGo := make(chan struct{})
			done := 0
			loop.Batch(func() {
				for range 20 {
					must(t, p.Run(func() error {
						most.Store(max(most.Load(), running.Add(1)))
						<-letGo
						running.Add(-1)
						return nil
					}, func(error) { done++ }))
				}
			})
			want := min(20, limit)
			eventually(t, fmt.Sprintf("%d of 20 run", want), func() bool { return int(running.Load()) == want })
			close(letGo)
			until(t, loop, func() bool { return done == 20 })
			if n := int(most.Load()); n > limit {
				t.Errorf("%d ran together, the limit is %d", n, limit)
			}
			eventually(t, "all are idle", func() bool { _, idle := p.counts(); return idle == want })
		}
	}
}

// The woken one wakes the next when it has found its job, and not before.
func TestOneWorkerIsWokenForABatch(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	fill(t, p, 4)
	loop.Batch(func() {
		for range 16 {
			must(t, p.Run(nothing, ignore))
		}
		p.mu.Lock()
		w, other := p.summon(), p.summon()
		p.mu.Unlock()
		if w == nil || other != nil {
			t.Errorf("woken: %v and %v", w, other)
		}
		w.begin()
	})
	must(t, loop.RunUntilDone(t.Context()))
}

// One that submits to an idle worker finds the one that has worked last.
func TestTheLastWorkerGetsTheNextJob(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	blocks := []*blocked{block("a"), block("b"), block("c")}
	for _, b := range blocks {
		must(t, p.Submit(&b.Job))
		<-b.begun
	}
	for i, b := range blocks {
		close(b.letGo)
		eventually(t, "it is idle", func() bool { _, idle := p.counts(); return idle == i+1 })
	}
	p.mu.Lock()
	before := slices.Clone(p.workers.idle)
	p.mu.Unlock()
	again := block("again")
	must(t, p.Submit(&again.Job))
	<-again.begun
	p.mu.Lock()
	if !slices.Equal(p.workers.idle, before[:2]) {
		t.Error("another one than the last has the job")
	}
	p.mu.Unlock()
	close(again.letGo)
	must(t, loop.RunUntilDone(t.Context()))
}

// With jobs one after the other, one worker suffices.
func TestAnIdleWorkerIsUsedBeforeAnotherIsStarted(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop)
	for range 100 {
		must(t, p.Run(nothing, ignore))
		must(t, loop.RunUntilDone(t.Context()))
		eventually(t, "it is idle", func() bool { _, idle := p.counts(); return idle == 1 })
	}
	if workers, _ := p.counts(); workers != 1 {
		t.Errorf("%d workers", workers)
	}
}

// fill makes n idle workers.
func fill(t *testing.T, p *Pool, n int) {
	t.Helper()
	letGo := make(chan struct{})
	p.loop.Batch(func() {
		for range n {
			must(t, p.Run(func() error { <-letGo; return nil }, ignore))
		}
	})
	eventually(t, "all run", func() bool { workers, idle := p.counts(); return workers == n && idle == 0 })
	close(letGo)
	must(t, p.loop.RunUntilDone(t.Context()))
	eventually(t, "all are idle", func() bool { _, idle := p.counts(); return idle == n })
}

func wantWorkers(t *testing.T, p *Pool, want int) {
	t.Helper()
	if workers, idle := p.counts(); workers != want || idle != want {
		t.Fatalf("%d workers, %d idle, want %d", workers, idle, want)
	}
}

// The timer is an hour, and the test calls what it would call.
func TestThoseThatWereIdleAllTheTimeEnd(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop, WithWorkers(1, 8), WithIdle(time.Hour))
	fill(t, p, 6)
	p.retire() // they were busy since arm
	wantWorkers(t, p, 6)
	p.mu.Lock()
	last := slices.Clone(p.workers.idle[4:])
	p.mu.Unlock()
	blocks := []*blocked{block("a"), block("b")}
	for _, b := range blocks { // two of six work in this period
		must(t, p.Submit(&b.Job))
		<-b.begun
	}
	for i, b := range blocks {
		close(b.letGo)
		eventually(t, "it is idle", func() bool { _, idle := p.counts(); return idle == 5+i })
	}
	p.retire()
	wantWorkers(t, p, 2)
	p.mu.Lock()
	for _, w := range p.workers.idle {
		if !slices.Contains(last, w) {
			t.Error("one that was used is gone")
		}
	}
	armed := p.workers.armed
	p.mu.Unlock()
	if !armed {
		t.Error("nothing will end the one that is too many")
	}
	p.retire()
	wantWorkers(t, p, 1) // the minimum
	if p.workers.armed {
		t.Error("a timer goes on for nothing")
	}
	fill(t, p, 3)
	if !p.workers.armed {
		t.Error("nothing will end those that were started since")
	}
	must(t, loop.RunUntilDone(t.Context()))
}

func TestIdleWorkersEndByThemselves(t *testing.T) {
	loop := newLoop(t)
	p := newPoolOf(t, loop, WithIdle(time.Millisecond), WithWorkers(2, 8))
	before := runtime.NumGoroutine()
	for range 2 { // the timer is used again
		letGo := make(chan struct{})
		for range 5 {
			must(t, p.Run(func() error { <-letGo; return nil }, ignore))
		}
		eventually(t, "all run", func() bool { workers, idle := p.counts(); return workers == 5 && idle == 0 })
		close(letGo)
		eventually(t, "they end", func() bool { workers, _ := p.counts(); return workers == 2 })
		eventually(t, "their goroutines end", func() bool { return runtime.NumGoroutine() <= before+2 })
		must(t, loop.RunUntilDone(t.Context()))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	loop := newLoop(t)
	for _, tc := range []struct {
		opts []Option
		word string
	}{
		{[]Option{WithWorkers(-1, 3)}, "WithWorkers(-1, 3)"},
		{[]Option{WithWorkers(0, 0)}, "WithWorkers(0, 0)"},
		{[]Option{WithWorkers(4, 3)}, "WithWorkers(4, 3)"},
		{[]Option{WithWorkers(0, 1), WithWorkers(0, 1)}, "WithWorkers is given twice"},
		{[]Option{WithIdle(0)}, "WithIdle(0s)"},
		{[]Option{WithIdle(-1)}, "WithIdle(-1ns)"},
		{[]Option{WithIdle(1), WithIdle(1)}, "WithIdle is given twice"},
		{[]Option{nil}, "Option is nil"},
		{[]Option{nil, WithIdle(-1)}, "WithIdle(-1ns)"},
	} {
		if _, err := New(loop, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.word) {
			t.Errorf("want an error with %q: %v", tc.word, err)
		}
	}
	p := newPoolOf(t, loop)
	if p.min != 0 || p.max != defaultMax || p.idle != defaultIdle {
		t.Errorf("without options: %d, %d, %v", p.min, p.max, p.idle)
	}
}

// recovered polls until the loop panics, and returns what with.
func recovered(t *testing.T, loop driven) (value any) {
	t.Helper()
	func() {
		defer func() { value = recover() }()
		loop.until(t, func() bool { return false })
	}()
	return value
}

func TestPanicOfWorkSurfacesInTheLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context, WithWorkers(0, 1))
		cause := errors.New("the cause")
		done := ""
		bad := Job{Name: "bad", Work: func() error { panic(cause) }, Done: func(error) { t.Error("its Done is called") }}
		loop.Batch(func() {
			must(t, p.Run(nothing, func(error) { done += "a" }))
			must(t, p.Submit(&bad))
			must(t, p.Run(nothing, func(error) { done += "b" }))
		})
		eventually(t, "all are done", func() bool { return p.finished() == 3 })
		err, ok := recovered(t, loop).(*PanicError)
		if !ok || err.Job != "bad" || err.Value != cause || !errors.Is(err, cause) {
			t.Fatalf("the panic is %v", err)
		}
		for _, word := range []string{"bad", "the cause", "TestPanicOfWorkSurfacesInTheLoop"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("it lacks %q: %v", word, err)
			}
		}
		if done != "a" || bad.State() != Idle {
			t.Errorf("before the panic: %q; the job is %v", done, bad.State())
		}
		must2(t)(loop.Poll()) // does not sleep: the one behind it is due
		if done != "ab" {
			t.Errorf("in the next iteration: %q", done)
		}
		bad.Work, bad.Done = nothing, func(err error) { must(t, err); done += "c" }
		must(t, p.Submit(&bad)) // by the same worker
		loop.until(t, func() bool { return done == "abc" })
		if workers, _ := p.counts(); workers != 1 {
			t.Errorf("%d workers", workers)
		}
	})
}

func TestPanicsWithOtherValues(t *testing.T) {
	loop := newLoop(t)
	must(t, Run(loop, func() error { panic("text") }, ignore))
	err, _ := recovered(t, driven{loop, false}).(*PanicError)
	if err == nil || err.Value != "text" || err.Unwrap() != nil || !strings.Contains(err.Job, "TestPanicsWithOtherValues") {
		t.Errorf("%v", err)
	}
	wrapped := &PanicError{Job: "inner"} // as a plain error it is one
	var got error
	must(t, Run(loop, func() error { return wrapped }, func(err error) { got = err }))
	must(t, loop.RunUntilDone(t.Context()))
	if got != wrapped {
		t.Errorf("%v", got)
	}
}

func TestPanicOfDoneLeavesTheOthers(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context)
		const n = 5
		done := 0
		loop.Batch(func() {
			for i := range n {
				must(t, p.Run(nothing, func(error) { done++; panic(i) }))
			}
		})
		eventually(t, "all are done", func() bool { return p.finished() == n })
		for want := 1; want <= n; want++ {
			if v := recovered(t, loop); done != want || v == nil {
				t.Fatalf("%d Dones before panic %v", done, v)
			}
		}
		must(t, loop.RunUntilDone(t.Context()))
	})
}

func TestWorkThatEndsItsGoroutine(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop driven) {
		p := newPoolOf(t, loop.Context, WithWorkers(0, 1))
		var got []error
		loop.Batch(func() {
			must(t, p.Run(func() error { runtime.Goexit(); return nil }, func(err error) { got = append(got, err) }))
			must(t, p.Run(nothing, func(err error) { got = append(got, err) }))
		})
		loop.until(t, func() bool { return len(got) == 2 })
		if got[0] != ErrGoexit || got[1] != nil {
			t.Error(got)
		}
		eventually(t, "the worker is idle", func() bool { _, idle := p.counts(); return idle == 1 })
		wantWorkers(t, p, 1)
	})
}
