package aio

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// What happens at the limit of descriptors, and where there is one CPU only.

func init() {
	for _, b := range allBackends {
		children["descriptors "+b.String()] = func() error { return untilThereAreEnough(b) }
		children["one CPU "+b.String()] = func() error { return onOneCPU(b) }
	}
}

func TestTrap22_DescriptorsRunOutAtEachStepOfNew(t *testing.T) {
	for _, b := range allBackends {
		t.Run("backend="+b.String(), func(t *testing.T) { runInChild(t, "descriptors "+b.String()) })
	}
}

// untilThereAreEnough calls New with no descriptor left, with one, and so on until
// it succeeds: ppoll, and so Auto, needs one, for the notifier, the others two.
func untilThereAreEnough(b Backend) error {
	if b == IOUring {
		c, err := New(WithBackend(b))
		if err != nil {
			fmt.Print(skipPrefix, err)
			return nil
		}
		c.Close()
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return err
	}
	enough := 2
	if b == Ppoll || b == Auto {
		enough = 1
	}
	for free := 0; free < enough; free++ {
		c, err := newWith(b, free)
		if err == nil {
			return errors.Join(fmt.Errorf("New works with %d descriptors", free), c.Close())
		}
		wants := []error{unix.EMFILE, backend.ErrFDLimit}
		if free > 0 {
			wants = append(wants, backend.ErrUnavailable)
		}
		if err := tells(err, "close descriptors or raise `ulimit -n`", wants...); err != nil {
			return fmt.Errorf("with %d descriptors: %w", free, err)
		}
	}
	c, err := newWith(b, enough)
	if err != nil {
		return fmt.Errorf("with %d descriptors: %w", enough, err)
	}
	if info := c.Backend(); b == Auto && (info.Name != "ppoll" || !containsAll(info.Reason, "io_uring", "epoll", backend.ErrFDLimit.Error())) {
		return errors.Join(fmt.Errorf("it chose %v", info), c.Close())
	}
	if err := exercise(c); err != nil {
		return err
	}
	if c, err = New(WithBackend(b), WithMode(ModeThread)); err != nil { // the limit is not remembered
		return err
	}
	if info := c.Backend(); b == Auto && containsAll(info.Reason, backend.ErrFDLimit.Error()) {
		return errors.Join(fmt.Errorf("it still chose %v", info), c.Close())
	}
	return exercise(c)
}

// newWith calls New with so many descriptors left, and checks that it gives them
// back if it fails.
func newWith(b Backend, free int) (*Context, error) {
	taken := takeDescriptors()
	closeAll(taken[len(taken)-free:])
	taken = taken[:len(taken)-free]
	defer func() { closeAll(taken) }()
	c, err := New(WithBackend(b), WithMode(ModeThread)) // park mode needs more
	if err != nil {
		left := takeDescriptors()
		taken = append(taken, left...)
		if len(left) != free {
			return nil, fmt.Errorf("%d descriptors left afterwards, want %d", len(left), free)
		}
	}
	return c, err
}

// takeDescriptors opens all that are left.
func takeDescriptors() (fds []int) {
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fds
		}
		fds = append(fds, fd)
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func TestTrap28_OneCPU(t *testing.T) {
	for _, b := range allBackends {
		t.Run("backend="+b.String(), func(t *testing.T) { runOnOneCPU(t, "one CPU "+b.String()) })
	}
}

// runOnOneCPU is runInChild with the first CPU that this process may use.
func runOnOneCPU(t *testing.T, name string) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetaffinity(0, firstOf(&all)); err != nil { // the child inherits this thread's
		t.Fatal(err)
	}
	defer func() {
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("GOMAXPROCS", "1")
	runInChild(t, name)
}

func firstOf(all *unix.CPUSet) (one *unix.CPUSet) {
	one = new(unix.CPUSet)
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	return one
}

// onOneCPU: a goroutine that polls in user space there keeps the others from causing
// the event.
func onOneCPU(b Backend) error {
	if cpus, procs := runtime.NumCPU(), runtime.GOMAXPROCS(0); cpus != 1 || procs != 1 {
		return fmt.Errorf("there are %d CPUs, and GOMAXPROCS is %d", cpus, procs)
	}
	var polled uint64
	c, err := New(WithBackend(b), WithPolling(Polling{Max: 10 * time.Millisecond}), WithTrace(func(e TraceEvent) {
		if e.Point == TracePollBegin {
			polled++
		}
	}))
	if b == IOUring && errors.Is(err, backend.ErrUnavailable) {
		fmt.Print(skipPrefix, err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := exercise(c); err != nil {
		return err
	}
	if polled > 0 {
		return fmt.Errorf("%v polled in user space %d times", c.Backend(), polled)
	}
	return nil
}
