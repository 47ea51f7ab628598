//go:build linux

package aio

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mayRun returns which CPUs each thread of the process may run on.
func mayRun(t testing.TB) map[int]unix.CPUSet {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	must(t, err)
	sets := map[int]unix.CPUSet{}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		must(t, err)
		var set unix.CPUSet
		if unix.SchedGetaffinity(tid, &set) == nil { // else it has ended
			sets[tid] = set
		}
	}
	return sets
}

// lockedThread starts a thread, and returns its number and what ends it.
func lockedThread() (tid int, end func()) {
	number, stop := make(chan int), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		number <- unix.Gettid()
		<-stop
	}()
	return <-number, func() { close(stop) }
}

func twoCPUs(t testing.TB) (a, b int) {
	t.Helper()
	all := traitsNow(t).cpus
	if all.Count() < 2 {
		t.Skip("needs two CPUs")
	}
	a = firstCPU(all)
	all.Clear(a)
	return a, firstCPU(all)
}

// exclusively makes a loop that has a CPU for itself, and returns the number of its thread.
func exclusively(t testing.TB, cpu int, f func(c *Context, tid int)) error {
	t.Helper()
	var failed error
	besideTheMainThread(func() {
		c := openLoop(t, Ppoll, WithMode(ModeThread), WithThread(Thread{CPUs: []int{cpu}, Exclusive: true}))
		if _, failed = c.TryPoll(); failed == nil {
			f(c, unix.Gettid())
		}
		closeLoop(t, c)
	})
	return failed
}

func TestExclusiveCPUs(t *testing.T) {
	cpu, _ := twoCPUs(t)
	_, end := lockedThread()
	defer end()
	before := mayRun(t)
	var began int
	must(t, exclusively(t, cpu, func(_ *Context, home int) {
		var endThis func()
		began, endThis = lockedThread()
		defer t.Cleanup(endThis)
		for tid, set := range mayRun(t) {
			if set.IsSet(cpu) != (tid == home) {
				t.Errorf("CPU %d: thread %d may run on it: %t; the loop's thread is %d", cpu, tid, set.IsSet(cpu), home)
			}
		}
		must(t, exclusively(t, cpu, func(_ *Context, other int) { // it shares the CPU
			for tid, set := range mayRun(t) {
				if set.IsSet(cpu) != (tid == home || tid == other) {
					t.Errorf("two loops %d and %d: thread %d may run on CPU %d: %t", home, other, tid, cpu, set.IsSet(cpu))
				}
			}
		}))
		for tid, set := range mayRun(t) {
			if set.IsSet(cpu) != (tid == home) {
				t.Errorf("after the second loop: thread %d may run on CPU %d: %t", tid, cpu, set.IsSet(cpu))
			}
		}
	}))
	all := traitsNow(t).cpus
	for tid, set := range mayRun(t) {
		if was, known := before[tid]; known && set != was {
			t.Errorf("thread %d may run on %d CPUs, before on %d", tid, set.Count(), was.Count())
		}
		if tid == began && set != all {
			t.Errorf("a thread that has begun meanwhile may run on %d CPUs, want %d", set.Count(), all.Count())
		}
	}
}

// The other threads need a CPU too.
func TestExclusiveCPUsThatLeaveNone(t *testing.T) {
	a, b := twoCPUs(t)
	if n := traitsNow(t).cpus; n.Count() > 2 {
		t.Skip("needs exactly two CPUs")
	}
	before := fmt.Sprint(mayRun(t))
	must(t, exclusively(t, a, func(*Context, int) {
		err := exclusively(t, b, func(*Context, int) { t.Error("both CPUs are exclusive") })
		if err == nil || !strings.Contains(err.Error(), "no CPU is left for the other threads of the process") {
			t.Errorf("got %v", err)
		}
	}))
	for tid, set := range mayRun(t) {
		if set.Count() != 2 {
			t.Errorf("thread %d may run on %d CPUs; before: %s", tid, set.Count(), before)
		}
	}
}

func TestExclusiveNeedsCPUs(t *testing.T) {
	_, err := New(WithThread(Thread{Exclusive: true}))
	if err == nil || !strings.Contains(err.Error(), "Name them in CPUs") {
		t.Errorf("got %v", err)
	}
}
