package aio

import (
	"fmt"
	"testing"
	"time"
)

// bothRules are adaptive polling as each rule does it.
func bothRules(t *testing.T, test func(t *testing.T, c *Context)) {
	for name, rule := range map[string]PollingRule{"learned": PollLearned, "QEMU": PollQEMU} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				needTwoCPUs(t)
				c := newLoop(WithPolling(Polling{Max: time.Second, Rule: rule}))
				turn(t, c)
				test(t, c)
			})
		})
	}
}

// pollIn returns the hooks of a device that is always ready. The named one polls, blocking.
func pollIn(t *testing.T, c *Context, fd int, name string, inside *int) Callbacks {
	nest := func(hook string) func() {
		return func() {
			if hook != name {
				return
			}
			if *inside++; *inside > 1 {
				panic(fmt.Sprint(name, " is entered inside itself"))
			}
			fill(t, fd) // or the kernel, too, finds it ready inside
			if openWindow(c, time.Millisecond); !block(t, c) {
				t.Error("the inner Poll made no progress")
			}
			*inside--
		}
	}
	cb := Callbacks{
		Read: ignoring(nest("Read")), Write: ignoring(nest("Write")), PollReady: nest("PollReady"),
		PollBegin: nest("PollBegin"), PollEnd: nest("PollEnd"),
		Poll: func() bool {
			if *inside > 0 {
				panic(fmt.Sprint("Poll is called inside ", name))
			}
			nest("Poll")()
			return name != "Write"
		},
	}
	if name == "Read" {
		cb.PollReady = nil
	}
	if name != "Write" {
		cb.Write = nil
	}
	return cb
}

// An inner Poll, in any callback of a handler, leaves that handler alone and runs another
// that is ready.
func TestNestedPollDoesNotPollTheHandlerThatRuns(t *testing.T) {
	for _, name := range []string{"PollReady", "Read", "Write", "PollBegin", "PollEnd", "Poll"} {
		t.Run(name, func(t *testing.T) {
			bothRules(t, func(t *testing.T, c *Context) {
				inside, others := 0, 0
				device, _ := sockets(t)
				watch(t, c, device, pollIn(t, c, device, name, &inside))
				watch(t, c, notifier(t).FD(), Callbacks{
					Read: func(*Handler) { others++ }, Poll: func() bool { return inside > 0 && others == 0 },
				})
				for round := 0; others == 0 && round < 10; round++ {
					openWindow(c, time.Millisecond*time.Duration((round+1)%2))
					block(t, c)
				}
				if others != 1 {
					t.Errorf("the other handler ran %d times", others)
				}
			})
		})
	}
}

// What arrives while notifications are off, and a callback sleeps in an inner Poll, is found
// when the callback has returned.
func TestLastLookComesAfterTheCallback(t *testing.T) {
	bothRules(t, func(t *testing.T, c *Context) {
		work, handled := 1, 0
		watch(t, c, notifier(t).FD(), Callbacks{
			Read: func(*Handler) {},
			Poll: func() bool { return work > 0 },
			PollReady: func() {
				if work--; handled == 0 {
					must(t, c.NewTimer(Realtime, func() {}).Reset(time.Millisecond))
					openWindow(c, 0)
					block(t, c)
					work++ // without a notification: no look has found it yet
				}
				handled++
			},
		})
		openWindow(c, time.Second)
		block(t, c)
		for range 2 {
			turn(t, c)
		}
		if handled != 2 {
			t.Errorf("handled %d of 2", handled)
		}
	})
}

// A handler whose callback has panicked is polled again.
func TestPanicInPollReadyLeavesTheHandlerPolled(t *testing.T) {
	for _, name := range []string{"PollReady", "Read", "Poll"} {
		t.Run(name, func(t *testing.T) {
			bothRules(t, func(t *testing.T, c *Context) {
				calls := 0
				once := func(hook string) {
					if calls == 0 && hook == name {
						calls++
						panic("bad")
					}
				}
				cb := Callbacks{
					Read:      func(*Handler) { once("Read"); calls++ },
					PollReady: func() { once("PollReady"); calls++ },
					Poll:      func() bool { once("Poll"); return calls < 2 },
				}
				if name == "Read" {
					cb.PollReady = nil
				}
				watch(t, c, notifier(t).FD(), cb)
				openWindow(c, time.Second)
				if v := panicOf(func() { _, _ = c.Poll() }); v != "bad" {
					t.Fatalf("panicked with %v", v)
				}
				if block(t, c); calls != 2 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}
