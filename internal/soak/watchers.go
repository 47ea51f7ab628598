//go:build linux

package main

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// otherWatchers are goroutines, not the home goroutine, that open, watch, use and close descriptors, whose
// numbers go round among them.
func otherWatchers(s *station) error {
	for i := range 3 {
		s.otherWatcher(i)
	}
	return nil
}

func (s *station) otherWatcher(i int) {
	d := s.newDebt("other goroutine %d", i)
	s.producer(func(r *rand.Rand) {
		kind := r.IntN(kinds)
		p, err := makeKind(kind)
		if !s.rep.must(d.name, err) {
			return
		}
		early := r.IntN(2) == 0 // ready before it is watched
		if r.IntN(3) == 0 {
			s.passing(d.name, kind)
		}
		d.publish()
		if early {
			s.write(d.name, p[1])
		}
		h, err := s.loop.Watch(p[0], s.greeting(d, p[0], r.IntN(2) == 0))
		if !s.rep.must(d.name, err) {
			return
		}
		if !early {
			s.write(d.name, p[1])
		}
		s.await(d)
		s.do(d.name, func() {
			s.rep.must(d.name, h.Close())
			s.closeFDs(p[0])
			s.released(kind, p[1])
		})
		s.rep.counts.swaps.Add(1)
	})
}

// passing watches a descriptor that is ready and closes the handler immediately, while
// the loop may be collecting the event. The next handler is not to get it.
func (s *station) passing(what string, kind int) {
	p, err := makeKind(kind)
	if !s.rep.must(what, err) {
		return
	}
	s.write(what, p[1])
	h, err := s.loop.Watch(p[0], aio.Callbacks{Name: "passing", Read: func(*aio.Handler) { s.called("passing") }})
	if s.rep.must(what, err) {
		s.rep.must(what, h.Close())
	}
	s.watchSilent(what)
	s.do(what, func() { s.closeFDs(p[:]...) })
}

// watchSilent watches a descriptor that is never ready.
func (s *station) watchSilent(what string) {
	p, err := makeKind(0)
	if !s.rep.must(what, err) {
		return
	}
	h, err := s.loop.Watch(p[0], aio.Callbacks{Name: "never ready", Read: func(*aio.Handler) {
		s.called("never ready")
		s.rep.fail("%s: %s: an event for a descriptor that was never ready", s.name, what)
	}})
	if !s.rep.must(what, err) {
		return
	}
	s.do(what, func() {})
	s.do(what, func() {
		s.rep.must(what, h.Close())
		s.closeFDs(p[:]...)
	})
}

func (s *station) write(what string, fd int) {
	_, err := unix.Write(fd, one)
	s.rep.must(what, err)
}

// greeting pays once.
func (s *station) greeting(d *debt, fd int, edge bool) aio.Callbacks {
	return aio.Callbacks{Name: d.name, Edge: edge, Read: func(*aio.Handler) {
		s.called(d.name)
		var b [8]byte
		switch n, err := unix.Read(fd, b[:]); {
		case n == len(b):
			d.pay(1)
		case err != unix.EAGAIN && !s.rep.failed(): // no one waits then before the other end is closed
			s.rep.fail("%s: %s: read: %d, %v", s.name, d.name, n, err)
		}
	}}
}
