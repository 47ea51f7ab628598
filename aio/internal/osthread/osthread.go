//go:build linux

// Package osthread sets up the thread of the calling goroutine, and changes it back.
package osthread

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// Settings are what a thread can be given. Zero values change nothing. aio.Thread
// documents the fields but the first, which is the name of the loop.
type Settings struct {
	Name       string
	CPUs       []int
	Exclusive  bool
	Nice       int
	Realtime   int
	TimerSlack time.Duration
}

// Check returns an error for values that no thread can have.
func (t *Settings) Check() error {
	switch {
	case t.Nice < -20 || t.Nice > 19:
		return fmt.Errorf("a Nice of %d is not within -20 and 19", t.Nice)
	case t.Realtime < 0 || t.Realtime > 99:
		return fmt.Errorf("a Realtime of %d is not within 0 and 99", t.Realtime)
	case t.Exclusive && len(t.CPUs) == 0:
		return errors.New("which CPUs are to be Exclusive? Name them in CPUs")
	case t.TimerSlack < 0:
		return fmt.Errorf("a TimerSlack of %v is less than 0", t.TimerSlack)
	}
	for _, cpu := range t.CPUs {
		if cpu < 0 || cpu >= MaxCPUs {
			return fmt.Errorf("no CPU has the number %d", cpu)
		}
	}
	return nil
}

// MaxCPUs is the number of bits of a unix.CPUSet.
const MaxCPUs = 1024

// Wanted reports whether there is a reason to lock a goroutine to its thread; a name is none.
func (t *Settings) Wanted() bool {
	return t != nil && (len(t.CPUs) > 0 || t.Nice != 0 || t.Realtime != 0 || t.TimerSlack != 0)
}

// Ahead reports whether the thread runs before others.
func (t *Settings) Ahead() bool { return t.Nice < 0 || t.Realtime > 0 }

// Apply changes the calling thread, to which the caller is locked. undo changes it back on
// the same thread. After an error the thread is as it was.
func (t *Settings) Apply() (undo func() error, err error) {
	var undos []func() error
	undo = func() (err error) {
		for i := len(undos) - 1; i >= 0; i-- {
			err = errors.Join(err, undos[i]())
		}
		return err
	}
	if t == nil {
		return undo, nil
	}
	for _, step := range []func() (undo func() error, err error){t.setName, t.setAffinity, t.setTimerSlack, t.setNice, t.setRealtime} {
		back, err := step()
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		if back != nil {
			undos = append(undos, back)
		}
	}
	return undo, nil
}

// setName leaves the first thread its name, which is the name of the process.
func (t *Settings) setName() (undo func() error, err error) {
	if t.Name == "" || sys.Gettid() == os.Getpid() {
		return nil, nil
	}
	var before [16]byte // TASK_COMM_LEN
	if err := unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&before)), 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	set := func(name []byte) error {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0))
	}
	var name [len(before)]byte
	copy(name[:len(name)-1], t.Name)
	return func() error { return set(before[:]) }, set(name[:])
}

func (t *Settings) setAffinity() (undo func() error, err error) {
	if len(t.CPUs) == 0 {
		return nil, nil
	}
	var before, wanted unix.CPUSet
	for _, cpu := range t.CPUs {
		wanted.Set(cpu)
	}
	if t.Exclusive {
		undo, err = exclusive.take(wanted)
		return undo, t.explained(err)
	}
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	return func() error { return setCPUs(0, &before) }, t.explained(setCPUs(0, &wanted))
}

// explained adds to an error of sched_setaffinity what it means.
func (t *Settings) explained(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w (the process may run on none of the CPUs %v)", err, t.CPUs)
	}
	return err
}

func (t *Settings) setTimerSlack() (undo func() error, err error) {
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

// setNice changes one thread: on Linux a thread has a nice value of its own, and
// PRIO_PROCESS takes its number.
func (t *Settings) setNice() (undo func() error, err error) {
	if t.Nice == 0 {
		return nil, nil
	}
	tid := sys.Gettid()
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		return nil, os.NewSyscallError("getpriority", err)
	}
	before := 20 - raw // the system call returns 1 to 40
	set := func(nice int) error {
		err := os.NewSyscallError("setpriority", unix.Setpriority(unix.PRIO_PROCESS, tid, nice))
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (a nice value of %d needs CAP_SYS_NICE, or `ulimit -e` %d)", err, nice, 20-nice)
		}
		return err
	}
	return func() error { return set(before) }, set(t.Nice)
}

func (t *Settings) setRealtime() (undo func() error, err error) {
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
