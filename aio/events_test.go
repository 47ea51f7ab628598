package aio

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A callback may run before Watch has returned on the goroutine that called it.
func TestTrap41_CallbackGetsItsHandler(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		start(t, c)
		for range 50 {
			a, b := sockets(t)
			write(t, b, "x")
			closed := make(chan error, 1)
			h, err := c.Watch(a, Callbacks{Read: func(h *Handler) { closed <- h.Close() }})
			must(t, err)
			select {
			case err := <-closed:
				must(t, err)
			case <-time.After(patience):
				t.Fatal("Read was not called")
			}
			wantError(t, h.Close(), ErrClosed)
		}
	})
}

// What Events tells in each callback, for what happens on a descriptor.
func TestEventsTellWhatHasHappened(t *testing.T) {
	cases := map[string]struct {
		make func(t *testing.T) int
		want string
	}{
		"data": {func(t *testing.T) int {
			a, b := sockets(t)
			fill(t, a)
			write(t, b, "x")
			return a
		}, "Read: in"},
		"room": {func(t *testing.T) int { a, _ := sockets(t); return a }, "Write: out"},
		"data and room": {func(t *testing.T) int {
			a, b := sockets(t)
			write(t, b, "x")
			return a
		}, "Read: in|out, Write: in|out"},
		"no more data": {func(t *testing.T) int {
			a, b := sockets(t)
			fill(t, a)
			must(t, unix.Shutdown(b, unix.SHUT_WR))
			return a
		}, "Read: in|rdhup"},
		"hang-up": {func(t *testing.T) int {
			r, w := pipe(t)
			must(t, unix.Close(dupOver(t, w)))
			return r
		}, "Read: hup"},
		"error": {func(t *testing.T) int {
			r, w := pipe(t)
			fill(t, w)
			must(t, unix.Close(dupOver(t, r)))
			return w
		}, "Read: err, Write: err"},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				c := newLoop()
				var got []string
				note := func(kind string) func(*Handler) {
					return func(h *Handler) { got = append(got, fmt.Sprintf("%s: %v", kind, h.Events())) }
				}
				h := watch(t, c, test.make(t), Callbacks{Read: note("Read"), Write: note("Write")})
				block(t, c)
				must(t, h.Close())
				if strings.Join(got, ", ") != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		}
	})
}

// A hang-up that comes between the calls of Read and Write is not lost, and each call is told.
func TestEventsOfANestedPoll(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		write(t, b, "x")
		var got []string
		h := watch(t, c, a, Callbacks{
			Read: func(h *Handler) {
				got = append(got, "read")
				if len(got) == 1 {
					turn(t, c)
				}
			},
			Write: func(h *Handler) {
				got = append(got, "write")
				if !h.Events().Writable() {
					t.Errorf("Write is told %v", h.Events())
				}
			},
		})
		turn(t, c)
		must(t, h.Close())
		if i := slices.Index(got, "write"); got[0] != "read" || i < 1 {
			t.Errorf("called: %q", got)
		}
	})
}

func TestWantChoosesWhatIsCalled(t *testing.T) {
	for _, edge := range []bool{false, true} {
		t.Run(fmt.Sprint("edge=", edge), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				a, b := sockets(t)
				write(t, b, "x")
				var ran journal
				h := watch(t, c, a, Callbacks{Read: ignoring(ran.note("read")), Write: ignoring(ran.note("write")), Edge: edge})
				for _, step := range []struct {
					read, write bool
					want        []string
				}{
					{true, true, []string{"read", "write"}}, {true, false, []string{"read"}},
					{false, true, []string{"write"}}, {true, true, []string{"read", "write"}},
				} {
					must(t, h.Want(step.read, step.write))
					turn(t, c)
					ran.expect(t, step.want...)
					ran = nil
				}
			})
		})
	}
}

// What is not wanted any more is not called, even if its event was collected.
func TestWantTakesBackWhatWasCollected(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, b := sockets(t)
		write(t, b, "x")
		writes := 0
		h := watch(t, c, a, Callbacks{
			Read:  func(h *Handler) { must(t, h.Want(true, false)) },
			Write: func(*Handler) { writes++ },
		})
		turn(t, c)
		if writes != 0 {
			t.Error("Write was called, and is not wanted")
		}
		must(t, h.Want(false, true))
		if turn(t, c); writes == 0 {
			t.Error("Write was not called, and is wanted again")
		}
	})
}

func TestWantWithoutACallback(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		a, _ := sockets(t)
		h := watch(t, c, a, Callbacks{Read: func(*Handler) {}})
		wantError(t, h.Want(true, true), ErrNoCallback)
		wantError(t, h.Want(false, true), ErrNoCallback)
		err := h.Want(false, false)
		wantError(t, err, ErrNoCallback)
		if !strings.Contains(err.Error(), "Close ends the watch") {
			t.Errorf("%v: does not say what to do", err)
		}
		must(t, h.Want(true, false))
		must(t, h.Close())
		wantError(t, h.Want(true, false), ErrClosed)
	})
}

// A handler with Priority may want neither of the others.
func TestWantPriorityOnly(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		needPriority(t, c)
		a, b := sockets(t)
		write(t, b, "x")
		h := watch(t, c, a, Callbacks{Read: func(*Handler) { t.Error("Read is not wanted") }, Priority: func(*Handler) {}})
		must(t, h.Want(false, false))
		turn(t, c)
	})
}

