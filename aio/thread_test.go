package aio

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio/internal/osthread"
)

// traits is what WithThread can change, of the calling thread.
type traits struct {
	cpus     unix.CPUSet
	nice     int
	policy   uint32
	priority uint32
	slack    int
}

func traitsNow(t testing.TB) (now traits) {
	t.Helper()
	must(t, unix.SchedGetaffinity(0, &now.cpus))
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	must(t, err)
	attr, err := unix.SchedGetAttr(0, 0)
	must(t, err)
	now.slack, err = unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	must(t, err)
	now.nice, now.policy, now.priority = 20-raw, attr.Policy, attr.Priority
	return now
}

// onLoop returns the traits of a loop's thread, and of the same thread afterwards.
func onLoop(t testing.TB, opts ...Option) (during, after traits) {
	t.Helper()
	besideTheMainThread(func() {
		c, err := New(opts...)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.TryPoll(); err != nil {
			t.Error(err, c.Close())
			return
		}
		during = traitsNow(t)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		after = traitsNow(t)
	})
	return during, after
}

// besideTheMainThread calls f on one of the other threads, and lets it stay there: the
// main thread's number is the process's, for which the kernel might take it.
func besideTheMainThread(f func()) {
	elsewhere(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() == unix.Getpid() {
			besideTheMainThread(f)
			return
		}
		f()
	})
}

func TestThreadIsSetUpAndLeftAsItWas(t *testing.T) {
	before := traitsNow(t)
	cpu := firstCPU(before.cpus)
	settings := Thread{CPUs: []int{cpu}, TimerSlack: 123 * time.Microsecond}
	nice := before.nice
	if unix.Geteuid() == 0 { // others cannot take it back
		nice++
		settings.Nice = nice
	}
	during, after := onLoop(t, WithThread(settings))
	if during.cpus.Count() != 1 || !during.cpus.IsSet(cpu) {
		t.Errorf("it may run on %d CPUs", during.cpus.Count())
	}
	if during.nice != nice || during.slack != 123_000 {
		t.Errorf("nice %d, timer slack %d ns", during.nice, during.slack)
	}
	if after != before {
		t.Errorf("%+v afterwards, %+v before", after, before)
	}
}

// A user without CAP_SYS_NICE gives up priority for good, and Close says so. The thread ends
// with its goroutine.
func TestNiceThatCannotBeTakenBack(t *testing.T) {
	if unix.Geteuid() == 0 {
		t.Skip("needs a user who is not root")
	}
	closed := make(chan error)
	go func() {
		runtime.LockOSThread()
		c, err := New(WithThread(Thread{Nice: traitsNow(t).nice + 1}))
		if err == nil {
			_, err = c.TryPoll()
			closed <- errors.Join(err, c.Close())
			return
		}
		closed <- err
	}()
	if err := <-closed; !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "CAP_SYS_NICE") {
		t.Errorf("got %v, want EACCES and what is needed", err)
	}
}

func TestThreadInARealtimeClass(t *testing.T) {
	needNice(t)
	before := traitsNow(t)
	during, after := onLoop(t, WithThread(Thread{Realtime: 3, Nice: -5}))
	if during.policy != unix.SCHED_FIFO || during.priority != 3 || after != before {
		t.Errorf("policy %d, priority %d, then %+v", during.policy, during.priority, after)
	}
}

func firstCPU(set unix.CPUSet) int {
	for cpu := 0; ; cpu++ {
		if set.IsSet(cpu) {
			return cpu
		}
	}
}

// needNice skips what an ordinary user may not do.
func needNice(t testing.TB) {
	t.Helper()
	if unix.Geteuid() != 0 {
		t.Skip("needs CAP_SYS_NICE")
	}
}

