package aio

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// System calls that fail or lie, through the seam of package sys: nothing is lost,
// nothing is called twice for one cause, no loop spins, and what does not pass comes
// out of Poll as an error.

// inject lets f decide about all calls until the test ends or restore is called.
// Only one goroutine at a time is in f.
func inject(t testing.TB, f func(c sys.Call) sys.Fault) (restore func()) {
	var mu sync.Mutex
	restore = sys.Inject(func(c sys.Call) sys.Fault {
		mu.Lock()
		defer mu.Unlock()
		return f(c)
	})
	t.Cleanup(restore)
	return restore
}

// sleeps reports whether a loop sleeps in that call.
func sleeps(c sys.Call) bool {
	return c == sys.CallPpoll || c == sys.CallEpollPwait || c == sys.CallEpollPwait2 || c == sys.CallIoUringEnter
}

// seeded is random, and logs how to repeat it: AIOLOOP_SEED.
func seeded(t testing.TB) *rand.Rand {
	seed, err := strconv.ParseUint(os.Getenv("AIOLOOP_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat this: AIOLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// oneOf fails with one of the errnos, or with none.
func oneOf(r *rand.Rand, errnos ...unix.Errno) sys.Fault {
	if i := r.IntN(len(errnos) + 1); i > 0 {
		return sys.Fault{Errno: errnos[i-1]}
	}
	return sys.Fault{}
}

// regimes are what a loop has to put up with, for each call again.
var regimes = map[string]func(r *rand.Rand, c sys.Call) sys.Fault{
	"interrupts": func(r *rand.Rand, c sys.Call) sys.Fault {
		if sleeps(c) || c == sys.CallEventfdRead || c == sys.CallEventfdWrite {
			return oneOf(r, unix.EINTR, unix.EINTR)
		}
		return sys.Fault{}
	},
	"refusals": func(r *rand.Rand, c sys.Call) sys.Fault {
		if sleeps(c) {
			return oneOf(r, unix.EAGAIN, unix.EBUSY)
		}
		return sys.Fault{}
	},
	"no memory": func(r *rand.Rand, c sys.Call) sys.Fault {
		if sleeps(c) {
			return oneOf(r, unix.ENOMEM)
		}
		return sys.Fault{}
	},
	"short batches": func(r *rand.Rand, c sys.Call) sys.Fault { return sys.Fault{Room: 1 + r.IntN(2)} },
	"a clock that runs ahead": func() func(r *rand.Rand, c sys.Call) sys.Fault {
		var ahead time.Duration
		return func(r *rand.Rand, c sys.Call) sys.Fault {
			ahead += time.Duration(r.IntN(int(time.Second)))
			return sys.Fault{Skew: ahead}
		}
	}(),
	"all at once": func(r *rand.Rand, c sys.Call) sys.Fault {
		if !sleeps(c) {
			return sys.Fault{}
		}
		f := oneOf(r, unix.EINTR, unix.EAGAIN, unix.EBUSY, unix.ENOMEM)
		f.Room = r.IntN(3)
		return f
	},
}

func TestFaultsLoseNothing(t *testing.T) {
	for name, fault := range regimes {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				r := seeded(t)
				var calls atomic.Int64
				g := newGame(t, c)
				g.crowded = name == "short batches" || name == "all at once"
				parked := c.port.parker != nil && c.port.peeker == nil
				inject(t, func(c sys.Call) sys.Fault {
					calls.Add(1)
					f := fault(r, c)
					if parked { // epoll_pwait(2) leaves nothing for which there is room: see crowded
						f.Room = 0
					}
					return f
				})
				g.play(t)
				if n := calls.Load(); n > 200*g.causes() {
					t.Errorf("%d calls for %d causes", n, g.causes())
				}
			})
		})
	}
}

const (
	players = 4
	moves   = 60
)

// game is players who wait, after each move, for the callback that it causes.
type game struct {
	c        *Context
	notified [players]*EventNotifier
	back     [players]chan struct{}
	got      [players]int
	timer    *Timer
	fired    int
	playing  atomic.Int64
	over     chan struct{} // closed when it is given up
	crowded  bool          // the loop has room for one event at a time
}

