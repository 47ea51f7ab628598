//go:build linux

package aio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

func eachThreadBackend(t *testing.T, test func(t *testing.T, opts ...Option)) {
	t.Helper()
	for _, b := range realBackends {
		for _, m := range []Mode{ModeThread, ModePark} {
			if m == ModePark && b == Ppoll {
				continue
			}
			t.Run(b.String()+","+m.String(), func(t *testing.T) {
				if err := missing(b); err != nil {
					t.Skip("skipped:", err)
				}
				checkDescriptors(t)
				test(t, WithBackend(b), WithMode(m))
			})
		}
	}
}

func TestIOThreadRuns(t *testing.T) {
	eachThreadBackend(t, func(t *testing.T, opts ...Option) {
		thread, err := StartIOThread("disk", opts...)
		must(t, err)
		c := thread.Context()
		s, err := c.Snapshot()
		must(t, err)
		if s.State == NotPolled || c.Name() != "disk" || c.OnHome() {
			t.Errorf("loop %q is %s, on home: %t", c.Name(), s.State, c.OnHome())
		}
		wantError(t, c.Close(), ErrPolling)
		_, err = c.TryPoll()
		wantError(t, err, ErrWrongGoroutine)
		must(t, c.Do(t.Context(), func() error { return c.CheckHome() }))
		must(t, thread.Stop(t.Context()))
		wantError(t, thread.Stop(t.Context()), ErrClosed)
		wantError(t, c.Do(t.Context(), func() error { return nil }), ErrClosed)
	})
}

func TestIOThreadHasItsThread(t *testing.T) {
	cpus := traitsNow(t).cpus
	first := 0
	for !cpus.IsSet(first) {
		first++
	}
	before := threadNames(t)
	thread := ioThread(t, "disk-thread-with-a-long-name", WithThread(Thread{CPUs: []int{first}, Nice: 3, TimerSlack: time.Millisecond}))
	var got traits
	var name string
	must(t, thread.Context().Do(t.Context(), func() error {
		got, name = traitsNow(t), commOf(t, sys.Gettid())
		return nil
	}))
	if got.cpus.Count() != 1 || !got.cpus.IsSet(first) || got.nice != 3 || got.slack != int(time.Millisecond) || name != "disk-thread-wit" {
		t.Errorf("thread %q has %+v", name, got)
	}
	if err := thread.Stop(t.Context()); err != nil && !errors.Is(err, unix.EACCES) { // the nice value of a user
		t.Error(err)
	}
	eventually(t, "no thread has its name", func() bool { return threadNames(t)["disk-thread-wit"] == before["disk-thread-wit"] })
}

// No I/O thread is the first thread of the process, which keeps its name.
func TestIOThreadIsNotTheFirstThread(t *testing.T) {
	var held []*IOThread
	for range 8 { // each takes a thread, one of them would be the first
		held = append(held, ioThread(t, "disk", WithThread(Thread{TimerSlack: time.Millisecond})))
	}
	for _, thread := range held {
		must(t, thread.Context().Do(t.Context(), func() error {
			if tid := sys.Gettid(); tid == os.Getpid() || commOf(t, tid) != "disk" {
				t.Errorf("thread %d of %d is called %q", tid, os.Getpid(), commOf(t, tid))
			}
			return nil
		}))
	}
}

func commOf(t testing.TB, tid int) string {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", tid))
	must(t, err)
	return strings.TrimSpace(string(name))
}

func threadNames(t testing.TB) map[string]int {
	names := map[string]int{}
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	for _, task := range tasks {
		if name, err := os.ReadFile("/proc/self/task/" + task.Name() + "/comm"); err == nil {
			names[strings.TrimSpace(string(name))]++
		}
	}
	return names
}