func TestThreadThatIsNotPossible(t *testing.T) {
	for _, bad := range []Thread{{Nice: 20}, {Nice: -21}, {Realtime: 100}, {Realtime: -1}, {TimerSlack: -1}, {CPUs: []int{-1}}, {CPUs: []int{0, 1 << 20}}} {
		if _, err := New(WithThread(bad)); err == nil || !strings.Contains(err.Error(), "WithThread") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, b := range allBackends {
		t.Run(b.String(), func(t *testing.T) {
			c := newLoopOn(t, b, WithMode(ModeThread), WithThread(Thread{CPUs: []int{osthread.MaxCPUs - 1}, TimerSlack: 1}))
			before := traitsNow(t)
			for range 2 { // and again: there is no home goroutine
				_, err := c.Poll()
				if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "may run on none of the CPUs [1023]") {
					t.Errorf("%v", err)
				}
			}
			if traitsNow(t) != before {
				t.Error("something was changed all the same")
			}
		})
	}
}

// A goroutine that ends while it is locked takes its thread along. One that was home
// has been unlocked by then, even if its thread could not be set up.
func TestThreadIsGivenBack(t *testing.T) {
	for name, opts := range map[string][]Option{
		"after Close":     {WithThread(Thread{TimerSlack: 1})},
		"after a refusal": {WithThread(Thread{CPUs: []int{osthread.MaxCPUs - 1}})},
	} {
		t.Run(name, func(t *testing.T) {
			threads := make(map[int]bool)
			for range 50 {
				elsewhere(func() {
					runtime.LockOSThread() // for Gettid
					defer runtime.UnlockOSThread()
					threads[unix.Gettid()] = true
					c, err := New(opts...)
					must(t, err)
					_, _ = c.TryPoll()
					must(t, c.Close())
				})
			}
			gone := 0
			for tid := range threads {
				if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid)); err != nil {
					gone++
				}
			}
			if gone > 0 {
				t.Errorf("%d of %d threads have ended with their goroutines", gone, len(threads))
			}
		})
	}
}

func init() { children["thread without privileges"] = threadWithoutPrivileges }

// Without the privilege Poll says what is needed, and the thread is as before.
func TestThreadWithoutPrivileges(t *testing.T) { runInChild(t, "thread without privileges") }

func threadWithoutPrivileges() error {
	if unix.Geteuid() == 0 {
		if err := unix.Setresuid(65534, 65534, 65534); err != nil {
			return err
		}
	}
	for what, thread := range map[string]Thread{
		"`ulimit -r` 5":  {Realtime: 5, TimerSlack: 777},
		"`ulimit -e` 30": {Nice: -10, TimerSlack: 777},
	} {
		if err := refused(thread, what); err != nil {
			return err
		}
	}
	return nil
}

func refused(thread Thread, advice string) error {
	c, err := New(WithThread(thread))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Poll()
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), advice) {
		return fmt.Errorf("%+v: %v, want advice: %s", thread, err, advice)
	}
	if slack, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); slack == int(thread.TimerSlack) {
		return fmt.Errorf("%+v: the timer slack was changed all the same", thread)
	}
	return nil
}

// The thread of a loop has its name, and its own one afterwards.
func TestThreadHasTheNameOfItsLoop(t *testing.T) {
	for _, b := range allBackends {
		t.Run(b.String(), func(t *testing.T) {
			if err := missing(b); err != nil {
				t.Skip(err)
			}
			comm := func() string {
				name, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/comm", unix.Gettid()))
				must(t, err)
				return strings.TrimSpace(string(name))
			}
			var before, during, after string
			apart(t, func() {
				before = comm()
				c, err := New(WithBackend(b), WithMode(ModeThread), WithName("a disk with a long name"), WithThread(Thread{TimerSlack: 1}))
				must(t, err)
				_, err = c.TryPoll()
				must(t, err)
				during = comm()
				must(t, c.Close())
				after = comm()
			})
			if during != "a disk with a l" || after != before {
				t.Errorf("%q, %q, %q", before, during, after)
			}
		})
	}
}

// apart runs f on a thread that is not the first one of the process.
func apart(t testing.TB, f func()) {
	t.Helper()
	for unsuitable := true; unsuitable; {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unsuitable = unix.Gettid() == os.Getpid(); unsuitable {
				return
			}
			f()
		}()
		<-done
	}
}