func newGame(t *testing.T, c *Context) *game {
	g := &game{c: c, over: make(chan struct{})}
	for i := range players {
		g.back[i] = make(chan struct{}, 2*moves)
		g.notified[i] = notifier(t)
		answer := func() {
			g.got[i]++
			g.back[i] <- struct{}{}
		}
		if i%2 == 0 {
			watchNotifier(t, c, g.notified[i], answer)
		} else {
			watch(t, c, g.notified[i].FD(), Callbacks{Read: func(*Handler) {
				if set, _ := g.notified[i].TestAndClear(); set {
					answer()
				}
			}})
		}
	}
	g.timer = c.NewTimer(Realtime, func() {
		if g.fired++; g.fired < moves {
			must(t, g.timer.Reset(time.Millisecond))
		}
	})
	return g
}

func (g *game) causes() int64 { return players*moves*2 + moves }

// play makes all moves and polls until each has had its callback.
func (g *game) play(t *testing.T) {
	t.Helper()
	var ran atomic.Int64
	g.playing.Store(players)
	for i := range players {
		go func() {
			defer g.c.Notify()
			defer g.playing.Add(-1)
			for range moves {
				_ = g.notified[i].Set()
				g.answered(i)
				_ = g.c.ScheduleOnce(func() { ran.Add(1); g.back[i] <- struct{}{} })
				g.answered(i)
			}
		}()
	}
	must(t, g.timer.Reset(0))
	g.pollUntilOver(t)
	for i, n := range g.got {
		if n != moves {
			t.Errorf("notifier %d was dispatched %d times, set %d times", i, n, moves)
		}
	}
	if ran.Load() != players*moves || g.fired != moves {
		t.Errorf("%d bottom halves ran and the timer fired %d times, want %d and %d", ran.Load(), g.fired, players*moves, moves)
	}
}

func (g *game) answered(i int) {
	select {
	case <-g.back[i]:
	case <-g.over:
	}
}

func (g *game) pollUntilOver(t *testing.T) {
	t.Helper()
	var hung atomic.Bool
	alarm := time.AfterFunc(patience, func() {
		hung.Store(true)
		close(g.over)
		g.c.Notify()
	})
	defer alarm.Stop()
	for (g.playing.Load() > 0 || g.fired < moves) && !hung.Load() {
		if g.crowded {
			g.c.port.events = g.c.port.events[:1]
		}
		if _, err := iterate(g.c, true); err != nil {
			var errno unix.Errno
			if !errors.As(err, &errno) {
				t.Fatalf("Poll: %v", err)
			}
		}
	}
	if hung.Load() {
		t.Fatalf("after %v: dispatched %v, the timer fired %d times", patience, g.got, g.fired)
	}
}

// Whatever does not pass is reported, with the errno and the name of the call, and
// when it has passed the loop goes on.
func TestErrorThatStaysComesOutOfPoll(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOMEM, unix.EIO, unix.EAGAIN, unix.EBUSY} {
		t.Run(errno.Error(), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, newLoop maker) {
				c := newLoop()
				ran := 0
				n := notifier(t)
				watchNotifier(t, c, n, func() { ran++ })
				turn(t, c)
				calls, failed := 0, sys.Call("")
				restore := inject(t, func(c sys.Call) (f sys.Fault) {
					if sleeps(c) {
						calls++
						failed, f.Errno = c, errno
					}
					return f
				})
				if c.port.parker != nil {
					must(t, n.Set()) // a parked loop asks only then
				}
				var err error
				for i := 0; i < 100 && err == nil && ran == 0; i++ {
					_, err = iterate(c, true)
				}
				restore()
				if ran > 0 { // it was there already
					return
				}
				wantError(t, err, errno)
				must(t, n.Set())
				_, foreign := foreignDriven.Load(c) // whose own wait it may have been
				if !foreign && !strings.Contains(err.Error(), string(failed)) && failed != sys.CallPpoll {
					t.Errorf("%q does not name %s", err, failed)
				}
				if calls > 2000 {
					t.Errorf("%d calls", calls)
				}
				pollUntil(t, c, func() bool { return ran > 0 })
				settle(t, c)
				if ran != 1 {
					t.Errorf("dispatched %d times, set once", ran)
				}
			})
		})
	}
}