func TestStartIOThreadFails(t *testing.T) {
	checkDescriptors(t)
	before := runtime.NumGoroutine()
	for name, opts := range map[string][]Option{
		"with an option":   {WithPolling(Polling{Max: -1})},
		"with two names":   {WithName("another")},
		"with its thread":  {WithThread(Thread{CPUs: []int{1023}})},
		"with its backend": {WithBackend(Backend(99))},
	} {
		if thread, err := StartIOThread("io", opts...); err == nil || thread != nil {
			t.Errorf("%s it does not fail", name)
		}
	}
	_, err := StartIOThread("io", WithThread(Thread{CPUs: []int{1023}}))
	wantError(t, err, unix.EINVAL)
	if !strings.Contains(err.Error(), `"io"`) {
		t.Errorf("%q lacks the name", err)
	}
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestIOThreadsBindFails(t *testing.T) {
	checkDescriptors(t)
	poller := unboundPoller{scripted(t)}
	_, err := StartIOThread("io", WithPoller(poller), WithMode(ModeThread))
	wantError(t, err, errCause)
	if poller.closed != 1 {
		t.Errorf("the Poller was closed %d times", poller.closed)
	}
}

type unboundPoller struct{ *scriptedPoller }

func (unboundPoller) Bind() error { return errCause }

func TestStopReturnsLeaks(t *testing.T) {
	eachThreadBackend(t, func(t *testing.T, opts ...Option) {
		thread, err := StartIOThread("disk", opts...)
		must(t, err)
		thread.Context().NewTimer(Realtime, func() {}).Named("flush").Reset(time.Hour)
		err = thread.Stop(t.Context())
		var leaks *LeakError
		if !errors.As(err, &leaks) || len(leaks.Timers) != 1 || leaks.Loop != "disk" {
			t.Errorf("Stop: %v", err)
		}
	})
}

func TestStopInACallbackOfItsLoop(t *testing.T) {
	thread := ioThread(t, "disk")
	err := thread.Context().Do(t.Context(), func() error { return thread.Stop(t.Context()) })
	wantError(t, err, ErrDeadlock)
	if !strings.Contains(err.Error(), `"disk"`) {
		t.Errorf("%q lacks the name", err)
	}
	must(t, thread.Context().Do(t.Context(), func() error { return nil })) // it goes on
	must(t, thread.Stop(t.Context()))
}

func TestStopWhoseContextEnds(t *testing.T) {
	thread := ioThread(t, "disk")
	goOn, ran := make(chan struct{}), make(chan struct{})
	must(t, thread.Context().ScheduleOnce(func() { close(ran); <-goOn }))
	<-ran
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	wantError(t, thread.Stop(ctx), errCause)
	select {
	case <-thread.Done():
		t.Error("it has ended inside a callback")
	default:
	}
	close(goOn)
	<-thread.Done() // it was being stopped
	must(t, thread.Stop(ctx))
	wantError(t, thread.Stop(t.Context()), ErrClosed)
}

// The result counts, even if ctx has ended as well.
func TestStopAfterTheEndAndItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select would take either
		thread := ioThread(t, "disk", WithBackend(Epoll))
		if err := thread.Stop(ctx); err != nil {
			wantError(t, err, context.Canceled)
			<-thread.Done()
			must(t, thread.Stop(ctx))
		}
	}
}

func TestManyStop(t *testing.T) {
	thread, err := StartIOThread("disk")
	must(t, err)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- thread.Stop(t.Context()) }()
	}
	stopped := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			stopped++
		} else {
			wantError(t, err, ErrClosed)
		}
	}
	if stopped != 1 {
		t.Errorf("%d have stopped it", stopped)
	}
}

func TestIOThreadFailsByItself(t *testing.T) {
	broken := scripted(t)
	thread, err := StartIOThread("disk", WithPoller(broken))
	must(t, err)
	must(t, thread.Context().Do(t.Context(), func() error {
		thread.Context().NewTimer(Realtime, func() {}).Reset(time.Hour)
		broken.fail = errCause
		return nil
	}))
	<-thread.Done()
	err = thread.Stop(t.Context())
	wantError(t, err, errCause)
	var leaks *LeakError
	if !errors.As(err, &leaks) {
		t.Errorf("it lacks the leaks: %v", err)
	}
}

func TestGoexitEndsAnIOThread(t *testing.T) {
	eachThreadBackend(t, func(t *testing.T, opts ...Option) {
		thread, err := StartIOThread("disk", opts...)
		must(t, err)
		must(t, thread.Context().ScheduleOnce(runtime.Goexit))
		<-thread.Done()
		wantError(t, thread.Stop(t.Context()), ErrPanicked)
	})
}

// A program that panics in a callback is a child of this one.
func TestPanicEndsTheProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=panic on an I/O thread", "GORACE=atexit_sleep_ms=0")
	printed, err := cmd.CombinedOutput()
	out := string(printed)
	if err == nil || !strings.Contains(out, "panic: "+errCause.Error()) || !strings.Contains(out, "panicOnIOThread") || strings.Contains(out, "attachment ended") {
		t.Errorf("%v\n%s", err, out)
	}
}

func init() { children["panic on an I/O thread"] = panicOnIOThread }

func panicOnIOThread() error {
	thread, err := StartIOThread("disk")
	if err != nil {
		return err
	}
	_, err = thread.Context().Attach(attachKey("a"), func() (Attachment, error) { return hangs{}, nil })
	if err != nil {
		return err
	}
	_ = thread.Context().ScheduleOnce(func() { panic(errCause) })
	<-thread.Done()
	return nil
}

// hangs would hang if the loop were closed.
type hangs struct{}

