package aio

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/gate"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

func TestNotifyEndsOnePoll(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		for range 3 { // before the sleep: it does not begin
			c.Notify()
			if block(t, c) {
				t.Error("a notify is progress")
			}
		}
		c.Notify()
		c.Notify()
		block(t, c)
		restsFor(t, c, 5*time.Millisecond) // several notifies, one iteration
		before := c.Stats().Iterations
		go func() { asleep(t, c); c.Notify() }()
		if block(t, c) || c.Stats().Iterations != before+1 {
			t.Error("not ended by a notify during the sleep")
		}
		restsFor(t, c, 5*time.Millisecond) // what ended it does not end the next one
	})
}

func TestNotifyFromACallbackKeepsTheNextPollAwake(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		must(t, c.ScheduleOnce(c.Notify))
		turn(t, c)
		block(t, c)
	})
}

// While the loop is awake a notify is no system call.
func TestNotifyIsElidedWhileTheLoopIsAwake(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		b := c.NewBottomHalf(func() {})
		must(t, c.NewTimer(Realtime, func() {}).Reset(time.Millisecond))
		pollUntil(t, c, func() bool { return c.Stats().Timers == 1 }) // it has slept, and no one has woken it up
		before := c.Stats()
		for range 10 {
			c.Notify()
			must(t, b.Schedule())
			turn(t, c)
		}
		after := c.Stats()
		if after.NotifiesWritten != before.NotifiesWritten {
			t.Errorf("%d were written", after.NotifiesWritten-before.NotifiesWritten)
		}
		if n := after.NotifiesElided - before.NotifiesElided; n != 20 {
			t.Errorf("%d were elided, want 20", n)
		}
	})
}

// However many producers race, they end one sleep with one write.
func TestOneSleepIsEndedByOneWrite(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const producers = 16
		c := newLoop()
		for range 50 {
			before := c.Stats()
			var group sync.WaitGroup
			var begun atomic.Bool // one has seen that the loop is about to sleep
			for range producers {
				group.Go(func() {
					for c.gate.Kicked() && !begun.Load() {
						runtime.Gosched()
					}
					begun.Store(true)
					c.Notify()
				})
			}
			// A write that came too late for the last sleep may end this one before
			// anybody has begun.
			pollUntil(t, c, begun.Load)
			group.Wait()
			after := c.Stats()
			written := after.NotifiesWritten - before.NotifiesWritten
			if written > 1 { // none if the loop saw the first one just in time
				t.Fatalf("%d writes", written)
			}
			if n := after.NotifiesElided - before.NotifiesElided; n != producers-written {
				t.Fatalf("%d elided, %d written, of %d", n, written, producers)
			}
			turn(t, c) // accepts those that came late
		}
		if c.Stats().NotifiesWritten == 0 {
			t.Error("nothing was ever written: it never slept")
		}
	})
}

// Two loops, each of which sleeps forever until the other one wakes it up, with
// nothing in between but two flags: one lost wake-up and it hangs.
func TestTrap13_NoLostWakeUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		rounds := int64(guest.Few(3000))
		a, b := newLoop(), newLoop()
		var flagA, flagB atomic.Int64
		start(t, a)
		done := make(chan struct{})
		go func() { // b's home
			defer close(done)
			for i := int64(1); i <= rounds; i++ {
				flagA.Store(i)
				must(t, a.ScheduleOnce(func() {
					flagB.Store(flagA.Load())
					b.Notify()
				}))
				for flagB.Load() != i {
					if _, err := b.Poll(); err != nil {
						t.Error(err)
						return
					}
				}
			}
			must(t, b.Close())
		}()
		for before := int64(-1); ; {
			select {
			case <-done:
				return
			case <-time.After(patience): // for one round: a busy machine takes long for all of them
			}
			if flagA.Load() == before {
				t.Errorf("a wake-up was lost: flags %d, %d", flagA.Load(), flagB.Load())
				b.Notify()
				<-done
				return
			}
			before = flagA.Load()
		}
	})
}