func TestErrorThatStaysEndsRun(t *testing.T) {
	for _, b := range realBackends {
		t.Run(b.String(), func(t *testing.T) {
			checkDescriptors(t)
			c := newLoopOn(t, b)
			restore := inject(t, func(c sys.Call) (f sys.Fault) {
				if sleeps(c) {
					f.Errno = unix.ENOMEM
				}
				return f
			})
			wantError(t, c.Run(t.Context()), unix.ENOMEM)
			restore()
			ran := false
			must(t, c.ScheduleOnce(func() { ran = true }))
			if turn(t, c); !ran {
				t.Error("the loop cannot be used any more")
			}
		})
	}
}

// Interrupts without an end: everything but the descriptors lives on, and Run can
// be ended.
func TestEndlessInterruptsDoNotHoldTheLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fired, told := 0, make(chan struct{})
		timer := c.NewTimer(Realtime, func() {
			fired++
			go func() { defer close(told); _ = c.ScheduleOnce(cancel) }()
		})
		must(t, timer.Reset(5*time.Millisecond))
		t.Cleanup(func() { timer.Stop() })
		restore := inject(t, func(c sys.Call) (f sys.Fault) {
			if sleeps(c) {
				f.Errno = unix.EINTR
			}
			return f
		})
		alarm := time.AfterFunc(patience, func() { t.Error("Run does not end"); cancel(); c.Notify() })
		err := run(ctx, c)
		if alarm.Stop() && errors.Is(err, unix.EINTR) { // it had to register something, and says what
			if restore(); fired > 0 {
				<-told
				settle(t, c)
			}
			return
		}
		must(t, err)
		if fired != 1 {
			t.Errorf("the timer fired %d times, want once and in time", fired)
		}
	})
}

// Trap 15 and 19: the write that says "the counter is full" has woken no loop.
func TestNotifyWithAFullCounterWakesUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		writes := 0
		inject(t, func(c sys.Call) (f sys.Fault) {
			if c == sys.CallEventfdWrite {
				if writes++; writes%2 == 1 {
					f.Errno = unix.EAGAIN
				}
			}
			return f
		})
		for range 20 {
			over := make(chan struct{})
			var seen atomic.Bool
			go func() {
				defer close(over)
				asleep(t, c)
				seen.Store(true)
				c.Notify()
			}()
			for !seen.Load() { // the write of the round before may end a sleep for nothing
				block(t, c)
			}
			<-over
		}
		if writes == 0 && c.port.parker == nil { // a parked loop may be woken up without a write
			t.Error("no notify was written")
		}
	})
}

// wallClock moves the Host clock; add takes effect at the next look.
func wallClock(t testing.TB) (add func(time.Duration), sleepCalls *int) {
	var skew time.Duration
	sleepCalls = new(int)
	var mu sync.Mutex
	inject(t, func(c sys.Call) (f sys.Fault) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case c == sys.CallWallClock:
			f.Skew = skew
		case sleeps(c):
			*sleepCalls++
		}
		return f
	})
	return func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		skew += d
	}, sleepCalls
}

func TestHostClockJumpsForwards(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		jump, _ := wallClock(t)
		var ran journal
		must(t, c.NewTimer(Host, ran.note("second")).Reset(2*time.Hour))
		must(t, c.NewTimer(Host, ran.note("first")).Reset(time.Hour))
		must(t, c.NewTimer(Host, ran.note("later")).Reset(24*time.Hour))
		other := c.NewTimer(Realtime, ran.note("another clock"))
		must(t, other.Reset(time.Hour))
		t.Cleanup(func() { other.Stop() })
		turn(t, c)
		ran.expect(t)
		jump(3 * time.Hour)
		settle(t, c)
		ran.expect(t, "first", "second")
		jump(-6 * time.Hour)
		settle(t, c)
		ran.expect(t)
		jump(48 * time.Hour)
		settle(t, c)
		ran.expect(t, "later")
	})
}

// The loop has slept until the deadline, and then the clock says that it is an hour
// off: it goes back to sleep.
func TestHostClockJumpsBackwards(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		jump, calls := wallClock(t)
		ran := 0
		timer := c.NewTimer(Host, func() { ran++ })
		for range 3 {
			must(t, timer.Reset(5*time.Millisecond))
			var over atomic.Bool
			var jumper sync.WaitGroup
			jumper.Go(func() {
				for c.gate.Kicked() {
					if over.Load() { // the machine is so slow that the loop did not sleep
						return
					}
					runtime.Gosched()
				}
				jump(-time.Hour)
				time.Sleep(20 * time.Millisecond) // the sleep ends in the meantime
				jump(2 * time.Hour)
				c.Notify()
			})
			before := ran
			pollUntil(t, c, func() bool { return ran > before })
			over.Store(true)
			jumper.Wait()
			if ran != before+1 {
				t.Errorf("the timer fired %d times, armed once", ran-before)
			}
		}
		if *calls > 100 {
			t.Errorf("%d calls for 3 jumps", *calls)
		}
	})
}

