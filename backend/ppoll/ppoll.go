// Package ppoll is the Poller on ppoll(2). It runs on every kernel and inside
// every seccomp filter, and each Wait costs time proportional to the number of
// descriptors; it is the reference that the other two are compared with.
package ppoll

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
)

// Name is what users call this backend.
const Name = "ppoll"

var _ backend.Poller = (*Poller)(nil)

// Poller implements backend.Poller. It is not EdgeTriggered: Edge is accepted
// and reports by level.
//
// The table is what callers of Add, Modify and Remove change, at any time. The
// poll set belongs to Wait, because the kernel reads and writes it while Wait
// sleeps; Wait first brings it up to date with the slots that have changed.
type Poller struct {
	table   *fdtable.Table[member] // its mutex guards table and changed
	changed []uint32               // slots that differ from the poll set

	// The rest is used by Wait alone.
	set  []unix.PollFd // what ppoll is given
	keys []fdtable.Key // the registration of each member of set
	next int           // where the next scan starts, so that none is starved
	hand int           // the index in front that the next one is moved to

	version uint64 // counts changes of set
	queried uint64 // the version that Query has handed out
}

// member is a slot's index in the poll set.
type member struct {
	index   int32 // index in set, valid if inSet
	inSet   bool  // false before Wait has seen the slot
	changed bool  // already listed in changed
}

// New returns an empty Poller. It cannot fail.
func New() *Poller {
	return &Poller{table: fdtable.New[member](Name)}
}

// Name returns "ppoll".
func (p *Poller) Name() string { return Name }

// Add implements backend.Poller.
func (p *Poller) Add(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Add(fd, events, tag)
	return p.note("add", fd, key, s, err)
}

// Modify implements backend.Poller.
func (p *Poller) Modify(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Modify(fd, events, tag)
	return p.note("modify", fd, key, s, err)
}

// Remove implements backend.Poller. Between two Waits the kernel knows nothing
// of the set, so there is nothing to undo.
func (p *Poller) Remove(fd int) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Remove(fd)
	return p.note("remove", fd, key, s, err)
}

// note lists a slot for the next Wait.
func (p *Poller) note(op string, fd int, key fdtable.Key, s *fdtable.Slot[member], err error) error {
	if err != nil {
		return p.table.Fail(op, fd, err)
	}
	if !s.X.changed {
		s.X.changed = true
		p.changed = append(p.changed, key.Index)
	}
	return nil
}

// Wait implements backend.Poller.
func (p *Poller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if len(ready) == 0 {
		return 0, p.table.NoRoom()
	}
	if err := p.update(); err != nil {
		return 0, err
	}
	n, err := sys.PpollFor(p.set, timeout)
	if err != nil {
		return 0, failed(err)
	}
	if n == 0 {
		return 0, nil
	}
	return p.collect(ready, n), nil
}

func failed(err error) error {
	switch err {
	case unix.EINVAL: // the limit was lowered after they were opened
		return fmt.Errorf("%s: %w (more descriptors are registered than RLIMIT_NOFILE allows)", Name, err)
	default: // ENOMEM; a filter's errno
		return fmt.Errorf("%s: %w", Name, err)
	}
}

// update applies the changes since the last Wait to the poll set.
func (p *Poller) update() error {
	if !p.table.Touched() {
		return nil
	}
	p.table.Lock()
	defer p.table.Unlock()
	if p.table.Closed() {
		return backend.ErrClosed
	}
	p.table.Untouch()
	for _, i := range p.changed {
		p.apply(i, p.table.At(i))
	}
	if len(p.changed) > 0 {
		p.changed = p.changed[:0]
		p.version++
	}
	return nil
}

func (p *Poller) apply(i uint32, s *fdtable.Slot[member]) {
	s.X.changed = false
	switch {
	case !s.Live:
		p.evict(s)
		p.table.Free(i)
		return
	case !s.X.inSet:
		s.X.index, s.X.inSet = int32(len(p.set)), true
		p.set = append(p.set, unix.PollFd{})
		p.keys = append(p.keys, fdtable.Key{})
	}
	events := int16(s.Events &^ backend.Edge)
	p.set[s.X.index] = unix.PollFd{Fd: s.FD, Events: events}
	p.keys[s.X.index] = p.table.KeyAt(i)
}

// evict fills a removed member's index with the last one.
func (p *Poller) evict(s *fdtable.Slot[member]) {
	if !s.X.inSet {
		return
	}
	index, last := s.X.index, len(p.set)-1
	p.set[index], p.keys[index] = p.set[last], p.keys[last]
	p.table.At(p.keys[index].Index).X.index = index
	p.set, p.keys = p.set[:last], p.keys[:last]
}

// collect turns the n marked members of the poll set into events, as many as fit.
func (p *Poller) collect(ready []backend.Ready, n int) int {
	p.table.Lock()
	n = p.take(ready, n)
	p.table.Unlock()
	return n
}

// take is collect for a caller who holds the lock.
func (p *Poller) take(ready []backend.Ready, n int) int {
	found, last := 0, 0
	for range p.set {
		if n == 0 || found == len(ready) {
			break
		}
		i := p.next
		if i >= len(p.set) {
			i = 0
		}
		p.next = i + 1
		if p.set[i].Revents == 0 {
			continue
		}
		n--
		if s := p.table.Get(p.keys[i]); s != nil {
			ready[found] = backend.Ready{Tag: s.Tag, Events: p.taken(i)}
			found++
			last = i
		}
	}
	if found == 1 {
		p.bringForward(last)
	}
	return found
}

// front is how many places at the beginning of the set belong to those that had
// events recently.
const front = 16

// bringForward exchanges member i with one in front, or with the first if it is there. The
// kernel puts the thread into the wait queue of each descriptor, one after the other, until
// it comes to one that is ready: the later that is, the longer it takes.
func (p *Poller) bringForward(i int) {
	j := 0
	switch {
	case i == 0:
		return
	case i >= front:
		j = p.hand
		p.hand = (j + 1) % front
	}
	p.set[i], p.set[j] = p.set[j], p.set[i]
	p.keys[i], p.keys[j] = p.keys[j], p.keys[i]
	p.table.At(p.keys[i].Index).X.index = int32(i)
	p.table.At(p.keys[j].Index).X.index = int32(j)
	p.version++
}

// taken returns what ppoll said of member i. A descriptor that was closed while
// registered is said once and then left out, or each Wait would return immediately.
func (p *Poller) taken(i int) backend.Events {
	events := backend.Events(uint16(p.set[i].Revents))
	if events&backend.Nval != 0 {
		p.set[i].Fd = -1
	}
	return events
}

// Close implements backend.Poller. There is nothing to release but memory.
func (p *Poller) Close() error {
	p.table.Close()
	return nil
}
