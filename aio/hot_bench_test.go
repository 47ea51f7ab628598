package aio

import (
	"context"
	"fmt"
	"testing"
)

// The benchmarks here are compared with those of the last release, see
// bench/baseline/compare.sh. Each is done on one goroutine and never sleeps, so that
// the figures are as stable as figures get.

func eachHot(b *testing.B, prepare func(b *testing.B, c *Context) func() error) {
	for _, kind := range realBackends {
		b.Run(kind.String(), func(b *testing.B) {
			c := newLoopOn(b, kind, WithMode(ModeThread))
			turn(b, c)
			step := prepare(b, c)
			b.ReportAllocs()
			for b.Loop() {
				_ = step() // fails only if the loop is closed, and then so does TryPoll
				if progress, err := c.TryPoll(); !progress || err != nil {
					b.Fatalf("progress %v, %v", progress, err)
				}
			}
		})
	}
}

// eachHotRun is eachHot in Run: prepare returns what asks for the next call of its argument.
func eachHotRun(b *testing.B, prepare func(b *testing.B, c *Context, f func()) (next func() error)) {
	for _, kind := range realBackends {
		b.Run(kind.String(), func(b *testing.B) {
			c := newLoopOn(b, kind, WithMode(ModeThread))
			turn(b, c)
			ctx, cancel := context.WithCancel(context.Background())
			var next func() error
			next = prepare(b, c, func() {
				if b.Loop() {
					_ = next() // fails only if the loop is closed
				} else {
					cancel()
				}
			})
			b.ReportAllocs()
			_ = next()
			if err := c.Run(ctx); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkScheduleInRun(b *testing.B) {
	eachHotRun(b, func(b *testing.B, c *Context, f func()) func() error { return c.NewBottomHalf(f).Schedule })
}

func BenchmarkTimerInRun(b *testing.B) {
	eachHotRun(b, func(b *testing.B, c *Context, f func()) func() error {
		timer := c.NewTimer(Realtime, f)
		return func() error { return timer.Set(0) }
	})
}

func BenchmarkNotifierInRun(b *testing.B) {
	eachHotRun(b, func(b *testing.B, c *Context, f func()) func() error {
		n := notifier(b)
		watchNotifier(b, c, n, f)
		return n.Set
	})
}

func BenchmarkCompletion(b *testing.B) {
	eachHot(b, func(b *testing.B, c *Context) func() error {
		r := &Request{Done: func(*Request) {}}
		return func() error { return c.Complete(r) }
	})
}

func BenchmarkScheduleAndRun(b *testing.B) {
	eachHot(b, func(b *testing.B, c *Context) func() error { return c.NewBottomHalf(func() {}).Schedule })
}

// One plain descriptor is watched: on ppoll and epoll each turn then asks the kernel.
func BenchmarkScheduleAndRunWatched(b *testing.B) {
	eachHot(b, func(b *testing.B, c *Context) func() error {
		r, _ := pipe(b)
		watch(b, c, r, Callbacks{Read: func(*Handler) {}})
		return c.NewBottomHalf(func() {}).Schedule
	})
}

func BenchmarkTimerRun(b *testing.B) {
	eachHot(b, func(b *testing.B, c *Context) func() error {
		timer := c.NewTimer(Realtime, func() {})
		return func() error { return timer.Set(0) }
	})
}

func BenchmarkNotifierDispatch(b *testing.B) {
	eachHot(b, func(b *testing.B, c *Context) func() error {
		n := notifier(b)
		watchNotifier(b, c, n, func() {})
		turn(b, c)
		return n.Set
	})
}

func BenchmarkNotifyAwake(b *testing.B) {
	c := newLoopOn(b, Epoll, WithMode(ModeThread))
	turn(b, c)
	b.ReportAllocs()
	for b.Loop() {
		c.Notify()
	}
}

// BenchmarkNop submits operations that do nothing, and calls back for them.
func BenchmarkNop(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			c := newLoopOn(b, IOUring, WithMode(ModeThread))
			turn(b, c)
			left := b.N
			next := func(r *Request) {
				if left > 0 {
					left--
					_ = c.Submit(r) // fails only if the loop is closed, and then so does Poll
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range min(depth, b.N) {
				next(&Request{Done: next})
			}
			for left > 0 || c.operations.underWay() {
				if _, err := c.Poll(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
