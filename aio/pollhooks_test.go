package aio

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// The hooks of a device, all of which write down that they were called.
func (j *journal) hooks(poll func() bool) Callbacks {
	return Callbacks{
		Read:      ignoring(j.note("read")),
		PollReady: j.note("ready"),
		PollBegin: j.note("begin"),
		PollEnd:   j.note("end"),
		Poll:      func() bool { j.add("poll"); return poll() },
	}
}

func nothing() bool { return false }

func TestPollBeginAndEndArePairs(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 100*µs)
		var ran journal
		watch(t, c, notifier(t).FD(), ran.hooks(nothing))
		waitForATimer(t, c, func() bool {
			openWindow(c, 100*µs)
			return slices.Contains(ran, "begin")
		})
		if !slices.Contains(ran, "begin") {
			t.Fatal("it did not poll")
		}
		checkPairs(t, ran)
		if n := len(ran); ran[n-2] != "end" || ran[n-1] != "poll" {
			t.Errorf("ends with %q, want one last poll after end", ran[n-2:])
		}
		before := len(ran)
		if turn(t, c); len(ran) != before {
			t.Errorf("%q in an iteration that does not poll", ran[before:])
		}
	})
}

// checkPairs fails unless begin and end alternate, and every end is followed by
// one last poll.
func checkPairs(t *testing.T, ran journal) {
	t.Helper()
	begun := false
	for i, what := range ran {
		switch what {
		case "begin":
			if begun {
				t.Fatalf("two begins in %q", ran)
			}
			begun = true
		case "end":
			if !begun {
				t.Fatalf("an end without a begin in %q", ran)
			}
			begun = false
			if i+1 < len(ran) && ran[i+1] != "poll" {
				t.Fatalf("no last poll after end in %q", ran)
			}
		}
	}
	if begun {
		t.Fatalf("a begin without an end in %q", ran)
	}
}

func TestPollFindsAnEvent(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var ran journal
		there := 3 // the device has something at the third look, twice
		h := watch(t, c, notifier(t).FD(), ran.hooks(func() bool { there--; return there == 0 }))
		if !block(t, c) {
			t.Error("what Poll has found is no progress")
		}
		ran.expect(t, "begin", "poll", "poll", "poll", "ready")
		s := c.Stats()
		if s.PollHits != 1 || s.PollReadies != 1 || s.Sleeps != 0 || s.Reads != 0 {
			t.Errorf("counted as %+v", s)
		}
		there = 1
		block(t, c) // it stays in polling mode: no second begin
		ran.expect(t, "poll", "ready")
		turn(t, c) // an iteration that does not sleep ends it
		ran.expect(t, "end", "poll")
		must(t, h.Close())
		ran.expect(t)
	})
}

// What arrived before the notifications were on again is found by the last Poll.
func TestLastPollFindsWhatArrivedMeanwhile(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 100*µs)
		var ran journal
		ended := false
		cb := ran.hooks(func() bool { return ended })
		cb.PollEnd = func() { ended = true }
		watch(t, c, notifier(t).FD(), cb)
		if !block(t, c) || ran[len(ran)-1] != "ready" {
			t.Errorf("ran %q", ran)
		}
		ended = false
	})
}

func TestWithoutPollReadyReadIsCalled(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var ran journal
		cb := ran.hooks(func() bool { return true })
		cb.PollReady, cb.PollBegin, cb.PollEnd = nil, nil, nil
		h := watch(t, c, notifier(t).FD(), cb)
		block(t, c)
		ran.expect(t, "poll", "read")
		must(t, h.Close())
	})
}

// Poll and the kernel may see the same event: it is one, and causes one call.
func TestEventSeenTwiceIsDispatchedOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		n := notifier(t)
		calls := 0
		take := func() {
			calls++
			_, _ = n.TestAndClear()
		}
		watch(t, c, n.FD(), Callbacks{
			Read: ignoring(take),
			Poll: func() bool {
				if calls == 0 && c.spin.started {
					_ = n.Set()
					return true
				}
				return false
			},
		})
		turn(t, c) // the kernel knows the descriptor from here on
		block(t, c)
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestCloseAndChangeWhilePolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var old, young journal
		h := watch(t, c, notifier(t).FD(), old.hooks(func() bool { return true }))
		block(t, c)
		old.expect(t, "begin", "poll", "ready")
		must(t, h.Change(young.hooks(func() bool { return true })))
		block(t, c)
		old.expect(t, "end")
		young.expect(t, "begin", "poll", "ready")
		must(t, h.Close())
		young.expect(t, "end")
		turn(t, c)
		old.expect(t)
		young.expect(t)
	})
}

func TestCloseOnAnotherGoroutineEndsPollingLater(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var ran journal
		h := watch(t, c, notifier(t).FD(), ran.hooks(func() bool { return true }))
		block(t, c)
		ran.expect(t, "begin", "poll", "ready")
		elsewhere(func() { must(t, h.Close()) })
		ran.expect(t)
		turn(t, c)
		ran.expect(t, "end")
	})
}