// What comes after the loop's last look for work, and before it says that it will
// sleep, ends that sleep though no one writes. The hook comes in when the loop, in
// between, asks how far away its timer is.
func TestTrap13_WorkThatComesWhileTheLoopFallsAsleep(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ran := 0
		b := c.NewBottomHalf(func() { ran++ })
		timer := c.NewTimer(Realtime, func() {})
		must(t, timer.Reset(time.Hour))
		t.Cleanup(func() { timer.Stop() })
		for _, comes := range []func(){c.Notify, func() { _ = b.Schedule() }} {
			settle(t, c)
			before, came := c.Stats().NotifiesWritten, false
			restore := inject(t, func(call sys.Call) sys.Fault {
				if call == sys.CallMonotonic && !came {
					came = true
					comes()
				}
				return sys.Fault{}
			})
			block(t, c)
			restore()
			if written := c.Stats().NotifiesWritten - before; written != 0 || !came {
				t.Errorf("%d writes, called %v", written, came)
			}
		}
		if ran != 1 {
			t.Errorf("the bottom half ran %d times", ran)
		}
	})
}

// Producers that come at random moments around the sleep, each waiting for its
// answer: a latch that only one side resets would leave the loop asleep.
func TestTrap15_ProducersAtRandomMoments(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const producers = 4
		each := guest.Few(500)
		c := newLoop()
		start(t, c)
		var group sync.WaitGroup
		for range producers {
			group.Go(func() {
				answer := make(chan struct{}, 1)
				b := c.NewBottomHalf(func() { answer <- struct{}{} })
				for range each {
					for range rand.IntN(2000) { // up to some microseconds
						runtime.KeepAlive(b)
					}
					must(t, b.Schedule())
					select {
					case <-answer:
					case <-time.After(patience):
						t.Error("a wake-up was lost")
						return
					}
				}
			})
		}
		group.Wait()
	})
}

// Every change from another goroutine reaches a loop that sleeps forever.
func TestTrap14_ChangesReachASleepingLoop(t *testing.T) {
	type change struct {
		name string
		make func(t *testing.T, c *Context, effect func())
	}
	virtual := func(move func(v *VirtualClock)) func(*testing.T, *Context, func()) {
		return func(t *testing.T, c *Context, effect func()) {
			c.VirtualClock().Stop()
			c.VirtualClock().Set(0)
			timer := c.NewTimer(Virtual, effect)
			must(t, timer.Set(time.Hour))
			t.Cleanup(func() { timer.Stop() })
			asleep(t, c)
			move(c.VirtualClock())
		}
	}
	changes := []change{
		{"Notify", func(t *testing.T, c *Context, effect func()) {
			before := c.Stats().Iterations
			asleep(t, c)
			c.Notify()
			eventually(t, "another iteration", func() bool { return c.Stats().Iterations > before })
			effect()
		}},
		{"Schedule", func(t *testing.T, c *Context, effect func()) { must(t, c.NewBottomHalf(effect).Schedule()) }},
		{"ScheduleIdle", func(t *testing.T, c *Context, effect func()) { must(t, c.NewBottomHalf(effect).ScheduleIdle()) }},
		{"ScheduleOnce", func(t *testing.T, c *Context, effect func()) { must(t, c.ScheduleOnce(effect)) }},
		{"Set", func(t *testing.T, c *Context, effect func()) { must(t, c.NewTimer(Realtime, effect).Set(0)) }},
		{"Reset", func(t *testing.T, c *Context, effect func()) { must(t, c.NewTimer(Host, effect).Reset(1)) }},
		{"SetEarlier", func(t *testing.T, c *Context, effect func()) {
			timer := c.NewTimer(VirtualRT, effect)
			must(t, timer.Reset(time.Hour))
			asleep(t, c)
			must(t, timer.SetEarlier(0))
		}},
		{"clock Start", virtual(func(v *VirtualClock) { v.Set(2 * time.Hour); v.Start() })},
		{"clock Set", virtual(func(v *VirtualClock) { v.Start(); v.Set(2 * time.Hour) })},
		{"clock Advance", virtual(func(v *VirtualClock) { v.Start(); v.Advance(2 * time.Hour) })},
		{"Watch", func(t *testing.T, c *Context, effect func()) {
			a, _ := sockets(t)
			watchOnce(t, c, a, effect)
		}},
		{"Change", func(t *testing.T, c *Context, effect func()) {
			a, _ := sockets(t)
			h := watch(t, c, a, Callbacks{Read: func(*Handler) {}})
			asleep(t, c)
			must(t, h.Change(Callbacks{Write: func(*Handler) { _ = h.Close(); effect() }}))
		}},
		{"Close", func(t *testing.T, c *Context, effect func()) {
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			peer := owned(t, p[1], nil)
			h, err := c.Watch(p[0], Callbacks{Read: func(*Handler) {}})
			must(t, err)
			for range 2 { // the second Wait, at the latest, has begun with the handler
				must(t, c.Do(t.Context(), func() error { return nil }))
			}
			asleep(t, c)
			must(t, h.Close())
			must(t, unix.Close(p[0]))
			eventually(t, "the peer sees the end of file", func() bool {
				n, err := unix.Read(peer, make([]byte, 1))
				return n == 0 && err == nil
			})
			effect()
		}},
		{"EventNotifier.Set", func(t *testing.T, c *Context, effect func()) {
			n := notifier(t)
			watchNotifier(t, c, n, effect)
			asleep(t, c)
			must(t, n.Set())
		}},
		{"Do", func(t *testing.T, c *Context, effect func()) {
			must(t, c.Do(t.Context(), func() error { return nil }))
			effect()
		}},
	}
	eachBackend(t, func(t *testing.T, newLoop maker) {
		for _, change := range changes {
			t.Run(change.name, func(t *testing.T) {
				c := newLoop()
				done := make(chan struct{})
				start(t, c)
				asleep(t, c)
				within(t, change.name, func() {
					change.make(t, c, sync.OnceFunc(func() { close(done) }))
					select {
					case <-done:
					case <-time.After(patience):
						t.Fatal("it has no effect")
					}
				})
			})
		}
	})
}

