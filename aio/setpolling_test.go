//go:build linux

package aio

import (
	"strings"
	"testing"
	"time"
)

func TestSetPolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, at := range []string{"home", "elsewhere"} {
			c := newLoop(WithPolling(Polling{Max: time.Nanosecond})) // no foreign loop polls
			must(t, c.SetPolling(Polling{}))
			turn(t, c)
			if c.spin.enabled() || c.waker.stamps() {
				t.Error("it is on")
			}
			set := func() { must(t, c.SetPolling(Polling{Max: longWindow.Max, Rule: PollQEMU})) }
			if at == "home" {
				set()
			} else {
				elsewhere(set)
			}
			if c.spin.enabled() {
				t.Error("it is on before the next iteration")
			}
			turn(t, c)
			if !c.spin.enabled() || c.spin.rule.Window != 0 || !c.waker.stamps() {
				t.Error("it is off")
			}
			c.spin.rule.Window = longWindow.Max
			c.Notify()
			if block(t, c); severalCPUs(c) && c.Stats().PollHits != 1 {
				t.Errorf("it does not poll: %+v", c.Stats())
			}
			must(t, c.SetPolling(Polling{}))
			turn(t, c)
			c.Notify()
			if block(t, c); c.spin.enabled() || c.waker.stamps() || c.Stats().PollHits > 1 {
				t.Errorf("it polls: %+v", c.Stats())
			}
		}
	})
}

func severalCPUs(c *Context) bool { return c.spin.canPoll(&c.port) }

// A loop that sleeps wakes up for it: polling begins with the next event.
func TestSetPollingWhileTheLoopSleeps(t *testing.T) {
	c := ioThread(t, "io").Context()
	asleep(t, c)
	must(t, c.SetPolling(longWindow))
	eventually(t, "it has the rule", func() bool {
		asleep(t, c)
		on, err := Call(t.Context(), c, func() (bool, error) { return c.spin.enabled(), nil })
		must(t, err)
		return on
	})
}

// A change drops what was learned with the rule before, and the handlers of the loop are still told
// of the end of polling.
func TestSetPollingOffTellsTheHandlers(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newPolling(t, newLoop, longWindow.Max)
		var told journal
		n := notifier(t)
		h, err := c.WatchNotifier(n, Callbacks{Read: ignoring(func() {}), Poll: func() bool { return true },
			PollBegin: told.note("begin"), PollEnd: told.note("end")})
		must(t, err)
		defer h.Close()
		block(t, c)
		if len(told) == 0 {
			t.Skip("it does not poll here")
		}
		told.expect(t, "begin")
		c.spin.immediate = 7
		must(t, c.SetPolling(Polling{}))
		turn(t, c)
		told.expect(t, "end")
		if c.spin.immediate != 0 || c.spin.last.Blocked != 0 {
			t.Errorf("it keeps %d and %+v", c.spin.immediate, c.spin.last)
		}
	})
}

// On ppoll and epoll, a notifier is looked at in user space if it is watched after SetPolling.
func TestNotifiersThatAreWatchedAfterSetPolling(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop(WithPolling(Polling{Max: time.Nanosecond}))
		if c.port.shows() {
			t.Skip("all descriptors show in user space")
		}
		must(t, c.SetPolling(Polling{}))
		n := notifier(t)
		h := watchNotifier(t, c, n, func() {})
		must(t, c.SetPolling(longWindow))
		turn(t, c)
		if !c.spin.blind {
			t.Error("the handler is looked at though only the kernel watches it")
		}
		must(t, h.Change(Callbacks{Read: ignoring(func() {})}))
		if turn(t, c); c.spin.blind {
			t.Error("after Change it is not looked at")
		}
		watchNotifier(t, c, notifier(t), func() {})
		if turn(t, c); c.spin.blind {
			t.Error("a new one is not looked at")
		}
	})
}

func TestSetPollingRefuses(t *testing.T) {
	c := newLoopOn(t, Epoll)
	for _, p := range []Polling{{Max: -1}, {Grow: -1}, {Shrink: -1}, {Rule: 7}} {
		if err := c.SetPolling(p); err == nil || !strings.Contains(err.Error(), "SetPolling") {
			t.Errorf("%+v: %v", p, err)
		}
	}
	must(t, c.Close())
	wantError(t, c.SetPolling(longWindow), ErrClosed)
}

// Many change it while the loop polls. The latest one stays.
func TestSetPollingContends(t *testing.T) {
	c := ioThread(t, "io").Context()
	work := c.NewBottomHalf(func() {})
	done := make(chan struct{})
	for i := range 2 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 200 {
				if c.SetPolling(Polling{Max: time.Duration(i) * time.Microsecond}) != nil || work.Schedule() != nil {
					t.Error("it fails")
				}
			}
		}()
	}
	<-done
	<-done
	must(t, c.SetPolling(Polling{Max: time.Microsecond}))
	must(t, c.Do(t.Context(), func() error { return nil }))
	on, err := Call(t.Context(), c, func() (bool, error) { return c.spin.enabled() && c.waker.stamps(), nil })
	if must(t, err); !on {
		t.Error("it is off")
	}
}