func (hangs) Work() []string { return nil }
func (hangs) End() []string  { println("attachment ended"); select {} }

// The number of a goroutine that has ended is another's, sooner or later.
func TestStopAfterTheEndKnowsTheGoroutine(t *testing.T) {
	thread := ioThread(t, "disk")
	must(t, thread.Context().ScheduleOnce(runtime.Goexit))
	<-thread.Done()
	thread.loop.home.who.Lend(uintptr(goroutine.Current()))
	wantError(t, thread.Stop(t.Context()), ErrPanicked)
}

func TestStopIsAWaitOfADebuggedLoop(t *testing.T) {
	a, b := debugThread(t, "a"), debugThread(t, "b")
	inside, back := make(chan struct{}), make(chan error, 1)
	must(t, b.Context().ScheduleOnce(func() {
		inside <- struct{}{}
		eventually(t, "a waits", func() bool {
			waits.Lock()
			defer waits.Unlock()
			return len(waits.all) == 1
		})
		back <- errors.Join(
			a.Context().Do(t.Context(), func() error { return nil }),
			a.Context().WaitWhile(t.Context(), func() bool { return true }))
	}))
	<-inside
	must(t, a.Context().Do(t.Context(), func() error { return b.Stop(t.Context()) }))
	err := <-back
	wantError(t, err, ErrDeadlock)
	if !strings.Contains(err.Error(), "aio: Do") || !strings.Contains(err.Error(), "aio: WaitWhile") {
		t.Errorf("it fails with %v", err)
	}
}

// And the other way round: the one that it stops waits for its callback.
func TestStopOfALoopThatWaitsForTheCaller(t *testing.T) {
	a, b := debugThread(t, "a"), debugThread(t, "b")
	flag, done := flagged(), make(chan error, 1)
	must(t, b.Context().ScheduleOnce(func() { done <- a.Context().WaitWhile(t.Context(), on(flag)) }))
	registered(t, 1)
	wantError(t, a.Context().Do(t.Context(), func() error { return b.Stop(t.Context()) }), ErrDeadlock)
	lowering(flag)()
	must(t, <-done)
	must(t, a.Context().Do(t.Context(), func() error { return b.Stop(t.Context()) }))
}

// Start and Stop leave no thread and no descriptor.
func TestIOThreadsLeaveNothing(t *testing.T) {
	rounds := 10_000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	eachThreadBackend(t, func(t *testing.T, opts ...Option) {
		round := func(opts ...Option) {
			thread, err := StartIOThread("io", opts...)
			must(t, err)
			must(t, thread.Stop(t.Context()))
		}
		for range 20 {
			round(opts...)
		}
		threads, fds := countOf(t, "task"), countOf(t, "fd")
		for range rounds / 5 {
			round(opts...)
		}
		if now := countOf(t, "task"); now > threads+8 {
			t.Errorf("%d threads, %d before", now, threads)
		}
		if now := countOf(t, "fd"); now != fds {
			t.Errorf("%d descriptors, %d before", now, fds)
		}
	})
}

func countOf(t testing.TB, what string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/" + what)
	must(t, err)
	return len(entries)
}

// BenchmarkIOThreads reports how much more two I/O threads do than one, with work of their own. Each
// rate is the best of many short windows, in which the machine had nothing else to do.
func BenchmarkIOThreads(b *testing.B) {
	var best [3]float64
	for b.Loop() {
		for n := 1; n <= 2; n++ {
			best[n] = max(best[n], perSecond(b, n))
		}
	}
	b.ReportMetric(best[2]/best[1], "ratio")
	b.ReportMetric(best[1], "halves/s")
	b.ReportMetric(0, "ns/op")
}

// perSecond returns how many bottom halves n I/O threads run in a second. Each schedules itself.
func perSecond(b *testing.B, n int) float64 {
	const each = 100
	var group sync.WaitGroup
	threads := make([]*IOThread, n)
	for i := range threads {
		threads[i] = ioThread(b, "io", WithMode(ModeThread))
	}
	begin := time.Now()
	for _, thread := range threads {
		rest := each
		group.Add(1)
		var work *BottomHalf
		work = thread.Context().NewBottomHalf(func() {
			compute()
			if rest--; rest > 0 {
				_ = work.Schedule()
				return
			}
			group.Done()
		})
		must(b, work.Schedule())
	}
	group.Wait()
	took := time.Since(begin)
	for _, thread := range threads {
		must(b, thread.Stop(context.Background()))
	}
	return float64(n*each) / took.Seconds()
}

// compute takes about 10 µs.
func compute() {
	x := uint32(1)
	for range 10_000 {
		x = x*1664525 + 1013904223
	}
	computed.Store(x)
}

var computed atomic.Uint32
