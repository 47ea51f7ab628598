package aio

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The rows of TRAPS.md about descriptors that can be seen through a Context. The
// conformance suite of the backends has them once more, closer to the kernel.

// A handler that takes 1 byte of 100 per call is called a hundred times.
func TestTrap06_PartialReadIsCalledAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		got := 0
		watch(t, c, r, Callbacks{Read: func(*Handler) { got += len(read(r, 1)) }})
		write(t, w, string(make([]byte, 100)))
		for i := 1; i <= 100; i++ {
			if block(t, c); got != i {
				t.Fatalf("%d bytes after %d iterations", got, i)
			}
		}
		if turn(t, c) {
			t.Error("called with nothing to read")
		}
	})
}

// A hang-up is reported together with what was sent before it: the handler goes on until
// it has taken all of that.
func TestTrap06_WhatWasSentBeforeAHangUpIsRead(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		near, far := sockets(t)
		got, ended := 0, false
		h := watch(t, c, near, Callbacks{Read: func(*Handler) {
			var b [1]byte
			n, err := unix.Read(near, b[:])
			got += max(n, 0)
			ended = n == 0 && err == nil
		}})
		write(t, far, string(make([]byte, 100)))
		must(t, unix.Shutdown(far, unix.SHUT_RDWR))
		pollUntil(t, c, func() bool { return ended })
		if got != 100 {
			t.Errorf("%d bytes of 100 before the end", got)
		}
		must(t, h.Close())
	})
}

// One set of a notifier is one dispatch, though no one reads it.
func TestTrap07_OneWriteIsOneDispatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		for i := 1; i <= 100; i++ {
			must(t, n.Set())
			if !block(t, c) || ran != i {
				t.Fatalf("%d calls after %d sets", ran, i)
			}
		}
		restsFor(t, c, 20*time.Millisecond)
		if ran != 100 {
			t.Errorf("%d calls for 100 sets", ran)
		}
		if s := c.Stats(); s.Reads != 100 {
			t.Errorf("counted as %d", s.Reads)
		}
	})
}

// Readiness can be spurious. A handler of a non-blocking descriptor survives it.
func TestTrap08_SpuriousReadiness(t *testing.T) {
	for _, b := range realBackends {
		t.Run("backend="+b.String(), func(t *testing.T) {
			inner, _, err := b.open(ModeThread)
			if err != nil {
				t.Skip(err)
			}
			lockThread(t)
			p := &scriptedPoller{Poller: inner}
			c, err := New(WithPoller(p))
			must(t, err)
			t.Cleanup(func() { closeLoop(t, c) })
			r, w := pipe(t)
			got := 0
			watch(t, c, r, Callbacks{Read: func(*Handler) { got += len(read(r, 8)) }})
			p.invent = p.readable(r)
			turn(t, c)
			if c.Stats().Reads != 1 || got != 0 {
				t.Errorf("%d calls, %d bytes: the spurious event was not delivered", c.Stats().Reads, got)
			}
			write(t, w, "x")
			if block(t, c); got != 1 {
				t.Error("the handler does not work any more")
			}
		})
	}
}

// Nothing in the library changes a descriptor's flags.
func TestTrap09_FlagsStayAsTheyAre(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		for _, flag := range []int{0, unix.O_NONBLOCK} {
			var p [2]int
			must(t, unix.Pipe2(p[:], unix.O_CLOEXEC|flag))
			r, w := owned(t, p[0], nil), owned(t, p[1], nil)
			h := watch(t, c, r, Callbacks{Read: func(*Handler) { read(r, 1) }})
			write(t, w, "x")
			block(t, c)
			must(t, h.Close())
			if got, err := unix.FcntlInt(uintptr(r), unix.F_GETFL, 0); err != nil || got&unix.O_NONBLOCK != flag {
				t.Errorf("flags %#x, %v; want O_NONBLOCK %#x", got, err, flag)
			}
		}
	})
}

// A duplicate keeps the open file alive; after Close of the handler it reports nothing.
func TestTrap10_NoEventsAfterCloseOfADuplicatedDescriptor(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var p [2]int
		must(t, unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC))
		w := owned(t, p[1], nil)
		dup, err := unix.FcntlInt(uintptr(p[0]), unix.F_DUPFD_CLOEXEC, 0)
		owned(t, dup, err)
		h := watch(t, c, p[0], Callbacks{Read: func(*Handler) { t.Error("a closed handler ran") }})
		turn(t, c)
		must(t, h.Close())
		must(t, unix.Close(p[0]))
		write(t, w, "x")
		restsFor(t, c, 10*time.Millisecond)
	})
}

