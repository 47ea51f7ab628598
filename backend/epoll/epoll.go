// Package epoll is the Poller on epoll(7). Its Wait costs time proportional to
// the events that happened, not to the descriptors that are watched.
package epoll

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/sys"
)

// Name is what users call this backend.
const Name = "epoll"

var (
	_ backend.Poller        = (*Poller)(nil)
	_ backend.EdgeTriggered = (*Poller)(nil)
	_ backend.Pollable      = (*Poller)(nil)
)

// Poller implements backend.Poller.
//
// Add, Modify and Remove make their system call immediately, under the table's lock:
// epoll_ctl(2) may be called while another thread sleeps in epoll_wait, and does
// not sleep itself.
type Poller struct {
	table *fdtable.Table[member] // its mutex guards all but events
	epfd  int

	always alwaysReady
	// orphaned is set when a descriptor was closed before Remove: if a duplicate
	// keeps the file open, only a new epoll instance gets rid of its events.
	orphaned bool

	// These are used by Wait alone.
	found  uint32 // counts Waits that found something
	events []unix.EpollEvent
	waiter waiter
}

// member is what a slot remembers in addition to its registration.
type member struct {
	always bool // cannot wait, see alwaysReady; unknown to the kernel
}

// New returns an empty Poller. It fails with a *backend.UnavailableError if the
// process or the system has no file descriptor left.
func New() (*Poller, error) {
	epfd, err := sys.EpollCreate1()
	if err != nil {
		return nil, unavailable(err)
	}
	sys.Opened(epfd, sys.KindEventpoll)
	return &Poller{table: fdtable.New[member](Name), epfd: epfd, always: alwaysReady{beacon: -1}}, nil
}

func unavailable(err error) error {
	u := &backend.UnavailableError{Backend: Name, Op: "epoll_create1", Err: err}
	switch err {
	case unix.EMFILE: // the process's limit
		u.Causes, u.Advice = []error{backend.ErrFDLimit}, "close descriptors or raise `ulimit -n`"
	case unix.ENFILE: // the system's limit
		u.Causes, u.Advice = []error{backend.ErrFDLimit}, "raise the sysctl fs.file-max"
	case unix.ENOMEM:
		u.Causes = []error{backend.ErrMemory}
	default: // a filter answers what its author chose
		u.Causes, u.Advice = []error{backend.ErrSeccomp}, "allow epoll_create1, epoll_ctl and epoll_pwait in the filter"
	}
	return u
}

// Name returns "epoll".
func (p *Poller) Name() string { return Name }

// EdgeTriggered returns true.
func (p *Poller) EdgeTriggered() bool { return true }

// PollFD implements backend.Pollable. It changes if a descriptor is closed before
// Remove and a duplicate of it is still open.
func (p *Poller) PollFD() int { return p.epfd }

// Flush implements backend.Pollable. Every change is in the kernel already.
func (p *Poller) Flush() error {
	p.table.Lock()
	defer p.table.Unlock()
	if p.table.Closed() {
		return backend.ErrClosed
	}
	return nil
}

// Add implements backend.Poller.
func (p *Poller) Add(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Add(fd, events, tag)
	if err != nil {
		return p.table.Fail("add", fd, err)
	}
	if err := p.register(key, s); err != nil {
		p.table.Remove(fd)
		p.table.Free(key.Index)
		return p.table.Fail("add", fd, err)
	}
	return nil
}

// register makes a new slot known to the kernel, or lists it as always ready.
func (p *Poller) register(key fdtable.Key, s *fdtable.Slot[member]) error {
	err := ctl(p.epfd, unix.EPOLL_CTL_ADD, key, s)
	switch {
	case err == unix.EPERM:
		s.X.always = true
		return p.list(key, s)
	case err == unix.EINVAL: // the events are checked: epoll itself or, on Linux 5.10, epoll nested too deep
		return unix.ELOOP
	}
	return err
}

