// Package fdtable is what the three backends share: the table of registrations.
//
// The kernel is handed a slot's Key, an index and a generation, never a pointer
// and never a bare descriptor number: numbers are reused, and an event that was
// collected for the old use must not reach the new one.
package fdtable

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// Key names one registration for as long as it is unchanged.
type Key struct {
	Index      uint32
	Generation uint32
}

// Slot is one registration. X is what the backend remembers in addition.
type Slot[X any] struct {
	Tag        backend.Tag
	FD         int32
	Events     backend.Events
	generation uint32 // counts Add, Modify and Remove
	X          X
	Live       bool // false from Remove on
	Failing    bool // the file reported an error at the last Add or Modify: it may have no wait queue yet
}

// Key returns the key of a slot at index.
func (s *Slot[X]) Key(index uint32) Key { return Key{index, s.generation} }

// Table maps descriptors to slots. Its own mutex guards everything in it and may
// be held across a system call only if that call cannot sleep.
type Table[X any] struct {
	sync.Mutex
	name    string
	closed  atomic.Bool      // written under the mutex
	byFD    map[int32]uint32 // half the size of one by int
	slots   []Slot[X]
	free    []uint32
	touched atomic.Bool // written under the mutex
}

// New returns an empty table for the backend of that name.
func New[X any](name string) *Table[X] {
	return &Table[X]{name: name, byFD: make(map[int32]uint32)}
}

// Add checks the arguments as backend.Poller.Add promises and makes a slot. The
// caller holds the lock and, if the kernel refuses, calls Remove and Free.
func (t *Table[X]) Add(fd int, events backend.Events, tag backend.Tag) (Key, *Slot[X], error) {
	failing, err := t.check(fd, events)
	if err != nil {
		return Key{}, nil, err
	}
	if _, exists := t.slot(fd); exists {
		return Key{}, nil, unix.EEXIST
	}
	i := t.unused()
	s := &t.slots[i]
	*s = Slot[X]{FD: int32(fd), Events: events, Tag: tag, Live: true, Failing: failing, generation: s.generation + 1}
	t.byFD[int32(fd)] = i
	t.Touch()
	return Key{i, s.generation}, s, nil
}

// Modify checks the arguments, replaces events and tag and begins a new generation.
func (t *Table[X]) Modify(fd int, events backend.Events, tag backend.Tag) (Key, *Slot[X], error) {
	failing, err := t.check(fd, events)
	if err != nil {
		return Key{}, nil, err
	}
	i, exists := t.slot(fd)
	if !exists {
		return Key{}, nil, unix.ENOENT
	}
	s := &t.slots[i]
	s.Events, s.Tag, s.Failing = events, tag, failing
	s.generation++
	t.Touch()
	return Key{i, s.generation}, s, nil
}

// Registered returns a copy of the slot of fd, for Restore.
func (t *Table[X]) Registered(fd int) (Slot[X], bool) {
	i, exists := t.slot(fd)
	if !exists {
		return Slot[X]{}, false
	}
	return t.slots[i], true
}

// Restore undoes a Modify that the kernel has refused: before is what Registered
// returned, and its Key, which the kernel still has, is valid again.
func (t *Table[X]) Restore(before Slot[X]) { t.slots[t.byFD[before.FD]] = before }

// Remove makes the slot dead: Get does not find it and fd can be added again. The
// caller calls Free when nothing refers to the slot any more.
func (t *Table[X]) Remove(fd int) (Key, *Slot[X], error) {
	if t.closed.Load() {
		return Key{}, nil, backend.ErrClosed
	}
	i, exists := t.slot(fd)
	if !exists {
		return Key{}, nil, unix.ENOENT
	}
	delete(t.byFD, int32(fd))
	s := &t.slots[i]
	s.Live = false
	s.generation++
	t.Touch()
	return Key{i, s.generation}, s, nil
}

// Free lets the slot be used again, in a later generation.
func (t *Table[X]) Free(index uint32) { t.free = append(t.free, index) }

// Get returns the live slot of that key, nil if it was removed or changed.
func (t *Table[X]) Get(k Key) *Slot[X] {
	s := t.At(k.Index)
	if s == nil || !s.Live || s.generation != k.Generation {
		return nil
	}
	return s
}

// At returns the slot at index whatever its state, nil if there is none.
func (t *Table[X]) At(index uint32) *Slot[X] {
	if int(index) >= len(t.slots) {
		return nil
	}
	return &t.slots[index]
}

// KeyAt returns the current key of the slot at index.
func (t *Table[X]) KeyAt(index uint32) Key { return t.slots[index].Key(index) }

// Len returns the number of live registrations.
func (t *Table[X]) Len() int { return len(t.byFD) }

// All calls f for each live registration.
func (t *Table[X]) All(f func(Key, *Slot[X])) {
	for _, i := range t.byFD {
		f(t.KeyAt(i), &t.slots[i])
	}
}

// Close makes every further call fail with backend.ErrClosed. It reports whether
// this was the first call.
func (t *Table[X]) Close() bool {
	t.Lock()
	defer t.Unlock()
	first := !t.closed.Swap(true)
	t.Touch()
	return first
}

// Closed reports whether Close was called.
func (t *Table[X]) Closed() bool { return t.closed.Load() }

// Touched reports whether there is anything that the Wait to come has to look at under
// the lock: a change, or Close. Any goroutine may call it, so that a Wait for which
// there is nothing takes no lock.
func (t *Table[X]) Touched() bool { return t.touched.Load() }

// Touch is for what else a backend changes. The caller holds the lock.
func (t *Table[X]) Touch() {
	if !t.touched.Load() {
		t.touched.Store(true)
	}
}

// Untouch says that a Wait has seen everything. The caller holds the lock, and the
// table is not closed.
func (t *Table[X]) Untouch() { t.touched.Store(false) }

// Fail wraps an error of the operation op on fd; it keeps nil and ErrClosed.
func (t *Table[X]) Fail(op string, fd int, err error) error {
	if err == nil || err == backend.ErrClosed {
		return err
	}
	return &backend.FDError{Backend: t.name, Op: op, FD: fd, Err: err}
}

// NoRoom is what Wait fails with if it is given an empty slice.
func (t *Table[X]) NoRoom() error {
	return fmt.Errorf("%s: wait: no room for an event: %w", t.name, unix.EINVAL)
}

func (t *Table[X]) check(fd int, events backend.Events) (failing bool, err error) {
	if t.closed.Load() {
		return false, backend.ErrClosed
	}
	if err := events.Check(); err != nil {
		return false, err
	}
	return sys.CheckPollable(fd)
}

// slot returns the index of fd's live slot.
func (t *Table[X]) slot(fd int) (i uint32, exists bool) {
	if fd != int(int32(fd)) { // no descriptor, and not the one that the number is cut to
		return 0, false
	}
	i, exists = t.byFD[int32(fd)]
	return i, exists
}

// unused returns the index of a slot that nothing refers to.
func (t *Table[X]) unused() uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		return i
	}
	if n := len(t.slots); n == cap(t.slots) { // a quarter more, where append would double
		t.slots = append(make([]Slot[X], 0, n+n/4+4), t.slots...)
	}
	t.slots = append(t.slots, Slot[X]{})
	return uint32(len(t.slots) - 1)
}
