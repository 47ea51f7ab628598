//go:build linux

package pool

import (
	"fmt"
	"testing"

	"github.com/aioloop/aioloop/aio"
)

// BenchmarkRoundTrip is an empty job there and back, depth of them under way.
func BenchmarkRoundTrip(b *testing.B) {
	for _, mode := range []aio.Mode{aio.ModePark, aio.ModeThread} {
		for _, depth := range []int{1, 16} {
			b.Run(fmt.Sprintf("mode=%v/depth=%d", mode, depth), func(b *testing.B) { benchPool(b, mode, depth, func() {}) })
		}
	}
}

// BenchmarkGoroutines is the same with a goroutine for each job and a channel back.
func BenchmarkGoroutines(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) { benchGoroutines(b, depth, func() {}) })
	}
}

func benchPool(b *testing.B, mode aio.Mode, depth int, work func()) {
	loop := newLoop(b, aio.WithBackend(aio.Epoll), aio.WithMode(mode))
	p, err := Of(loop)
	must(b, err)
	jobs := make([]Job, depth)
	begun, done := 0, 0
	for i := range jobs {
		j := &jobs[i]
		j.Work = func() error { work(); return nil }
		j.Done = func(error) {
			if done++; begun < b.N {
				begun++
				_ = p.Submit(j)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	loop.Batch(func() {
		for ; begun < min(depth, b.N); begun++ {
			must(b, p.Submit(&jobs[begun]))
		}
	})
	for done < b.N {
		if _, err := loop.Poll(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchGoroutines(b *testing.B, depth int, work func()) {
	back := make(chan int, depth)
	begin := func(i int) { go func() { work(); back <- i }() }
	b.ReportAllocs()
	begun := 0
	for ; begun < min(depth, b.N); begun++ {
		begin(begun)
	}
	for done := 0; done < b.N; done++ {
		i := <-back
		if begun < b.N {
			begun++
			begin(i)
		}
	}
}