// A hang-up without a callback would be reported forever: the handler is told, and can go on.
func TestUnwatchedHandlerIsToldAndResumes(t *testing.T) {
	resume := map[string]func(h *Handler, cb Callbacks) error{
		"Want":   func(h *Handler, _ Callbacks) error { return h.Want(true, false) },
		"Change": func(h *Handler, cb Callbacks) error { return h.Change(cb) },
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for name, resume := range resume {
			c := newLoop()
			needPriority(t, c)
			told, reads := 0, 0
			cb := Callbacks{
				Read:      func(h *Handler) { reads++; must(t, h.Close()) },
				Priority:  func(*Handler) {},
				Unwatched: func(*Handler) { told++ },
			}
			r, w := pipe(t)
			h := watch(t, c, r, cb)
			must(t, h.Want(false, false))
			if !h.Watched() {
				t.Error("it is not watched at first")
			}
			must(t, unix.Close(dupOver(t, w)))
			for end := time.Now().Add(prompt); told == 0 && time.Now().Before(end); {
				turn(t, c)
			}
			if told != 1 || h.Watched() || reads != 0 {
				t.Fatalf("Unwatched was called %d times, watched %v, %d reads", told, h.Watched(), reads)
			}
			if turn(t, c) {
				t.Error("the loop does not rest")
			}
			must(t, resume(h, cb))
			block(t, c)
			if reads != 1 || h.Watched() {
				t.Errorf("after %s: %d reads", name, reads)
			}
		}
	})
}

// A loop that polls sees what Set writes, without a system call, on each backend.
func TestPollingSeesANotifier(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		for i := range 3 {
			openWindow(c, longWindow.Max)
			timer := time.AfterFunc(time.Millisecond, func() { _ = n.Set() })
			pollUntil(t, c, func() bool { return ran == i+1 })
			timer.Stop()
		}
		if c.Stats().PollHits == 0 {
			t.Error("it was found in the kernel")
		}
		for range 3 {
			turn(t, c)
		}
		hits, fired := c.Stats().PollHits, false
		must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(2*time.Millisecond))
		pollUntil(t, c, func() bool { return fired })
		if more := c.Stats().PollHits - hits; more > 5 {
			t.Errorf("%d hits after the last set", more)
		}
		if ran != 3 {
			t.Errorf("%d calls for 3 sets", ran)
		}
	})
}

// What sets a notifier without Set shows in the kernel only.
func TestPollingDoesNotMissWhatOnlyTheKernelSees(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithPolling(Polling{Max: 50 * µs}))
		n := notifier(t)
		ran := 0
		watchNotifier(t, c, n, func() { ran++ })
		for i := range 3 {
			write(t, n.FD(), "\x01\x00\x00\x00\x00\x00\x00\x00")
			pollUntil(t, c, func() bool { return ran == i+1 })
		}
	})
}

func TestWatchNotifierWithHooks(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		n := notifier(t)
		requests := 0
		var ran journal
		h, err := c.WatchNotifier(n, Callbacks{
			Read:      ignoring(ran.note("read")),
			Poll:      func() bool { return requests > 0 },
			PollReady: func() { requests = 0; ran.add("poll ready") },
			PollBegin: ran.note("begin"), PollEnd: ran.note("end"),
		})
		must(t, err)
		requests = 1
		block(t, c)
		if !slices.Equal(ran, journal{"begin", "end", "poll ready"}) && !slices.Equal(ran, journal{"begin", "poll ready"}) {
			t.Errorf("called: %q", ran)
		}
		must(t, h.Close())
	})
}

func TestNotifierRefusesWriteAndPriority(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		nothing := func(*Handler) {}
		for _, cb := range []Callbacks{{Read: nothing, Write: nothing}, {Read: nothing, Priority: nothing}, {Write: nothing}} {
			if _, err := c.WatchNotifier(n, cb); err == nil || !strings.Contains(err.Error(), "Read") {
				t.Errorf("%v", err)
			}
		}
		_, err := c.WatchNotifier(n, Callbacks{Write: nothing})
		wantError(t, err, ErrNoCallback)
	})
}

// The new callbacks of a notifier's handler need not clear it either.
func TestChangeOfANotifiersHandler(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		n := notifier(t)
		h := watchNotifier(t, c, n, func() { t.Error("the old callback was called") })
		ran := 0
		must(t, h.Change(Callbacks{Read: func(*Handler) { ran++ }}))
		must(t, n.Set())
		block(t, c)
		for range 3 {
			turn(t, c)
		}
		if ran != 1 {
			t.Errorf("%d calls for one set", ran)
		}
		if h.Change(Callbacks{Read: func(*Handler) {}, Write: func(*Handler) {}}) == nil {
			t.Error("Write of a notifier was accepted")
		}
	})
}

// A handler whose Read is not wanted is not asked either: it would keep the loop awake for nothing.
func TestWantStopsPolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		a, _ := sockets(t)
		fill(t, a)
		h := watch(t, c, a, Callbacks{
			Read: func(*Handler) { t.Error("Read is not wanted") }, Write: func(*Handler) {},
			Poll: func() bool { t.Error("Poll is asked"); return false },
		})
		must(t, h.Want(false, true))
		fired := false
		must(t, c.NewTimer(Realtime, func() { fired = true }).Reset(time.Millisecond))
		pollUntil(t, c, func() bool { return fired })
		must(t, h.Close())
	})
}
