package backendtest_test

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/backendtest"
)

// What the author of a Poller writes.
func TestStrangersPoller(t *testing.T) {
	backendtest.TestBriefly(t, func() (backend.Poller, error) { return newStranger(), nil })
}

// stranger is a Poller of an author who knows package backend and poll(2), and
// makes the set again for each Wait.
type stranger struct {
	mu         sync.Mutex // guards the next two
	registered []*registration
	closed     bool

	// used by Wait alone
	set     []unix.PollFd
	members []*registration
	next    int // where the next scan begins
}

type registration struct {
	fd     int
	events backend.Events
	tag    backend.Tag
	gone   bool // removed or replaced
	nval   bool // reported
}

func newStranger() *stranger { return new(stranger) }

func (s *stranger) Name() string { return "stranger" }

// update checks what Add and Modify check alike and stores the new registration.
func (s *stranger) update(op string, fd int, events backend.Events, tag backend.Tag, existing bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return backend.ErrClosed
	}
	i, exists := s.find(fd)
	err := events.Check()
	switch {
	case err != nil:
	case !isOpen(fd):
		err = unix.EBADF
	case exists && !existing:
		err = unix.EEXIST
	case !exists && existing:
		err = unix.ENOENT
	}
	if err != nil {
		return &backend.FDError{Backend: s.Name(), Op: op, FD: fd, Err: err}
	}
	if exists {
		s.forget(i)
	}
	s.registered = append(s.registered, &registration{fd: fd, events: events, tag: tag})
	return nil
}

func (s *stranger) find(fd int) (i int, exists bool) {
	i = slices.IndexFunc(s.registered, func(r *registration) bool { return r.fd == fd })
	return i, i >= 0
}

func (s *stranger) forget(i int) {
	s.registered[i].gone = true
	s.registered = slices.Delete(s.registered, i, i+1)
}

func isOpen(fd int) bool {
	if fd < 0 || fd > math.MaxInt32 {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_PATH == 0
}

func (s *stranger) Add(fd int, events backend.Events, tag backend.Tag) error {
	return s.update("add", fd, events, tag, false)
}

func (s *stranger) Modify(fd int, events backend.Events, tag backend.Tag) error {
	return s.update("modify", fd, events, tag, true)
}

func (s *stranger) Remove(fd int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return backend.ErrClosed
	}
	i, exists := s.find(fd)
	if !exists {
		return &backend.FDError{Backend: s.Name(), Op: "remove", FD: fd, Err: unix.ENOENT}
	}
	s.forget(i)
	return nil
}

func (s *stranger) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	if len(ready) == 0 {
		return 0, unix.EINVAL
	}
	if !s.makeSet() {
		return 0, backend.ErrClosed
	}
	if err := poll(s.set, timeout); err != nil {
		return 0, err
	}
	return s.collect(ready), nil
}

func (s *stranger) makeSet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.members = s.set[:0], s.members[:0]
	for _, r := range s.registered {
		if !r.nval {
			s.set = append(s.set, unix.PollFd{Fd: int32(r.fd), Events: int16(r.events &^ backend.Edge)})
			s.members = append(s.members, r)
		}
	}
	return !s.closed
}

func poll(set []unix.PollFd, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		var ts *unix.Timespec
		if timeout >= 0 {
			left := unix.NsecToTimespec(int64(timeout))
			ts = &left
		}
		_, err := unix.Ppoll(set, ts, nil)
		if err != unix.EINTR {
			return err
		}
		if timeout > 0 {
			timeout = max(time.Until(end), 0)
		}
	}
}

// collect goes on where the last one had no more room.
func (s *stranger) collect(ready []backend.Ready) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.set {
		if n == len(ready) {
			break
		}
		s.next = (s.next + 1) % len(s.set)
		r, events := s.members[s.next], backend.Events(uint16(s.set[s.next].Revents))
		if r.gone || events == 0 {
			continue
		}
		r.nval = events&backend.Nval != 0
		ready[n] = backend.Ready{Tag: r.tag, Events: events}
		n++
	}
	return n
}

func (s *stranger) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