// liar is a Poller that tells events twice, late, and where there are none.
type liar struct {
	backend.Poller
	r    *rand.Rand
	late []backend.Ready

	mu   sync.Mutex // guards tags
	tags map[int]backend.Tag
}

func (l *liar) Name() string { return "liar" }

func (l *liar) Add(fd int, ev backend.Events, tag backend.Tag) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tags[fd] = tag
	return l.Poller.Add(fd, ev, tag)
}

func (l *liar) Wait(ready []backend.Ready, timeout time.Duration) (int, error) {
	runtime.Gosched() // so many events would keep the players from the CPU
	if len(l.late) > 0 {
		timeout = 0
	}
	// Room is left for what was late, what is told twice and what is invented.
	n, err := l.Poller.Wait(ready[:len(ready)/4], timeout)
	if err != nil {
		return n, err
	}
	told := l.late
	l.late = nil
	for _, e := range ready[:n] {
		switch l.r.IntN(3) {
		case 0:
			l.late = append(l.late, e)
		case 1:
			told = append(told, e, e)
		default:
			told = append(told, e)
		}
	}
	return copy(ready, append(told, l.invented()...)), nil
}

// invented are a few events for descriptors that are registered.
func (l *liar) invented() (events []backend.Ready) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tag := range l.tags {
		if l.r.IntN(4) == 0 {
			events = append(events, backend.Ready{Tag: tag, Events: backend.In})
		}
	}
	return events
}

// Trap 8, and events that come twice or late. A foreign loop cannot wait for such
// a Poller, so only Poll is tried.
func TestTrap08_PollerThatLies(t *testing.T) {
	for _, b := range realBackends {
		t.Run(b.String(), func(t *testing.T) {
			checkDescriptors(t)
			inner, _, err := b.open(ModeThread)
			if errors.Is(err, backend.ErrUnavailable) {
				t.Skip(err)
			}
			must(t, err)
			lockThread(t)
			c, err := New(WithPoller(&liar{Poller: inner, r: seeded(t), tags: make(map[int]backend.Tag)}))
			must(t, err)
			t.Cleanup(func() { closeLoop(t, c) })
			newGame(t, c).play(t)
		})
	}
}

// A batch that is full may not have been all, also where nothing but changes wakes a
// sleeping loop up.
func TestFullBatchIsNotTheLast(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		const n = 3
		ran := 0
		var all [n]*EventNotifier
		for i := range all {
			all[i] = notifier(t)
			watchNotifier(t, c, all[i], func() { ran++ })
		}
		settle(t, c)
		for round := range 20 {
			for i := range all {
				must(t, all[i].Set())
			}
			within(t, "all events", func() {
				for ran < (round+1)*n {
					c.port.events = c.port.events[:1]
					block(t, c)
				}
			})
		}
		if settle(t, c); ran != 20*n {
			t.Errorf("dispatched %d times, set %d times", ran, 20*n)
		}
	})
}

// What the kernel has refused is tried again, even by a loop that always has something to run and
// sees no completion that would lead it to the Poller.
func TestBusyLoopTriesAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		h := c.NewBottomHalf(func() {})
		turn(t, c)
		refused := false
		inject(t, func(call sys.Call) sys.Fault {
			if call != sys.CallIoUringEnter || refused {
				return sys.Fault{}
			}
			refused = true
			return sys.Fault{Errno: unix.EAGAIN}
		})
		r, w := pipe(t)
		called := false
		watch(t, c, r, Callbacks{Read: func(h *Handler) { called = true; must(t, h.Close()) }})
		busy := func() { must(t, h.Schedule()); turn(t, c) }
		busy()
		fill(t, w)
		for range 2 * askPeriod {
			if busy(); called {
				return
			}
		}
		t.Error("the handler was not called")
	})
}
