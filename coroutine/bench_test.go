package coroutine_test

import (
	"iter"
	"runtime"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

func benchLoop(b *testing.B, locked bool) *aio.Context {
	if locked {
		return newLoop(b, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModeThread), aio.WithThread(aio.Thread{TimerSlack: 1}))
	}
	return newLoop(b, aio.WithBackend(aio.Epoll), aio.WithMode(aio.ModePark))
}

func eachLock(b *testing.B, f func(b *testing.B, locked bool)) {
	b.Run("unlocked", func(b *testing.B) { f(b, false) })
	b.Run("locked", func(b *testing.B) { f(b, true) })
}

func BenchmarkEnterAndYield(b *testing.B) {
	eachLock(b, func(b *testing.B, locked bool) {
		loop := benchLoop(b, locked)
		end := false
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for !end {
				if err := co.Yield(); err != nil {
					return err
				}
			}
			return nil
		})
		b.ReportAllocs()
		for b.Loop() {
			_ = co.Wake()
		}
		end = true
		_ = co.Wake()
	})
}

func BenchmarkCreateAndFinish(b *testing.B) {
	eachLock(b, func(b *testing.B, locked bool) {
		loop := benchLoop(b, locked)
		f := func(co *coroutine.Co) error { return nil }
		b.ReportAllocs()
		for b.Loop() {
			coroutine.Go(loop, f)
		}
	})
}

// BenchmarkPull is what iter.Pull alone takes.
func BenchmarkPull(b *testing.B) {
	eachLock(b, func(b *testing.B, locked bool) {
		if locked {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		next, stop := iter.Pull(func(yield func(struct{}) bool) {
			for yield(struct{}{}) {
			}
		})
		defer stop()
		b.ReportAllocs()
		for b.Loop() {
			next()
		}
	})
}

// BenchmarkChannel hands control to a goroutine and back through two channels.
func BenchmarkChannel(b *testing.B) {
	eachLock(b, func(b *testing.B, locked bool) {
		if locked {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		in, out := make(chan struct{}), make(chan struct{})
		go func() {
			for range in {
				out <- struct{}{}
			}
		}()
		for b.Loop() {
			in <- struct{}{}
			<-out
		}
		close(in)
	})
}

// benchIn runs f in a coroutine.
func benchIn(b *testing.B, f func(loop *aio.Context, co *coroutine.Co)) {
	loop := benchLoop(b, false)
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		f(loop, co)
		return nil
	})
	for !co.Ended() {
		if _, err := loop.Poll(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLockAndUnlock(b *testing.B) {
	benchIn(b, func(_ *aio.Context, co *coroutine.Co) {
		var m coroutine.Mutex
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Lock(co)
			m.Unlock(co)
		}
	})
}

func BenchmarkSharedLockAndUnlock(b *testing.B) {
	benchIn(b, func(_ *aio.Context, co *coroutine.Co) {
		var m coroutine.SharedMutex
		b.ReportAllocs()
		for b.Loop() {
			_ = m.Lock(co)
			m.Unlock(co)
		}
	})
}

// BenchmarkHandOver has two coroutines take turns with a Mutex.
func BenchmarkHandOver(b *testing.B) {
	loop := benchLoop(b, false)
	var m coroutine.Mutex
	end := false
	turns := func(co *coroutine.Co) error {
		for !end {
			if err := m.Lock(co); err != nil {
				return err
			}
			m.Unlock(co) // the other one waits
		}
		return nil
	}
	first := coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := m.Lock(co); err != nil {
			return err
		}
		coroutine.Go(loop, turns)
		b.ReportAllocs()
		for b.Loop() {
			m.Unlock(co)
			if err := m.Lock(co); err != nil {
				return err
			}
		}
		end = true
		m.Unlock(co)
		return nil
	})
	for !first.Ended() {
		if _, err := loop.Poll(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWaitOnBottomHalf schedules a bottom half that ends the Wait: an iteration of the loop.
func BenchmarkWaitOnBottomHalf(b *testing.B) {
	benchIn(b, func(loop *aio.Context, co *coroutine.Co) {
		var end func()
		half := loop.NewBottomHalf(func() { end() })
		begin := func(done func()) {
			end = done
			_ = half.Schedule()
		}
		b.ReportAllocs()
		for b.Loop() {
			_ = co.Wait(begin)
		}
	})
}

// BenchmarkBottomHalf is the same without a coroutine.
func BenchmarkBottomHalf(b *testing.B) {
	loop := benchLoop(b, false)
	half := loop.NewBottomHalf(func() {})
	for b.Loop() {
		_ = half.Schedule()
		_, _ = loop.Poll()
	}
}

// BenchmarkNested enters coroutines inside each other, 1,000 deep.
func BenchmarkNested(b *testing.B) {
	loop := benchLoop(b, false)
	const deep = 1000
	var nest func(n int)
	nest = func(n int) {
		if n > 0 {
			coroutine.Go(loop, func(*coroutine.Co) error { nest(n - 1); return nil })
		}
	}
	for b.Loop() {
		nest(deep)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/deep, "ns/level")
}

// BenchmarkMemory has coroutines that all wait.
func BenchmarkMemory(b *testing.B) {
	loop := benchLoop(b, false)
	before := memory()
	const n = 10_000
	for b.Loop() {
		cos := make([]*coroutine.Co, n)
		for i := range cos {
			cos[i] = coroutine.Go(loop, func(co *coroutine.Co) error { return co.Yield() })
		}
		b.ReportMetric(float64(memory()-before)/n, "B/coroutine")
		for _, co := range cos {
			_ = co.Wake()
		}
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
