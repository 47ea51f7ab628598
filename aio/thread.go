//go:build linux

package aio

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// Thread is what a loop in thread mode asks for its thread. Zero values leave
// things as they are. docs/tuning.md says what each of them buys.
type Thread struct {
	// CPUs are those that the thread may run on, sched_setaffinity(2).
	CPUs []int
	// Nice, from -20 to 19, is its nice value, setpriority(2). Less than the
	// present one needs CAP_SYS_NICE, or RLIMIT_NICE.
	Nice int
	// Realtime, from 1 to 99, is its priority in the class SCHED_FIFO, sched(7):
	// it runs before every thread of the ordinary class for as long as it likes. It
	// needs CAP_SYS_NICE, or RLIMIT_RTPRIO.
	Realtime int
	// TimerSlack is by how much the kernel may delay its time-outs to have them
	// coincide with others, 50 µs if nobody has said otherwise. See PR_SET_TIMERSLACK
	// in prctl(2). In the class SCHED_FIFO there is none.
	TimerSlack time.Duration
}

// WithThread has the home goroutine locked to its thread, which is set up like
// this by the first Poll, Run or Prepare and becomes what it was when the home
// goroutine closes the Context. If something is not permitted, that call fails with
// an error that wraps EPERM and says what is needed; nothing has been changed then.
// It means thread mode: with ModePark New fails.
func WithThread(t Thread) Option {
	return func(o *options) error {
		o.thread = &t
		return t.check()
	}
}

func (t *Thread) check() error {
	switch {
	case t.Nice < -20 || t.Nice > 19:
		return fmt.Errorf("aio: WithThread: Nice is %d, not within -20 and 19", t.Nice)
	case t.Realtime < 0 || t.Realtime > 99:
		return fmt.Errorf("aio: WithThread: Realtime is %d, not within 0 and 99", t.Realtime)
	case t.TimerSlack < 0:
		return fmt.Errorf("aio: WithThread: TimerSlack is %v, less than 0", t.TimerSlack)
	}
	for _, cpu := range t.CPUs {
		if cpu < 0 || cpu >= maxCPUs {
			return fmt.Errorf("aio: WithThread: no CPU has the number %d", cpu)
		}
	}
	return nil
}

const maxCPUs = 1024 // bits of a unix.CPUSet

func (t *Thread) wanted() bool {
	return t != nil && (len(t.CPUs) > 0 || t.Nice != 0 || t.Realtime != 0 || t.TimerSlack != 0)
}

// setUp changes the calling thread, to which the caller is locked. undo, on the
// same thread, changes it back; it is nil if there was nothing to do.
func (t *Thread) setUp() (undo func() error, err error) {
	if !t.wanted() {
		return nil, nil
	}
	var undos []func() error
	undo = func() (err error) {
		for i := len(undos) - 1; i >= 0; i-- {
			err = errors.Join(err, undos[i]())
		}
		return err
	}
	for _, step := range []func() (undo func() error, err error){t.setAffinity, t.setTimerSlack, t.setNice, t.setRealtime} {
		back, err := step()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("aio: the thread of the loop: %w", err), undo())
		}
		if back != nil {
			undos = append(undos, back)
		}
	}
	return undo, nil
}

func (t *Thread) setAffinity() (undo func() error, err error) {
	if len(t.CPUs) == 0 {
		return nil, nil
	}
	var before, wanted unix.CPUSet
	for _, cpu := range t.CPUs {
		wanted.Set(cpu)
	}
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	err = os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &wanted))
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w (the process may run on none of the CPUs %v)", err, t.CPUs)
	}
	return func() error {
		return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before))
	}, err
}

func (t *Thread) setTimerSlack() (undo func() error, err error) {
	if t.TimerSlack == 0 {
		return nil, nil
	}
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	set := func(ns int) error {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(ns), 0, 0, 0))
	}
	return func() error { return set(before) }, set(int(t.TimerSlack))
}

// setNice changes one thread: on Linux PRIO_PROCESS takes the number of a thread,
// and its nice value is its own.
func (t *Thread) setNice() (undo func() error, err error) {
	if t.Nice == 0 {
		return nil, nil
	}
	tid := sys.Gettid()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		return nil, os.NewSyscallError("getpriority", err)
	}
	before := 20 - raw // the system call returns 1 to 40, so as not to be negative
	set := func(nice int) error {
		return os.NewSyscallError("setpriority", unix.Setpriority(unix.PRIO_PROCESS, tid, nice))
	}
	err = set(t.Nice)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w (a nice value of %d needs CAP_SYS_NICE, or `ulimit -e` %d)", err, t.Nice, 20-t.Nice)
	}
	return func() error { return set(before) }, err
}

func (t *Thread) setRealtime() (undo func() error, err error) {
	if t.Realtime == 0 {
		return nil, nil
	}
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, os.NewSyscallError("sched_getattr", err)
	}
	set := func(attr *unix.SchedAttr) error {
		return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(0, attr, 0))
	}
	err = set(&unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(t.Realtime)})
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w (real-time priority %d needs CAP_SYS_NICE, or `ulimit -r` %d; in a container a share of cpu.rt_runtime_us too)", err, t.Realtime, t.Realtime)
	}
	return func() error { return set(before) }, err
}
