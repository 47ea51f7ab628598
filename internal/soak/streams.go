//go:build linux

package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// streams are descriptors of all kinds that carry data through the loop.
func streams(s *station) error {
	for _, add := range []func(*station) error{pipeStream, socketStream, echo, sums, alarms, fileStream} {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// lane is one direction of a stream. Every byte is compared with what was sent.
type lane struct {
	*station
	debt    *debt // in bytes
	out, in pattern
	rest    []byte // made, and not written yet
}

func (s *station) newLane(name string) *lane {
	seed := pattern(s.seeds.Uint64())
	return &lane{station: s, debt: s.newDebt("bytes by %s", name), out: seed, in: seed}
}

// send writes up to n bytes without waiting.
func (l *lane) send(fd, n int) {
	if len(l.rest) == 0 {
		l.rest = append(l.rest, make([]byte, n)...)
		l.out.fill(l.rest)
	}
	wrote, err := unix.Write(fd, l.rest)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	if !l.rep.must(l.debt.name+": write", err) {
		return
	}
	l.debt.sent.Add(uint64(wrote))
	l.rest = l.rest[:copy(l.rest, l.rest[wrote:])]
}

// receive reads up to len(buf) bytes. It reports false if there are none.
func (l *lane) receive(fd int, buf []byte) bool {
	n, err := unix.Read(fd, buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return err == unix.EINTR
	}
	if !l.rep.must(l.debt.name+": read", err) || n == 0 {
		return false
	}
	l.take(buf[:n])
	return true
}

func (l *lane) take(b []byte) {
	if l.cfg.fault == faultDroppedByte && l.debt.seen.Load() < 1000 && l.debt.seen.Load()+uint64(len(b)) >= 1000 {
		b = b[1:]
	}
	if !l.in.check(b) {
		l.rep.fail("%s: %s: not what was sent, at byte %d", l.name, l.debt.name, l.debt.seen.Load())
	}
	l.debt.pay(len(b))
	l.rep.counts.bytes.Add(uint64(len(b)))
}

// watcher is a handler that is changed, closed and made again all the time, on the
// home goroutine. A callback of an earlier life must not come any more.
type watcher struct {
	*station
	name    string
	fd      int
	handler *aio.Handler
	life    int
}

// callback ties f to the life that begins now.
func (w *watcher) callback(f func()) func(*aio.Handler) {
	if f == nil {
		return nil
	}
	life := w.life
	return func(*aio.Handler) {
		w.called(w.name)
		if life != w.life {
			w.rep.fail("%s: %s: a callback of an earlier handler", w.name, w.station.name)
		}
		f()
	}
}

// set watches with these callbacks and no others.
func (w *watcher) set(read, write func(), edge bool) {
	w.life++
	cb := aio.Callbacks{Read: w.callback(read), Write: w.callback(write), Edge: edge, Name: w.name}
	var err error
	if w.handler != nil {
		err = w.handler.Change(cb)
	} else {
		w.handler, err = w.loop.Watch(w.fd, cb)
	}
	w.rep.must(w.name, err)
	if w.cfg.fault == faultStaleEvent && w.life == 10 {
		w.life++
	}
}

func (w *watcher) close() {
	if w.handler != nil {
		w.life++
		w.rep.must(w.name, w.handler.Close())
		w.handler = nil
	}
}

// again is set, now and then after close.
func (w *watcher) again(read, write func(), edge bool) {
	switch w.random.IntN(64) {
	case 0:
		w.close()
		w.set(read, write, edge)
	case 1, 2:
		w.set(read, write, edge)
	}
}

func (s *station) closeFDs(fds ...int) {
	for _, fd := range fds {
		s.rep.must(s.name+": close", unix.Close(fd))
	}
}

// pipeStream is written in bursts by one handler and read in small pieces by another.
func pipeStream(s *station) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return err
	}
	l := s.newLane("pipe")
	reader := &watcher{station: s, name: "pipe reader", fd: p[0]}
	buf := make([]byte, 2048)
	var read func()
	read = func() {
		l.receive(p[0], buf[:1+s.random.IntN(len(buf))])
		reader.again(read, nil, false)
		s.pollInside()
	}
	s.resumers = append(s.resumers, func() { reader.set(read, nil, false) })
	s.bursts(l, p[1])
	s.closers = append(s.closers, func() {
		reader.close()
		s.closeFDs(p[0], p[1])
	})
	return nil
}

// bursts writes to fd by a handler, which is closed between the bursts.
func (s *station) bursts(l *lane, fd int) {
	writer := &watcher{station: s, name: "pipe writer", fd: fd}
	left := 0
	var begin *aio.Timer
	write := func() {
		l.send(fd, 1+s.random.IntN(4096))
		if left--; left <= 0 && len(l.rest) == 0 {
			writer.close()
			s.rep.must("burst", begin.Reset(time.Duration(s.random.IntN(3))*time.Millisecond))
		}
	}
	start := func() {
		left = 1 + s.random.IntN(50)
		writer.set(nil, write, false)
	}
	begin = s.loop.NewTimer(aio.Realtime, func() {
		s.called("burst")
		start()
	}).Named("burst")
	s.resumers = append(s.resumers, start)
	s.pausers = append(s.pausers, writer.close, func() { begin.Stop() })
}