// Once a handler and its descriptor are closed, the peer sees the end of file at
// once: no request of the kernel's still holds the file.
func TestTrap11_PeerSeesEndOfFileAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var p [2]int
		must(t, unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC))
		r := owned(t, p[0], nil)
		h, err := c.Watch(p[1], Callbacks{Write: func(*Handler) {}})
		must(t, err)
		turn(t, c)
		must(t, h.Close())
		must(t, unix.Close(p[1]))
		if n, err := unix.Read(r, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the peer reads %d, %v; want the end of file", n, err)
		}
	})
}

// A number that is closed, opened and watched again in the middle of a batch must
// not bring the old event to the new handler, nor the old handler to life.
func TestTrap12_NumberReusedInTheMiddleOfABatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		var fds [2]int
		var handlers [2]*Handler
		for i := range fds {
			n, err := unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
			fds[i] = owned(t, n, err)
			handlers[i] = watch(t, c, n, Callbacks{Read: func(*Handler) {
				if ran++; ran > 1 {
					t.Error("both old handlers ran")
				}
				other := 1 - i
				must(t, handlers[other].Close())
				reopen(t, fds[other])
				watch(t, c, fds[other], Callbacks{Read: func(*Handler) { t.Error("the new handler got the old event") }})
				read(fds[i], 8)
			}})
		}
		turn(t, c)
		turn(t, c)
		if ran != 1 {
			t.Errorf("%d calls", ran)
		}
	})
}

// A Poller that reports an event of a registration that is gone, for a handler that
// has its place in the table, or its descriptor, now.
func TestTrap12_LateEventOfAPoller(t *testing.T) {
	inner, _, err := Ppoll.open(ModeThread)
	must(t, err)
	p := &scriptedPoller{Poller: inner}
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	n := notifier(t)
	h := watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { t.Error("the old handler ran") }})
	late := p.readable(n.FD())
	must(t, h.Close())
	p.invent = late
	turn(t, c)
	watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { t.Error("the new handler got the old event") }})
	p.invent = late
	turn(t, c)
}

// reopen puts a new eventfd that is not ready in the place of fd.
func reopen(t testing.TB, fd int) {
	t.Helper()
	fresh, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	must(t, err)
	must(t, unix.Close(fd))
	must(t, unix.Dup3(fresh, fd, unix.O_CLOEXEC))
	must(t, unix.Close(fresh))
}

// What a Watch accepts, and what it then says, does not depend on the backend.
func TestTrap21_KindsOfDescriptors(t *testing.T) {
	kinds := map[string]struct {
		open  func(t *testing.T) int
		ready bool
	}{
		"regular file": {func(t *testing.T) int { return openFile(t, filepath.Join(t.TempDir(), "file")) }, true},
		"/dev/null":    {func(t *testing.T) int { return openFile(t, "/dev/null") }, true},
		"tty":          {openTTY, false},
		"pipe":         {func(t *testing.T) int { r, _ := pipe(t); return r }, false},
		"socket":       {func(t *testing.T) int { a, _ := sockets(t); return a }, false},
		"eventfd": {func(t *testing.T) int {
			fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
			return owned(t, fd, err)
		}, false},
		"timerfd": {func(t *testing.T) int {
			fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
			return owned(t, fd, err)
		}, false},
		"signalfd": {func(t *testing.T) int {
			var mask unix.Sigset_t
			fd, err := unix.Signalfd(-1, &mask, unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
			return owned(t, fd, err)
		}, false},
		"inotify": {func(t *testing.T) int {
			fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
			return owned(t, fd, err)
		}, false},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, kind := range kinds {
			t.Run(name, func(t *testing.T) {
				c := newLoop()
				fd := kind.open(t)
				ran := 0
				h := watch(t, c, fd, Callbacks{Read: func(*Handler) { ran++ }})
				for range 3 {
					turn(t, c)
				}
				if want := map[bool]int{true: 3}[kind.ready]; ran != want {
					t.Errorf("%d calls in 3 iterations, want %d", ran, want)
				}
				must(t, h.Close())
				turn(t, c)
			})
		}
	})
}

func openFile(t testing.TB, path string) int {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	return owned(t, fd, err)
}

func openTTY(t *testing.T) int {
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	owned(t, m, nil)
	must(t, unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0))
	peer, err := unix.IoctlRetInt(m, unix.TIOCGPTPEER)
	return owned(t, peer, err)
}

// A descriptor that is always ready, one that is busy and a bottom half: each gets
// its turn in each iteration.
func TestAlwaysReadyDescriptorsStarveNobody(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var files, events int
		watch(t, c, openFile(t, "/dev/null"), Callbacks{Write: func(*Handler) { files++ }})
		n := notifier(t)
		must(t, n.Set())
		watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { events++ }})
		for i := 1; i <= 10; i++ {
			if block(t, c); files != i || events != i {
				t.Fatalf("after %d iterations: file %d, event %d", i, files, events)
			}
		}
	})
}
