package coroutine_test

import (
	"context"
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
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				<-in
				out <- struct{}{}
			}
		}()
		for b.Loop() {
			in <- struct{}{}
			<-out
		}
		cancel()
		in <- struct{}{}
		<-out
	})
}