// Modify implements backend.Poller.
func (p *Poller) Modify(fd int, events backend.Events, tag backend.Tag) error {
	p.table.Lock()
	defer p.table.Unlock()
	before, _ := p.table.Registered(fd)
	key, s, err := p.table.Modify(fd, events, tag)
	if err != nil {
		return p.table.Fail("modify", fd, err)
	}
	if err := p.renew(before, key, s); err != nil {
		p.table.Restore(before) // what the kernel reports, it reports for the old key
		return p.table.Fail("modify", fd, err)
	}
	return nil
}

// renew is change, except for a file that reported an error when it was added. It may have
// got its wait queue since, a tun device does with its interface, and EPOLL_CTL_MOD does
// not wait on it: it is added again.
func (p *Poller) renew(before fdtable.Slot[member], key fdtable.Key, s *fdtable.Slot[member]) error {
	if !before.Failing || before.X.always || ctl(p.epfd, unix.EPOLL_CTL_DEL, key, s) != nil {
		return p.change(key, s)
	}
	err := p.register(key, s)
	if err != nil {
		_ = ctl(p.epfd, unix.EPOLL_CTL_ADD, before.Key(key.Index), &before)
	}
	return err
}

func (p *Poller) change(key fdtable.Key, s *fdtable.Slot[member]) error {
	err := ctl(p.epfd, unix.EPOLL_CTL_MOD, key, s)
	switch {
	case err == unix.EPERM && s.X.always:
		return p.relist(key, s)
	case err == unix.EPERM || err == unix.ENOENT:
		// The number means another file by now: it was closed before Remove.
		p.orphaned = true
		p.unlist(key.Index)
		s.X.always = false
		return p.register(key, s)
	}
	return err
}

// Remove implements backend.Poller.
func (p *Poller) Remove(fd int) error {
	p.table.Lock()
	defer p.table.Unlock()
	key, s, err := p.table.Remove(fd)
	if err != nil {
		return p.table.Fail("remove", fd, err)
	}
	p.table.Free(key.Index)
	if s.X.always {
		p.unlist(key.Index)
		return nil
	}
	if err := ctl(p.epfd, unix.EPOLL_CTL_DEL, key, s); err != nil {
		// EBADF, ENOENT: fd was closed first. The registration is gone either way.
		p.orphaned = true
	}
	return nil
}

func ctl(epfd, op int, key fdtable.Key, s *fdtable.Slot[member]) error {
	ev := unix.EpollEvent{Events: uint32(s.Events)}
	setKey(&ev, key)
	return sys.EpollCtl(epfd, op, int(s.FD), &ev)
}

// setKey stores key in the 64 bits that epoll hands back; x/sys calls their two
// halves Fd and Pad.
func setKey(ev *unix.EpollEvent, key fdtable.Key) {
	ev.Fd, ev.Pad = int32(key.Index), int32(key.Generation)
}

func keyOf(ev *unix.EpollEvent) fdtable.Key {
	return fdtable.Key{Index: uint32(ev.Fd), Generation: uint32(ev.Pad)}
}

// Wait implements backend.Poller.
func (p *Poller) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	room, err := len(ready), error(nil)
	if room == 0 {
		return 0, p.table.NoRoom()
	}
	if len(p.events) < room || p.table.Touched() {
		if room, err = p.begin(room); err != nil {
			return 0, err
		}
	}
	n, err := p.ask(p.events[:room], timeout)
	if n == 0 && room > 0 || err != nil {
		return 0, err
	}
	p.table.Lock()
	n, err = p.collect(ready, p.events[:n])
	p.table.Unlock()
	return n, err
}

// ask is the system call. There is none if what is always ready takes all the room.
func (p *Poller) ask(events []unix.EpollEvent, timeout time.Duration) (n int, err error) {
	switch {
	case len(events) == 0:
		return 0, nil
	case timeout == 0: // most often
		if n, err = sys.EpollPwaitNow(p.epfd, events); err == nil {
			return n, nil
		}
	}
	if n, err = p.waiter.wait(p.epfd, events, timeout); err != nil {
		err = fmt.Errorf("%s: %s: %w", Name, p.waiter.call(timeout), err)
	}
	return n, err
}

