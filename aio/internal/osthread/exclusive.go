//go:build linux

package osthread

import (
	"errors"
	"maps"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// exclusive are the CPUs that threads of this process have for themselves. The other threads
// are kept off them.
//
// A thread that starts later has the CPUs of the one that starts it. Go's runtime starts
// none from a thread that a goroutine is locked to, so none begins on those CPUs.
var exclusive = registry{owners: map[int]unix.CPUSet{}, others: map[int]confined{}}

type registry struct {
	sync.Mutex
	owners map[int]unix.CPUSet // by thread
	others map[int]confined    // what was done to the others, by thread
}

// confined is a thread that is kept off some CPUs.
type confined struct {
	before unix.CPUSet // what it may run on without that
	set    unix.CPUSet // what it was given
}

// take has the calling thread run on the CPUs of wanted, and the other threads that are no
// owners on others. undo ends that. After an error everything is as it was.
func (r *registry) take(wanted unix.CPUSet) (undo func() error, err error) {
	r.Lock()
	defer r.Unlock()
	tid := sys.Gettid()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	if c, known := r.others[tid]; known && c.set == before {
		before = c.before
	}
	delete(r.others, tid)
	r.owners[tid] = wanted
	undo = func() error {
		r.Lock()
		defer r.Unlock()
		return r.giveBack(tid, before)
	}
	err = r.confine()
	if err == nil {
		err = setCPUs(0, &wanted)
	}
	if err != nil {
		return nil, errors.Join(err, r.giveBack(tid, before))
	}
	return undo, nil
}

// giveBack is called with the lock held.
func (r *registry) giveBack(tid int, before unix.CPUSet) error {
	delete(r.owners, tid)
	return errors.Join(setCPUs(tid, &before), r.confine())
}

// confine gives each thread the CPUs that it may have now.
func (r *registry) confine() error {
	var taken unix.CPUSet
	for _, cpus := range r.owners {
		for i := range taken {
			taken[i] |= cpus[i]
		}
	}
	known, alive, free := maps.Clone(r.others), map[int]bool{}, 0
	err := sys.EachThread(func(tid int) error {
		alive[tid] = true
		if _, owns := r.owners[tid]; owns {
			return nil
		}
		moved, err := r.confineOne(tid, taken, known)
		if moved {
			free++
		}
		return err
	})
	if err != nil {
		return err
	}
	r.forget(alive)
	if free == 0 && len(r.owners) > 0 {
		return errors.New("no CPU is left for the other threads of the process: name fewer CPUs, or give it more (taskset, cpuset)")
	}
	return nil
}

// forget drops what it knows of threads that have ended, and of those that have all again.
func (r *registry) forget(alive map[int]bool) {
	for tid, c := range r.others {
		if !alive[tid] || c.set == c.before {
			delete(r.others, tid)
		}
	}
}

// confineOne keeps one thread off the CPUs that are taken. A thread whose CPUs were changed
// by others since is like one that is new. One that may run on no other CPUs stays where it
// is: the program wants it there.
func (r *registry) confineOne(tid int, taken unix.CPUSet, known map[int]confined) (moved bool, err error) {
	var now unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &now); err != nil {
		return false, os.NewSyscallError("sched_getaffinity", err)
	}
	c, ok := known[tid]
	if !ok || c.set != now {
		c.before = inherited(now, known)
	}
	c.set = c.before
	for i := range taken {
		c.set[i] &^= taken[i]
	}
	if c.set.Count() == 0 {
		return false, nil
	}
	if c.set != now {
		if err := setCPUs(tid, &c.set); err != nil {
			return false, err
		}
	}
	r.others[tid] = c
	return true, nil
}

// inherited returns what a thread with the CPUs of another one may run on without that: it
// has started since, and is like the one that has started it.
func inherited(now unix.CPUSet, known map[int]confined) unix.CPUSet {
	for _, c := range known {
		if c.set == now {
			return c.before
		}
	}
	return now
}

func setCPUs(tid int, cpus *unix.CPUSet) error {
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(tid, cpus))
}
