package fdtable

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit/draw"
)

// fd is one that is open in every process: standard error. The table looks at the
// number only.
const fd = 2

func TestKeysOfEarlierGenerationsFindNothing(t *testing.T) {
	table := New[int]("test")
	first, s, err := table.Add(fd, backend.In, 1)
	if err != nil || table.Get(first) != s {
		t.Fatalf("Add: %v", err)
	}
	second, _, err := table.Modify(fd, backend.Out, 2)
	if err != nil || table.Get(first) != nil || table.Get(second) == nil {
		t.Fatalf("Modify: %v, old key finds %v", err, table.Get(first))
	}
	if _, _, err := table.Remove(fd); err != nil || table.Get(second) != nil {
		t.Fatalf("Remove: %v, old key finds %v", err, table.Get(second))
	}
	table.Free(second.Index)
	third, _, err := table.Add(fd, backend.In, 3)
	if err != nil || third.Index != second.Index || table.Get(first) != nil || table.Get(second) != nil {
		t.Errorf("Add: %v, %v; an old key finds the new registration", third, err)
	}
}

func TestNoKeyIsZero(t *testing.T) {
	table := New[int]("test")
	if k, _, err := table.Add(fd, 0, 0); err != nil || k == (Key{}) {
		t.Errorf("the first key is %v, %v", k, err)
	}
}

func TestASlotIsNotUsedAgainBeforeFree(t *testing.T) {
	table := New[int]("test")
	first, s, _ := table.Add(fd, backend.In, 1)
	s.X = 7
	_, _, _ = table.Remove(fd)
	second, s, err := table.Add(fd, backend.In, 2)
	if err != nil || second.Index == first.Index || s.X != 0 {
		t.Errorf("got %v, X %d, %v; want another index and X 0", second, s.X, err)
	}
	if got := table.At(first.Index); got == nil || got.Live || got.X != 7 {
		t.Errorf("the removed slot has changed: %+v", got)
	}
}

func TestClose(t *testing.T) {
	table := New[int]("test")
	_, _, _ = table.Add(fd, backend.In, 1)
	if !table.Close() || table.Close() || !table.Closed() {
		t.Error("Close does not tell the first call from the second")
	}
	_, _, add := table.Add(fd, backend.In, 1)
	_, _, modify := table.Modify(fd, backend.In, 1)
	_, _, remove := table.Remove(fd)
	for _, err := range []error{add, modify, remove} {
		if err != backend.ErrClosed || table.Fail("op", fd, err) != backend.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

func TestOutOfRange(t *testing.T) {
	table := New[int]("test")
	if table.At(0) != nil || table.Get(Key{Index: 5, Generation: 1}) != nil {
		t.Error("an empty table has a slot")
	}
	if err := table.NoRoom(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("NoRoom: %v", err)
	}
}

// A number that is too large for a descriptor is not the one that its lower half names.
func TestNumbersAreNotCut(t *testing.T) {
	table := New[int]("test")
	if _, _, err := table.Add(fd, backend.In, 1); err != nil {
		t.Fatal(err)
	}
	bits := 32 // a variable, for this to compile where int has no more bits
	large := fd + 1<<bits
	if large == fd {
		t.Skip("int has 32 bits")
	}
	if _, _, err := table.Remove(large); err != unix.ENOENT {
		t.Errorf("Remove: %v", err)
	}
	if _, registered := table.Registered(large); registered {
		t.Error("Registered finds it")
	}
}

// A model: a map of what is registered. Slots are freed some time after Remove.
func TestTableAgreesWithAMap(t *testing.T) {
	draw.Check(t, 100, func(rt *draw.T) {
		m := &model{T: rt, table: New[int]("test"), tags: make(map[int]backend.Tag), keys: make(map[int]Key)}
		draw.Repeat(rt, map[string]func(*draw.T){
			"add": m.add, "modify": m.modify, "remove": m.remove, "free": m.free, "": m.check,
		})
	})
}

type model struct {
	*draw.T
	table *Table[int]
	tags  map[int]backend.Tag
	keys  map[int]Key
	stale []Key
	dead  []uint32
	next  backend.Tag
}

// draw picks a descriptor that is open: numbers 0 to 2.
func (m *model) draw(rt *draw.T) int { return draw.Int(rt, 0, 2) }

func (m *model) add(rt *draw.T) {
	fd := m.draw(rt)
	m.next++
	k, _, err := m.table.Add(fd, backend.In, m.next)
	if _, exists := m.tags[fd]; exists {
		m.want(rt, err, unix.EEXIST)
		return
	}
	m.want(rt, err, nil)
	m.tags[fd], m.keys[fd] = m.next, k
}

func (m *model) modify(rt *draw.T) {
	fd := m.draw(rt)
	m.next++
	k, _, err := m.table.Modify(fd, backend.Out, m.next)
	if _, exists := m.tags[fd]; !exists {
		m.want(rt, err, unix.ENOENT)
		return
	}
	m.want(rt, err, nil)
	m.stale = append(m.stale, m.keys[fd])
	m.tags[fd], m.keys[fd] = m.next, k
}

func (m *model) remove(rt *draw.T) {
	fd := m.draw(rt)
	k, _, err := m.table.Remove(fd)
	if _, exists := m.tags[fd]; !exists {
		m.want(rt, err, unix.ENOENT)
		return
	}
	m.want(rt, err, nil)
	m.stale = append(m.stale, m.keys[fd], k)
	m.dead = append(m.dead, k.Index)
	delete(m.tags, fd)
	delete(m.keys, fd)
}

func (m *model) free(rt *draw.T) {
	if len(m.dead) == 0 {
		return
	}
	m.table.Free(m.dead[0])
	m.dead = m.dead[1:]
}

func (m *model) check(rt *draw.T) {
	if m.table.Len() != len(m.tags) {
		rt.Fatalf("Len %d, want %d", m.table.Len(), len(m.tags))
	}
	for fd, k := range m.keys {
		if s := m.table.Get(k); s == nil || int(s.FD) != fd || s.Tag != m.tags[fd] || m.table.KeyAt(k.Index) != k {
			rt.Fatalf("fd %d: slot %+v, want tag %d", fd, s, m.tags[fd])
		}
	}
	for _, k := range m.stale {
		if m.table.Get(k) != nil {
			rt.Fatalf("stale key %v finds a slot", k)
		}
	}
	seen := 0
	m.table.All(func(k Key, s *Slot[int]) {
		if m.keys[int(s.FD)] != k {
			rt.Fatalf("All: fd %d has key %v, want %v", s.FD, k, m.keys[int(s.FD)])
		}
		seen++
	})
	if seen != len(m.keys) {
		rt.Fatalf("All: %d slots, want %d", seen, len(m.keys))
	}
}

func (m *model) want(rt *draw.T, got, want error) {
	rt.Helper()
	if got != want {
		rt.Fatalf("got %v, want %v", got, want)
	}
}
