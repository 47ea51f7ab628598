//go:build linux

package main

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// swaps are descriptors whose number is taken over by another kind of file in the
// middle of a batch of events. What was collected for the old file must reach
// nobody.
func swaps(s *station) error {
	g := &group{station: s, debt: s.newDebt("descriptors that are taken over")}
	for i := range 8 {
		m := &member{group: g, kind: i % kinds, fresh: true}
		p, err := makeKind(m.kind)
		if err != nil {
			return err
		}
		m.peer = p[1]
		m.watcher = &watcher{station: s, name: "taken over", fd: p[0]}
		g.members = append(g.members, m)
	}
	orphan, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	g.orphan = orphan
	s.resumers = append(s.resumers, g.watchAll)
	s.producer(func(r *rand.Rand) {
		g.debt.publish()
		s.once("make descriptors ready", g.makeReady)
		s.await(g.debt)
	})
	s.closers = append(s.closers, g.close)
	return nil
}

// group is descriptors that become ready together; it belongs to the home goroutine.
type group struct {
	*station
	debt    *debt
	members []*member
	owed    int // events of this turn
	orphan  int // a duplicate of a file that was watched, perhaps ready forever
}

// member is a descriptor, its other end, and whether an event is due.
type member struct {
	*watcher
	group *group
	kind  int
	peer  int
	due   bool
	fresh bool // nothing was written to this file
}

const kinds = 3

// makeKind returns a descriptor to read and one to write.
func makeKind(kind int) (p [2]int, err error) {
	switch kind {
	case 0:
		err = unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
	case 1:
		p, err = socketPair()
	default:
		p[0], err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err == nil {
			p[1], err = unix.FcntlInt(uintptr(p[0]), unix.F_DUPFD_CLOEXEC, 0)
		}
	}
	return p, err
}

func (g *group) watchAll() {
	for _, m := range g.members {
		m.set(m.read, nil, false)
	}
}

// one is what is written: a byte for all, and the number 1 to an eventfd.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

func (g *group) makeReady() {
	for _, m := range g.members {
		m.due, m.fresh = true, false
		g.owed++
		_, err := unix.Write(m.peer, one)
		g.rep.must("taken over: write", err)
	}
}

// read is called for each event that is due. It may be called for nothing, but not
// for what has happened to an earlier file of that number.
func (m *member) read() {
	if m.fresh {
		m.rep.fail("%s: an event of another file, life %d of number %d", m.station.name, m.life, m.fd)
		return
	}
	var b [8]byte
	if !m.due {
		if n, err := unix.Read(m.fd, b[:]); err != unix.EAGAIN {
			m.rep.fail("%s: nothing was written to number %d, but it can be read: %d, %v", m.station.name, m.fd, n, err)
		}
		m.rep.counts.idle.Add(1)
		return
	}
	if n, err := unix.Read(m.fd, b[:]); n != len(b) {
		m.rep.fail("%s: an event, but nothing to read: %d, %v", m.station.name, n, err)
		return
	}
	m.deliver()
	for range m.random.IntN(4) {
		m.group.members[m.random.IntN(len(m.group.members))].takeOver()
	}
	m.pollInside()
}

// deliver ends the wait for m's event.
func (m *member) deliver() {
	m.due = false
	if m.group.owed--; m.group.owed == 0 {
		m.group.debt.pay(1)
	}
}

// takeOver puts another kind of file behind m's number. The event that was due, and
// perhaps collected, is gone with the old file.
func (m *member) takeOver() {
	kind := (m.kind + 1 + m.random.IntN(kinds-1)) % kinds
	p, err := makeKind(kind)
	if !m.rep.must("taken over", err) {
		return
	}
	kept := m.random.IntN(3) == 0
	if kept {
		m.group.keep(m.fd)
	}
	m.close()
	m.rep.must("taken over: dup3", unix.Dup3(p[0], m.fd, unix.O_CLOEXEC)) // closes the old one
	m.closeFDs(p[0])
	if kept {
		m.closeFDs(m.peer)
	} else {
		m.released(m.kind, m.peer)
	}
	m.kind, m.peer, m.fresh = kind, p[1], true
	m.set(m.read, nil, false)
	m.rep.counts.swaps.Add(1)
	if m.due {
		m.deliver()
	}
}

// keep holds a duplicate of a watched file open past the end of its watch.
func (g *group) keep(fd int) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if g.rep.must("taken over: dup", err) {
		g.closeFDs(g.orphan)
		g.orphan = dup
	}
}

// released checks that no one holds a file any more, and closes its other end. A loop
// looks again until that is so, and has to be done in time like with everything else.
func (s *station) released(kind, peer int) {
	if gone(kind, peer) {
		s.closeFDs(peer)
		return
	}
	if !s.mayHold(s.rep.counts.held.Add(1)) {
		s.rep.fail("%s: somebody holds a file of kind %d that was closed", s.name, kind)
	}
	s.visits.publish()
	s.once("look again", func() {
		s.released(kind, peer)
		s.visits.pay(1)
	})
}

// mayHold reports whether a file may be held after its watch, which is for the times-th
// time. An io_uring whose queues are full, or that has more to do than the kernel does for
// it in one go, lets go of it in one of the next turns; that has to be an exception. On that
// of a parked loop the thread lets go that has made the request, when it gets a CPU.
func (s *station) mayHold(times uint64) bool {
	return s.cfg.backend == aio.IOUring && (s.loop.Mode() == aio.ModePark || times <= 20+s.rep.counts.swaps.Load()/100)
}

// gone reports whether peer sees that the other end is closed.
func gone(kind, peer int) bool {
	var b [16]byte
	switch kind {
	case 0:
		_, err := unix.Write(peer, one)
		return err == unix.EPIPE
	case 1: // what was written and not read is reported first
		n, err := unix.Read(peer, b[:])
		return n == 0 && err == nil || err == unix.ECONNRESET
	}
	return true // an eventfd has no other end
}

func (g *group) close() {
	for _, m := range g.members {
		m.watcher.close()
		g.closeFDs(m.fd, m.peer)
	}
	g.closeFDs(g.orphan)
}
