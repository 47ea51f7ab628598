package aio

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/epoll"
)

// Which event calls which callback. Each case makes descriptors with an event on
// the first, with callbacks for both directions unless it says otherwise.
func TestEventsCallTheirCallbacks(t *testing.T) {
	cases := []struct {
		name        string
		make        func(t *testing.T) int
		read, write bool // which callbacks the handler has
		want        []string
	}{
		{"readable", func(t *testing.T) int {
			a, b := sockets(t)
			fill(t, a)
			write(t, b, "x")
			return a
		}, true, true, []string{"read"}},
		{"writable", func(t *testing.T) int { a, _ := sockets(t); return a }, true, true, []string{"write"}},
		{"both", func(t *testing.T) int {
			a, b := sockets(t)
			write(t, b, "x")
			return a
		}, true, true, []string{"read", "write"}},
		{"end of file", func(t *testing.T) int {
			r, w := pipe(t)
			must(t, unix.Close(dupOver(t, w)))
			return r
		}, true, false, []string{"read"}},
		{"hang-up of a socket", func(t *testing.T) int {
			a, b := sockets(t)
			fill(t, a)
			must(t, unix.Shutdown(b, unix.SHUT_RDWR))
			return a
		}, true, false, []string{"read"}},
		{"error, write only", func(t *testing.T) int {
			r, w := pipe(t)
			fill(t, w)
			must(t, unix.Close(dupOver(t, r)))
			return w
		}, false, true, []string{"write"}},
		{"error, both", func(t *testing.T) int {
			r, w := pipe(t)
			fill(t, w)
			must(t, unix.Close(dupOver(t, r)))
			return w
		}, true, true, []string{"read", "write"}},
		{"nothing", func(t *testing.T) int { r, _ := pipe(t); return r }, true, true, nil},
		{"readable, write only", func(t *testing.T) int {
			a, b := sockets(t)
			fill(t, a)
			write(t, b, "x")
			return a
		}, false, true, nil},
		{"writable, read only", func(t *testing.T) int { a, _ := sockets(t); return a }, true, false, nil},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				c := newLoop()
				fd := tc.make(t)
				var ran journal
				var cb Callbacks
				if tc.read {
					cb.Read = ignoring(ran.note("read"))
				}
				if tc.write {
					cb.Write = ignoring(ran.note("write"))
				}
				watch(t, c, fd, cb)
				if turn(t, c) != (tc.want != nil) {
					t.Error("progress is wrong")
				}
				ran.expect(t, tc.want...)
			})
		}
	})
}

// fill writes until no more fits.
func fill(t testing.TB, fd int) {
	t.Helper()
	b := make([]byte, 4096)
	for size := len(b); size > 0; {
		if _, err := unix.Write(fd, b[:size]); err == unix.EAGAIN {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// dupOver moves fd to a new number, so that closing it does not free one that the
// end of the test closes again; the old number leads to /dev/null from here on.
func dupOver(t testing.TB, fd int) int {
	t.Helper()
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Dup3(null, fd, unix.O_CLOEXEC))
	must(t, unix.Close(null))
	return moved
}

// pty returns the master of a pseudo-terminal whose other end is closed and whose
// buffer is full: it reports a hang-up and nothing else.
func hungUpPTY(t testing.TB) int {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	owned(t, m, nil)
	must(t, unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0))
	peer, err := unix.IoctlRetInt(m, unix.TIOCGPTPEER)
	if err != nil {
		t.Skip("TIOCGPTPEER:", err)
	}
	must(t, unix.Close(peer))
	return m
}

// Events that no handler asked for call nothing, and the loop sleeps all the same.
func TestUnaskedEventsDoNotSpin(t *testing.T) {
	cases := map[string]func(t *testing.T, c *Context){
		"read only, writable": func(t *testing.T, c *Context) {
			a, _ := sockets(t)
			watch(t, c, a, Callbacks{Read: func(*Handler) { t.Error("Read was called") }})
		},
		"write only, hung up": func(t *testing.T, c *Context) {
			r, w := pipe(t) // a read end reports the hang-up of its write end
			must(t, unix.Close(dupOver(t, w)))
			watch(t, c, r, Callbacks{Write: func(*Handler) { t.Error("Write was called") }})
		},
		"write only, readable": func(t *testing.T, c *Context) {
			r, w := pipe(t)
			write(t, w, "x")
			watch(t, c, r, Callbacks{Write: func(*Handler) { t.Error("Write was called") }})
		},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, prepare := range cases {
			t.Run(name, func(t *testing.T) {
				c := newLoop()
				prepare(t, c)
				restsFor(t, c, 30*time.Millisecond)
			})
		}
	})
}

// restsFor fails if c goes round more than a few times within d.
func restsFor(t testing.TB, c *Context, d time.Duration) {
	t.Helper()
	over := false
	timer := c.NewTimer(Realtime, func() { over = true })
	must(t, timer.Reset(d))
	before := c.Stats().Iterations
	pollUntil(t, c, func() bool { return over })
	if n := c.Stats().Iterations - before; n > 20 {
		t.Errorf("%d iterations in %v", n, d)
	}
}

