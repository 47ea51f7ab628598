//go:build linux

package aio

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// BenchmarkWake wakes a loop from another CPU after a gap during which the producer
// computes. One-way times, and the CPU time of the loop's thread per event. The floor
// is a flag on which the other side spins.
func BenchmarkWake(b *testing.B) {
	needTwoCPUs(b)
	b.Run("floor", func(b *testing.B) { benchmarkWake(b, 0, spinningFlag) })
	for _, gap := range []time.Duration{0, 5 * µs, 20 * µs, 30 * µs, 200 * µs, time.Millisecond, 10 * time.Millisecond} {
		for _, kind := range []Backend{Epoll, IOUring} {
			for _, p := range benchedPollings {
				for _, mode := range []Mode{ModeThread, ModePark} {
					b.Run(fmt.Sprintf("%v/%v/%v/%s", gap, kind, mode, p.name), func(b *testing.B) {
						benchmarkWake(b, gap, func(a *alarmClock) {
							loopInstead(b, a, WithBackend(kind), WithMode(mode), WithPolling(p.p))
						})
					})
				}
			}
		}
	}
}

var benchedPollings = []struct {
	name string
	p    Polling
}{
	{"off", Polling{}},
	{"qemu", Polling{Max: 32 * µs, Rule: PollQEMU}},
	{"learned", Polling{Max: 32 * µs}},
}

// alarmClock is what the producer and the other side share.
type alarmClock struct {
	wake   func()
	ring   atomic.Uint32
	_      cacheLinePad
	heard  atomic.Int64
	_      cacheLinePad
	ready  chan struct{}
	sleeps uint64
	cancel context.CancelFunc
	ctx    context.Context
}

func (a *alarmClock) hear() { a.heard.Store(int64(sys.Monotonic())) }

func spinningFlag(a *alarmClock) {
	a.wake = func() { a.ring.Store(1) }
	close(a.ready)
	for a.ctx.Err() == nil {
		for i := 0; i < 1<<16; i++ {
			if a.ring.Load() != 0 {
				a.ring.Store(0)
				a.hear()
			}
		}
	}
}

func loopInstead(b *testing.B, a *alarmClock, opts ...Option) {
	c, err := New(opts...)
	must(b, err)
	bh := c.NewBottomHalf(a.hear)
	a.wake = func() { _ = bh.Schedule() }
	close(a.ready)
	_ = c.Run(a.ctx)
	a.sleeps = c.Stats().Sleeps
	must(b, c.Close())
}

func benchmarkWake(b *testing.B, gap time.Duration, other func(*alarmClock)) {
	a := &alarmClock{ready: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	cpu, over := make(chan time.Duration), make(chan struct{})
	go func() {
		defer close(over)
		pin(0)
		before := threadTime()
		other(a)
		cpu <- threadTime() - before
	}()
	<-a.ready
	took := make([]time.Duration, b.N)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pin(1)
		for i := range took {
			a.heard.Store(0)
			rang := sys.Monotonic()
			for start := rang; rang-start < gap; rang = sys.Monotonic() {
			}
			a.wake()
			for a.heard.Load() == 0 {
			}
			took[i] = time.Duration(a.heard.Load()) - rang
		}
	}()
	<-done
	a.cancel()
	spent := <-cpu
	<-over
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*9/10]), "p90-ns")
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns")
	b.ReportMetric(float64(a.sleeps)/float64(b.N), "sleeps")
}

// pin locks the goroutine to a thread, for good, and that to a CPU.
func pin(cpu int) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set)
}

func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