// watchOnce calls f for the first time that fd is writable.
func watchOnce(t *testing.T, c *Context, fd int, f func()) {
	t.Helper()
	must(t, c.Do(t.Context(), func() error { return nil }))
	asleep(t, c)
	var h atomic.Pointer[Handler]
	got, err := c.Watch(fd, Callbacks{Write: func(*Handler) {
		if h := h.Load(); h != nil {
			_ = h.Close()
			f()
		}
	}})
	must(t, err)
	h.Store(got)
}

// A notifier that is slow must not write to the number that Close has given back:
// another file has it by now.
func TestTrap16_NotifyRacesClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		const rounds, producers, each = 100, 4, 250 // 100,000 notifies
		for range rounds {
			c := newLoop()
			var group sync.WaitGroup
			var first sync.WaitGroup
			first.Add(producers)
			for range producers {
				group.Go(func() {
					c.Notify()
					first.Done()
					for range each - 1 {
						c.Notify()
					}
				})
			}
			for range 3 {
				turn(t, c)
				c.gate.Announce(gate.Asleep) // as if it slept: the notifiers write
			}
			first.Wait()
			must(t, c.Close())
			canaries := openCanaries(t)
			group.Wait()
			checkCanaries(t, canaries)
		}
	})
}

// openCanaries takes the numbers that have just become free.
func openCanaries(t *testing.T) (fds [4]int) {
	t.Helper()
	for i := range fds {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		must(t, err)
		fds[i] = fd
	}
	return fds
}

func checkCanaries(t *testing.T, fds [4]int) {
	t.Helper()
	for _, fd := range fds {
		if n, err := unix.Read(fd, make([]byte, 8)); err != unix.EAGAIN {
			t.Errorf("somebody has written to a stranger's descriptor: %d, %v", n, err)
		}
		must(t, unix.Close(fd))
	}
}

func TestNotifyAfterCloseDoesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		turn(t, c)
		must(t, c.Close())
		canaries := openCanaries(t)
		c.gate.Announce(gate.Asleep) // a notifier that has seen the loop asleep, long ago
		c.Notify()
		checkCanaries(t, canaries)
	})
}