// A Context that is closed while a device's notifications are off switches them on.
func TestCloseOfTheContextEndsPolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var ran journal
		h := watch(t, c, notifier(t).FD(), ran.hooks(func() bool { return true }))
		block(t, c)
		elsewhere(func() { must(t, h.Close()) })
		must(t, c.Close())
		ran.expect(t, "begin", "poll", "ready", "end")
	})
}

// Whichever comes first, the device hears of the end, once; the race detector watches.
func TestCloseOfTheContextBesideCloseOfAHandler(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for range 10 {
			c := newPolling(t, newLoop, longWindow.Max)
			var ends atomic.Int32
			h := watch(t, c, notifier(t).FD(), Callbacks{
				Read:    func(*Handler) {},
				Poll:    func() bool { return true },
				PollEnd: func() { ends.Add(1) },
			})
			block(t, c)
			var group sync.WaitGroup
			group.Go(func() {
				var leaks *LeakError
				if err := c.Close(); err != nil && !errors.As(err, &leaks) {
					t.Error(err)
				}
			})
			if err := h.Close(); err != nil {
				wantError(t, err, ErrClosed)
			}
			group.Wait()
			if n := ends.Load(); n != 1 {
				t.Fatalf("%d times PollEnd", n)
			}
		}
	})
}

func TestPanicInPollEndKeepsThePairs(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 100*µs)
		var ran journal
		bad := true
		watch(t, c, notifier(t).FD(), Callbacks{Read: func(*Handler) {}, Poll: nothing, PollEnd: func() {
			if bad {
				bad = false
				panic("bad")
			}
		}})
		watch(t, c, notifier(t).FD(), ran.hooks(nothing))
		if v := panicOf(func() { _, _ = c.Poll() }); v != "bad" {
			t.Fatalf("panicked with %v", v)
		}
		turn(t, c)
		checkPairs(t, ran)
	})
}

// If two devices fail at it, the others hear of the end all the same, and once.
func TestPanicInPollEndIsNotTheOthersLoss(t *testing.T) {
	for name, end := range map[string]func(c *Context, handlers []*Handler){
		"before a sleep": func(c *Context, _ []*Handler) {
			openWindow(c, 0)
			_, _ = c.Poll()
		},
		"closed elsewhere": func(c *Context, handlers []*Handler) {
			elsewhere(func() {
				for _, h := range handlers {
					_ = h.Close()
				}
			})
			_, _ = c.TryPoll()
		},
		"closed with the Context": func(c *Context, _ []*Handler) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newPolling(t, newLoop, longWindow.Max)
				there := true
				look := func() bool { return there }
				broken := func() {
					if !there {
						panic("bad")
					}
				}
				var first, last journal
				var handlers []*Handler
				for _, cb := range []Callbacks{
					first.hooks(look),
					{Read: func(*Handler) {}, Poll: look, PollEnd: broken},
					{Read: func(*Handler) {}, Poll: look, PollEnd: broken},
					last.hooks(look),
				} {
					handlers = append(handlers, watch(t, c, notifier(t).FD(), cb))
				}
				block(t, c)
				there = false
				defer func() { there = true }()
				if v := panicOf(func() { end(c, handlers) }); v != "bad" {
					t.Fatalf("panicked with %v", v)
				}
				checkPairs(t, first)
				checkPairs(t, last)
				_, _ = c.TryPoll()
				checkPairs(t, last)
			})
		})
	}
}

// The loop takes notice of a Close whose PollEnd has panicked.
func TestPanicInPollEndOfAClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		h := watch(t, c, notifier(t).FD(), Callbacks{
			Read: func(*Handler) {}, Poll: func() bool { return true }, PollEnd: func() { panic("bad") },
		})
		if block(t, c); c.port.watched != 1 {
			t.Fatalf("the loop knows of %d handlers", c.port.watched)
		}
		if v := panicOf(func() { _ = h.Close() }); v != "bad" {
			t.Fatalf("panicked with %v", v)
		}
		if turn(t, c); c.port.watched != 0 {
			t.Errorf("the loop believes in %d handlers", c.port.watched)
		}
	})
}

// A handler that loses its Poll while the loop begins to poll is not told that it is polled.
func TestPollBeginThatChangesAnotherHandler(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, 100*µs)
		var ran, other journal
		var second *Handler
		hooks := ran.hooks(nothing)
		hooks.PollBegin = func() {
			ran.add("begin")
			without := other.hooks(nothing)
			without.Poll = nil
			must(t, second.Change(without))
		}
		watch(t, c, notifier(t).FD(), hooks)
		second = watch(t, c, notifier(t).FD(), other.hooks(nothing))
		waitForATimer(t, c, func() bool {
			openWindow(c, 100*µs)
			return slices.Contains(ran, "begin")
		})
		other.expect(t)
	})
}
