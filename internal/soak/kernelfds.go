//go:build linux

package main

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// temporary is a regular file without a name.
func temporary() (fd int, err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return -1, err
	}
	defer os.RemoveAll(dir)
	return unix.Open(filepath.Join(dir, "file"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
}

// sums is an eventfd that adds up numbers: what is read is what was written.
func sums(s *station) error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	d := s.newDebt("sum of an eventfd")
	w := &watcher{station: s, name: "eventfd", fd: fd}
	var read func()
	read = func() {
		if n, ok := s.readCounter(d.name, fd); ok {
			d.pay(int(n))
		}
		w.again(read, nil, false)
	}
	add := func(n uint64) {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], n)
		_, err := unix.Write(fd, b[:])
		s.rep.must(d.name, err)
	}
	for range 2 {
		s.producer(func(r *rand.Rand) {
			n := 1 + r.Uint64N(100)
			d.sent.Add(n)
			add(n)
		})
	}
	s.singles = append(s.singles, single{d, func() { add(1) }})
	s.resumers = append(s.resumers, func() { w.set(read, nil, false) })
	s.closers = append(s.closers, func() {
		w.close()
		s.closeFDs(fd)
	})
	return nil
}

// readCounter reads an eventfd or a timerfd.
func (s *station) readCounter(what string, fd int) (n uint64, ok bool) {
	var b [8]byte
	if _, err := unix.Read(fd, b[:]); err == unix.EAGAIN || !s.rep.must(what, err) {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b[:]), true
}

// alarms is a timerfd that is set again each time that it has expired.
func alarms(s *station) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return err
	}
	d := s.newDebt("timerfd")
	w := &watcher{station: s, name: d.name, fd: fd}
	set := func() {
		d.sent.Add(1)
		at := unix.NsecToTimespec(int64(time.Microsecond) * int64(1+s.random.IntN(2000)))
		s.rep.must(d.name, unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: at}, nil))
	}
	var read func()
	read = func() {
		n, ok := s.readCounter(d.name, fd)
		if !ok {
			return
		}
		if n != 1 {
			s.rep.fail("%s: a timerfd has expired %d times, it was set once", s.name, n)
		}
		d.pay(1)
		s.rep.counts.timers.Add(1)
		w.again(read, nil, false)
		if !s.paused.Load() {
			set()
		}
	}
	s.resumers = append(s.resumers, func() {
		w.set(read, nil, false)
		set()
	})
	s.closers = append(s.closers, func() {
		w.close()
		s.closeFDs(fd)
	})
	return nil
}
