package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// pinning is where a goroutine runs.
type pinning int

const (
	// anywhere: not locked to a thread, wherever the schedulers like it.
	anywhere pinning = iota
	// atHome: on a thread of its own, pinned to the CPU of the loop.
	atHome
	// elsewhere: on a thread of its own, pinned to another CPU.
	elsewhere
)

// cpus are the CPUs that belong to the places; -1 if there is none.
type cpus struct{ home, other int }

// of returns the CPU of a pinning, or why it has none.
func (c cpus) of(at pinning) (int, error) {
	switch {
	case at == atHome && c.home >= 0:
		return c.home, nil
	case at == elsewhere && c.other >= 0:
		return c.other, nil
	case c.home >= 0:
		return 0, fmt.Errorf("this process may use one CPU only")
	}
	return 0, fmt.Errorf("the CPUs of this process are not known")
}

// allowed are the CPUs that the process could use when it started; empty if that
// cannot be found out. It is read once: later, any thread, the first one too, may
// have been pinned.
var allowed = func() (set unix.CPUSet) {
	_ = unix.SchedGetaffinity(0, &set)
	return set
}()

// chooseCPUs takes the first two of those that were asked for, or of those that
// the process may use.
func chooseCPUs(asked []int) (cpus, error) {
	if asked == nil {
		asked = listCPUs(&allowed)
	}
	c := cpus{-1, -1}
	for i, cpu := range asked {
		if cpu < 0 || cpu >= len(allowed)*strconv.IntSize || !allowed.IsSet(cpu) {
			return c, fmt.Errorf("CPU %d is not one that this process may use", cpu)
		}
		switch i {
		case 0:
			c.home = cpu
		case 1:
			c.other = cpu
		}
	}
	return c, nil
}

func listCPUs(set *unix.CPUSet) (list []int) {
	for cpu := range len(set) * strconv.IntSize {
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}

// start calls f on a goroutine at a pinning. A goroutine that was locked stays so
// until it ends, and its thread, which is of no use to anybody else, ends with it.
func (s *fixture) start(at pinning, f func()) {
	go func() {
		if at != anywhere {
			runtime.LockOSThread()
			s.pin(at)
		}
		f()
	}()
}

// pin pins the calling thread, or notes why it can't.
func (s *fixture) pin(at pinning) {
	cpu, err := s.cpus.of(at)
	if err == nil {
		err = setAffinity(0, cpu)
	}
	if err != nil {
		s.note("not pinned: " + err.Error())
	}
}

func setAffinity(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("CPU %d: %w", cpu, os.NewSyscallError("sched_setaffinity", err))
	}
	return nil
}

// fixProcs keeps GOMAXPROCS what it is. By default the runtime looks now and then
// at how many CPUs the process may use: it would notice when threads are confined
// to one, and change what is being measured, also after they are free again.
func fixProcs() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0)) }

// confine keeps every thread of the process at home until the fixture is left. Threads
// that the runtime starts in the meantime inherit it.
func (s *fixture) confine() {
	cpu, err := s.cpus.of(atHome)
	if err == nil {
		s.atExit(func() error {
			return sys.EachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &allowed) })
		})
		err = sys.EachThread(func(tid int) error { return setAffinity(tid, cpu) })
	}
	if err != nil {
		s.note("not pinned: " + err.Error())
	}
}
