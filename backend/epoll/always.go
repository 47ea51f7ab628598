package epoll

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
)

// alwaysReady are the registrations that epoll refuses with EPERM because they
// cannot wait: regular files, directories, /dev/null. In their place epoll watches
// a beacon, an eventfd that is always readable: so Wait does not sleep, and a
// foreign loop that waits for the epoll descriptor does not either.
type alwaysReady struct {
	keys   []fdtable.Key // those asked for In or Out; for anything else they are never ready
	next   int           // where the next scan of keys starts
	turn   bool          // who has the only place of a Wait with room for one event
	beacon int           // -1 while keys is empty
}

// beaconKey is none of the table's: generations begin at 1.
var beaconKey = fdtable.Key{Index: 0, Generation: 0}

// share returns how many of n places in the result of Wait are kept free, so that
// busy descriptors do not take all of them.
func (a *alwaysReady) share(n int) int {
	if n == 1 && len(a.keys) > 0 {
		a.turn = !a.turn
		if a.turn {
			return 1
		}
	}
	return min(n/2, len(a.keys))
}

// list begins to report a registration that cannot wait.
func (p *Poller) list(key fdtable.Key, s *fdtable.Slot[member]) error {
	if s.Events&(backend.In|backend.Out) == 0 {
		return nil
	}
	if p.always.beacon < 0 {
		if err := p.lightBeacon(); err != nil {
			return err
		}
	}
	p.always.keys = append(p.always.keys, key)
	return nil
}

// relist is list after a Modify.
func (p *Poller) relist(key fdtable.Key, s *fdtable.Slot[member]) error {
	i := p.always.find(key.Index)
	switch {
	case i < 0:
		return p.list(key, s)
	case s.Events&(backend.In|backend.Out) == 0:
		p.unlist(key.Index)
	default:
		p.always.keys[i] = key
	}
	return nil
}

// unlist ends what list began, if it did.
func (p *Poller) unlist(index uint32) {
	if i := p.always.find(index); i >= 0 {
		p.always.keys = slices.Delete(p.always.keys, i, i+1)
	}
	if len(p.always.keys) == 0 {
		p.closeBeacon()
	}
}

func (a *alwaysReady) find(index uint32) int {
	return slices.IndexFunc(a.keys, func(k fdtable.Key) bool { return k.Index == index })
}

// lightBeacon fails with EMFILE or ENFILE if there is no descriptor left.
func (p *Poller) lightBeacon() error {
	// Not the number of a descriptor that was closed before Remove, which would remove this one.
	fd, err := p.unregistered(beacon, sys.KindEventfd)
	if err != nil {
		return err
	}
	p.always.beacon = fd
	if err := p.watchBeacon(p.epfd); err != nil {
		p.closeBeacon()
		return err
	}
	return nil
}

func beacon() (int, error) { return unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK) }

func (p *Poller) watchBeacon(epfd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN}
	setKey(&ev, beaconKey)
	return sys.EpollCtl(epfd, unix.EPOLL_CTL_ADD, p.always.beacon, &ev)
}

// closeBeacon also ends its registration: no other process has the open file, except
// for a moment a child between fork and exec.
func (p *Poller) closeBeacon() {
	if p.always.beacon < 0 {
		return
	}
	_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, p.always.beacon, nil)
	unix.Close(p.always.beacon)
	p.always.beacon = -1
}

// collectAlways reports descriptors that cannot wait, in turns if there is no
// room for all of them.
func (p *Poller) collectAlways(ready []backend.Ready) int {
	a := &p.always
	n := min(len(ready), len(a.keys))
	for i := range n {
		a.next++
		if a.next >= len(a.keys) {
			a.next = 0
		}
		s := p.table.Get(a.keys[a.next])
		ready[i] = backend.Ready{Tag: s.Tag, Events: s.Events & (backend.In | backend.Out)}
	}
	return n
}