// begin shares the room for n events between the kernel and what is always ready.
func (p *Poller) begin(n int) (room int, err error) {
	if len(p.events) < n {
		p.events = make([]unix.EpollEvent, n)
	}
	if !p.table.Touched() {
		return n, nil
	}
	p.table.Lock()
	defer p.table.Unlock()
	switch {
	case p.table.Closed():
		return 0, backend.ErrClosed
	case len(p.always.keys) == 0:
		p.table.Untouch()
	}
	return n - p.always.share(n), nil
}

// collect drops what was removed or changed since it happened. The caller holds the lock.
func (p *Poller) collect(ready []backend.Ready, events []unix.EpollEvent) (int, error) {
	n, stale := 0, false
	for i := range events {
		key := keyOf(&events[i])
		if s := p.table.Get(key); s != nil {
			ready[n] = backend.Ready{Tag: s.Tag, Events: backend.Events(events[i].Events)}
			n++
		} else if key != beaconKey {
			stale = true
		}
	}
	if len(p.always.keys) > 0 {
		n += p.collectAlways(ready[n:])
	}
	if p.found++; p.found%checkPeriod == 0 && p.orphan(events) {
		stale, p.orphaned = true, true
	}
	if stale && p.orphaned {
		return n, p.rebuild()
	}
	return n, nil
}

// Every checkPeriod-th Wait with events verifies that their files are still registered: cheap,
// and it ends a busy loop. A prime: where descriptors take turns because there is no room for
// all, each one's comes.
const checkPeriod = 4093

// orphan reports whether one of the events is of a file whose number was closed, or means
// another file by now, without Remove, and that some other number keeps open. It would be
// reported forever. Edges are not, and would be reported once more by the question.
func (p *Poller) orphan(events []unix.EpollEvent) bool {
	for i := range events {
		key := keyOf(&events[i])
		s := p.table.Get(key)
		if s == nil || s.Events&backend.Edge != 0 {
			continue
		}
		switch ctl(p.epfd, unix.EPOLL_CTL_MOD, key, s) {
		case unix.EBADF, unix.ENOENT, unix.EPERM: // not open; another file; one that cannot wait
			return true
		}
	}
	return false
}

// rebuild replaces the epoll instance by one that knows the live registrations
// only. If it fails, the old one stays until the next Wait. The new one gets a
// number of its own, so that a foreign loop that waits for it finds out.
func (p *Poller) rebuild() error {
	fresh, err := p.create()
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := p.populate(fresh); err != nil {
		_ = unix.Close(fresh)
		return os.NewSyscallError("epoll_ctl", err)
	}
	old := p.epfd
	p.epfd, p.orphaned = fresh, false
	return os.NewSyscallError("close", unix.Close(old))
}

// create makes an epoll instance whose number is not registered: the program that has closed that
// by mistake may close it again.
func (p *Poller) create() (int, error) {
	return p.unregistered(sys.EpollCreate1, sys.KindEventpoll)
}

// unregistered opens a descriptor whose number is not registered.
func (p *Poller) unregistered(open func() (int, error), kind string) (int, error) {
	fd, err := open()
	if err != nil {
		return -1, err
	}
	sys.Opened(fd, kind)
	if _, registered := p.table.Registered(fd); registered {
		defer unix.Close(fd)
		return p.unregistered(open, kind)
	}
	return fd, nil
}

// populate registers everything with another epoll instance.
func (p *Poller) populate(epfd int) (err error) {
	if p.always.beacon >= 0 {
		err = p.watchBeacon(epfd)
	}
	p.table.All(func(key fdtable.Key, s *fdtable.Slot[member]) {
		if err != nil || s.X.always {
			return
		}
		err = ctl(epfd, unix.EPOLL_CTL_ADD, key, s)
		if err == unix.EBADF || err == unix.EPERM { // closed without Remove; epoll would have forgotten it as well
			err = nil
		}
	})
	return err
}

// Close implements backend.Poller.
func (p *Poller) Close() error {
	if !p.table.Close() {
		return nil
	}
	p.closeBeacon()
	epfd := p.epfd
	p.epfd = -1
	return os.NewSyscallError("close", unix.Close(epfd))
}