// A pseudo-terminal's master that is watched for writing only, while no one has
// its other end open: writable as long as there is room, then hung up and nothing
// else, which must not spin.
func TestWriteOnlyHandlerOfAHungUpTerminal(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		m := hungUpPTY(t)
		var h *Handler
		full := make([]byte, 4096)
		h = watch(t, c, m, Callbacks{Write: func(*Handler) {
			if _, err := unix.Write(m, full); err != nil { // EAGAIN, EIO: no more room
				_ = h.Close()
			}
		}})
		for range 1000 {
			if !turn(t, c) {
				break
			}
		}
		restsFor(t, c, 20*time.Millisecond)
	})
}

// A handler that was put aside because of a hang-up that no handler asked for is back as
// soon as a handler asks.
func TestChangeBringsBackAHandlerThatWasHungUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		must(t, unix.Close(dupOver(t, w)))
		h := watch(t, c, r, Callbacks{Write: func(*Handler) { t.Error("Write was called") }})
		turn(t, c)
		turn(t, c)
		_, err := c.Watch(r, Callbacks{Read: func(*Handler) { t.Error("a second Read was called") }})
		wantError(t, err, unix.EEXIST) // it is still that handler's
		n, others := notifier(t), 0
		watchNotifier(t, c, n, func() { others++ }) // what is put aside does not keep others away
		must(t, n.Set())
		if settle(t, c); others != 1 {
			t.Errorf("another handler was called %d times", others)
		}
		ran := 0
		must(t, h.Change(Callbacks{Read: func(*Handler) { ran++ }}))
		if !turn(t, c) || ran != 1 {
			t.Errorf("Read was called %d times", ran)
		}
		must(t, h.Close())
		for range 2 { // gone once it is closed, put aside as it is
			h := watch(t, c, r, Callbacks{Write: func(*Handler) { t.Error("Write was called") }})
			turn(t, c)
			turn(t, c)
			must(t, h.Close())
		}
	})
}

// A late hang-up is no reason to forget a handler that has been given a Read.
func TestHandlerReplacedInTheBatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		var ran journal
		handlers := make([]*Handler, 2)
		for i := range handlers {
			r, w := pipe(t)
			write(t, w, "x")
			handlers[i] = watch(t, c, r, Callbacks{Read: func(*Handler) {
				ran.add("old")
				other := handlers[1-i]
				must(t, other.Change(Callbacks{Read: ignoring(ran.note("new"))}))
				must(t, handlers[i].Close())
			}})
		}
		turn(t, c) // both are ready: whichever is first replaces the other
		ran.expect(t, "old", "new")
	})
}

// Nor is one from before a Change a reason to forget a handler that there is something
// for now: of this socket the kernel told that the other end is closed, when there was a
// Read, and it is writable.
func TestHangUpFromBeforeAChange(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		wrote := false
		h := watch(t, c, a, Callbacks{Read: func(*Handler) { t.Error("the old Read was called") }})
		turn(t, c)
		must(t, unix.Shutdown(b, unix.SHUT_RDWR))
		must(t, c.ScheduleOnce(func() { // after the event was collected, before its turn has come
			must(t, h.Change(Callbacks{Write: func(*Handler) { wrote = true }}))
		}))
		pollUntil(t, c, func() bool { return wrote })
	})
}

func TestHandlerClosedInTheBatch(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		handlers := make([]*Handler, 2)
		for i := range handlers {
			r, w := pipe(t)
			write(t, w, "x")
			handlers[i] = watch(t, c, r, Callbacks{Read: func(*Handler) {
				if ran++; ran == 1 {
					must(t, handlers[1-i].Close())
				}
			}})
		}
		turn(t, c)
		turn(t, c)
		if ran != 2 { // the survivor, twice: its descriptor stays ready
			t.Errorf("%d calls, want 2 of the same handler", ran)
		}
	})
}

func TestReadThatClosesItsHandlerIsNotFollowedByWrite(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, how := range []string{"close", "change"} {
			t.Run(how, func(t *testing.T) {
				c := newLoop()
				a, b := sockets(t)
				write(t, b, "x")
				var h *Handler
				var ran journal
				h = watch(t, c, a, Callbacks{
					Read: func(*Handler) {
						ran.add("read")
						if how == "close" {
							must(t, h.Close())
						} else {
							must(t, h.Change(Callbacks{Write: ignoring(ran.note("new write"))}))
						}
					},
					Write: func(*Handler) { t.Error("the old Write was called") },
				})
				turn(t, c)
				if ran[0] != "read" || len(ran) > 1 && how == "close" {
					t.Errorf("ran %q", ran)
				}
			})
		}
	})
}