func socketPair() (p [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// socketStream is written by a goroutine and read to the end at each edge.
func socketStream(s *station) error {
	p, err := socketPair()
	if err != nil {
		return err
	}
	l := s.newLane("socket")
	reader := &watcher{station: s, name: "socket reader", fd: p[0]}
	buf := make([]byte, 4096)
	var read func()
	read = func() {
		for l.receive(p[0], buf) {
		}
		reader.again(read, nil, true)
		s.pollInside()
	}
	s.resumers = append(s.resumers, func() { reader.set(read, nil, true) })
	s.producer(func(r *rand.Rand) {
		for range 1 + r.IntN(4) {
			l.send(p[1], 1+r.IntN(8192))
		}
	})
	s.singles = append(s.singles, single{l.debt, func() {
		l.debt.sent.Add(^uint64(0)) // send counts by itself
		l.send(p[1], 1)
	}})
	s.closers = append(s.closers, func() {
		reader.close()
		s.closeFDs(p[:]...)
	})
	return nil
}

// echo sends back what it reads, and asks for writability only if it has to.
func echo(s *station) error {
	p, err := socketPair()
	if err != nil {
		return err
	}
	l := s.newLane("echo")
	var mu sync.Mutex // of the far end
	s.loopEcho(p[0])
	buf := make([]byte, 8192)
	receive := func() {
		mu.Lock()
		defer mu.Unlock()
		for l.receive(p[1], buf) {
		}
	}
	s.producer(func(r *rand.Rand) {
		l.send(p[1], 1+r.IntN(8192))
		receive()
	})
	s.helpers = append(s.helpers, receive)
	s.closers = append(s.closers, func() { s.closeFDs(p[1]) })
	return nil
}

func (s *station) loopEcho(fd int) {
	w := &watcher{station: s, name: "echo", fd: fd}
	var backlog []byte
	buf := make([]byte, 1024)
	var read, write func()
	choose := func() {
		if len(backlog) == 0 {
			w.set(read, nil, false)
		} else {
			w.set(read, write, false)
		}
	}
	read = func() {
		if n, err := unix.Read(fd, buf); n > 0 {
			had := len(backlog)
			backlog = append(backlog, buf[:n]...)
			if had == 0 {
				choose()
			}
		} else if err != unix.EAGAIN && err != unix.EINTR {
			s.rep.must("echo: read", err)
		}
	}
	write = func() {
		n, err := unix.Write(fd, backlog[:min(len(backlog), 1+s.random.IntN(1024))])
		if err != unix.EAGAIN && err != unix.EINTR && s.rep.must("echo: write", err) {
			backlog = backlog[:copy(backlog, backlog[n:])]
			choose()
		}
	}
	s.resumers = append(s.resumers, choose)
	s.closers = append(s.closers, func() {
		w.close()
		s.closeFDs(fd)
	})
}

// fileStream is a regular file, always ready to be read and written. It is appended
// to and read behind that, by one handler, for a while.
func fileStream(s *station) error {
	fd, err := temporary()
	if err != nil {
		return err
	}
	f := &fileLane{station: s, lane: s.newLane("file"), fd: fd, buf: make([]byte, 1024)}
	f.w = &watcher{station: s, name: "file", fd: fd}
	f.begin = s.loop.NewTimer(aio.Realtime, func() {
		s.called("file")
		f.start()
	}).Named("file")
	s.resumers = append(s.resumers, f.start)
	s.pausers = append(s.pausers, func() { f.begin.Stop() }, func() { f.left = 0 })
	s.closers = append(s.closers, func() {
		f.w.close()
		s.closeFDs(fd)
	})
	return nil
}

// fileLane is the state of fileStream. It belongs to the home goroutine.
type fileLane struct {
	*station
	lane  *lane
	w     *watcher
	fd    int
	buf   []byte
	left  int // writes until it is read to its end and begun again
	begin *aio.Timer

	wrote, got int64
}

func (f *fileLane) start() {
	f.left = 20
	f.w.set(f.read, f.write, false)
}

func (f *fileLane) read() {
	n, err := unix.Pread(f.fd, f.buf[:min(int64(len(f.buf)), f.wrote-f.got)], f.got) // older bytes lie behind
	if f.rep.must("file: read", err) && n > 0 {
		f.got += int64(n)
		f.lane.take(f.buf[:n])
	}
	if f.left > 0 || f.got != f.wrote {
		return
	}
	f.w.close()
	f.wrote, f.got = 0, 0 // or the file would grow forever
	if !f.paused.Load() {
		f.rep.must("file", f.begin.Reset(5*time.Millisecond))
	}
}

func (f *fileLane) write() {
	if f.left--; f.left < 0 {
		return
	}
	b := make([]byte, 1+f.random.IntN(512))
	f.lane.out.fill(b)
	n, err := unix.Pwrite(f.fd, b, f.wrote)
	if f.rep.must("file: write", err) && n == len(b) {
		f.wrote += int64(n)
		f.lane.debt.sent.Add(uint64(n))
	}
}
