//go:build linux

package linuxaio

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkReads reads blocks at random offsets with O_DIRECT, so many at a time. It reports the
// CPU time of the process for each, and the iterations.
func BenchmarkReads(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) { benchmarkReads(b, depth) })
	}
}

func benchmarkReads(b *testing.B, depth int) {
	r := epoll(b, Depth)
	fd, memory := patterns(b), aligned(b, depth*block)
	begun, done := 0, 0
	submit := func(q *Request) {
		if begun < b.N {
			begun++
			q.Offset = int64(rand.IntN(blocks)) * block
			if err := r.engine.Submit(q); err != nil {
				b.Error(err)
			}
		}
	}
	cpu := processTime(b)
	b.ResetTimer()
	must(b, r.loop.ScheduleOnce(func() {
		for i := range depth {
			submit(&Request{FD: fd, Buffer: memory[i*block:][:block], Done: func(q *Request) {
				if q.Result != block {
					b.Errorf("a read: %d", q.Result)
				}
				done++
				submit(q)
			}})
		}
	}))
	for done < b.N {
		must(b, r.step())
	}
	b.StopTimer()
	b.ReportMetric(float64(processTime(b)-cpu)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(r.loop.Stats().Iterations)/float64(b.N), "iterations/op")
}

// processTime returns the CPU time that the process has used.
func processTime(b *testing.B) time.Duration {
	var now unix.Timespec
	must(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now))
	return time.Duration(now.Nano())
}