func TestChangeTakesEffect(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		var ran journal
		h := watch(t, c, a, Callbacks{Read: ignoring(ran.note("read"))})
		if h.FD() != a {
			t.Errorf("FD is %d", h.FD())
		}
		turn(t, c)
		ran.expect(t)
		must(t, h.Change(Callbacks{Write: ignoring(ran.note("write"))}))
		turn(t, c)
		ran.expect(t, "write")
		must(t, h.Change(Callbacks{Read: ignoring(ran.note("read 2"))}))
		turn(t, c)
		ran.expect(t)
		write(t, b, "x")
		turn(t, c)
		ran.expect(t, "read 2")
	})
}

// Edge: a call per change, at least one, and not for as long as it holds where
// the backend has edges.
func TestEdgeHandlerIsCalledPerChange(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		ran := 0
		watch(t, c, r, Callbacks{Edge: true, Read: func(*Handler) { ran++ }})
		for i := 1; i <= 5; i++ {
			before := ran
			write(t, w, "x")
			if block(t, c); ran == before {
				t.Fatalf("change %d called nothing", i)
			}
		}
		settled := ran
		if !c.port.edge {
			return // by level: "there may be more calls than that"
		}
		settle(t, c)
		if ran != settled || ran != 5 {
			t.Errorf("%d calls for 5 changes, %d more without any", settled, ran-settled)
		}
	})
}

func TestWatchThatFailsLeavesNothingBehind(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		r, w := pipe(t)
		watch(t, c, r, Callbacks{Read: func(*Handler) { read(r, 1) }})
		for range 10 {
			_, err := c.Watch(r, Callbacks{Read: func(*Handler) { t.Error("the refused one ran") }})
			wantError(t, err, unix.EEXIST)
		}
		write(t, w, "x")
		if !turn(t, c) || turn(t, c) {
			t.Error("the first handler does not work as before")
		}
		if !strings.Contains(errorOf(c.Watch(r, Callbacks{Read: func(*Handler) {}})), "registered already") {
			t.Error("the error does not say what to do")
		}
	})
}

func errorOf(_ *Handler, err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A handler that another goroutine has changed just before it is put aside stays, if it has a
// callback for what has happened.
func TestHandlerThatIsDueIsNotPutAside(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, cb := range map[string]func(f func()) Callbacks{
			"Read":  func(f func()) Callbacks { return Callbacks{Read: ignoring(f)} },
			"Write": func(f func()) Callbacks { return Callbacks{Write: ignoring(f)} },
		} {
			c := newLoop()
			a, b := sockets(t)
			write(t, b, "x")
			ran := 0
			h := watch(t, c, a, cb(func() { ran++ }))
			h.unwatch()
			if turn(t, c); ran != 1 {
				t.Errorf("%s was called %d times", name, ran)
			}
			must(t, h.Close())
		}
	})
}

// An event that no callback is for any more, because of a Change, puts the handler aside only if
// it would be reported forever.
func TestChangedHandlerIsNotPutAside(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		fill(t, a)
		write(t, b, "x")
		h := watch(t, c, a, Callbacks{Read: func(*Handler) { t.Error("the old Read was called") }})
		ran := 0
		must(t, c.ScheduleOnce(func() { must(t, h.Change(Callbacks{Write: func(*Handler) { ran++ }})) }))
		if turn(t, c); ran != 0 {
			t.Fatal("Write was called without room to write")
		}
		for read(b, 1<<16) != "" {
		}
		for end := time.Now().Add(prompt); ran == 0 && time.Now().Before(end); {
			turn(t, c)
		}
		if ran == 0 {
			t.Error("Write was not called")
		}
	})
}

// slowPoller does not return from Add until the loop has handled an event of the new handler.
type slowPoller struct {
	*epoll.Poller
	handled <-chan struct{} // nil: Add does not wait
}

func (p *slowPoller) Add(fd int, events backend.Events, tag backend.Tag) error {
	err := p.Poller.Add(fd, events, tag)
	if p.handled != nil {
		select {
		case <-p.handled:
		case <-time.After(prompt):
		}
	}
	return err
}

// An event may come before Add has returned, to a loop that sleeps while another goroutine
// calls Watch. The kernel reports an edge once, so it finds its handler or is lost.
func TestEventBeforeAddReturns(t *testing.T) {
	inner, err := epoll.New()
	must(t, err)
	p := &slowPoller{Poller: inner}
	c, err := New(WithPoller(p))
	must(t, err)
	t.Cleanup(func() { closeLoop(t, c) })
	turn(t, c)
	n := notifier(t)
	must(t, n.Set())
	handled := make(chan struct{})
	p.handled = handled
	var h *Handler
	watched := make(chan error, 1)
	go func() {
		var err error
		h, err = c.Watch(n.FD(), Callbacks{Read: func(*Handler) { close(handled) }, Edge: true})
		watched <- err
		c.Notify()
	}()
	pollUntil(t, c, func() bool { return len(watched) > 0 })
	must(t, <-watched)
	settle(t, c)
	select {
	case <-handled:
	default:
		t.Error("the event is lost")
	}
	must(t, h.Close())
}
