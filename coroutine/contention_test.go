package coroutine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// contentionEnv says how long each test of contention goes on, for each backend and mode. make
// contention sets it.
const contentionEnv = "AIOLOOP_CONTENTION"

// contend returns a context that ends after the time for which loops contend.
func contend(t *testing.T) context.Context {
	d := 40 * time.Millisecond
	if testing.Short() {
		d /= 4
	}
	if s := os.Getenv(contentionEnv); s != "" {
		var err error
		d, err = time.ParseDuration(s)
		must(t, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// ended waits for the coroutines, and says what those do that do not end.
func ended(t *testing.T, cos []*coroutine.Co) {
	t.Helper()
	late := time.After(patience)
	for _, co := range cos {
		select {
		case <-co.Done():
			must(t, co.Err())
		case <-late:
			for _, co := range cos {
				if !co.Ended() {
					t.Log(co)
				}
			}
			t.Fatal("coroutines do not end")
		}
	}
}

// TestContentionForASharedMutex: coroutines of several loops count under one lock, across waits, until
// the time is over.
func TestContentionForASharedMutex(t *testing.T) {
	for _, loops := range []int{2, 5} {
		t.Run(fmt.Sprint(loops, " loops"), func(t *testing.T) {
			eachSetting(t, func(t *testing.T, opts ...aio.Option) {
				ctx := contend(t)
				var m coroutine.SharedMutex
				var inside atomic.Int32
				var total atomic.Int64
				counter := int64(0) // guarded by m
				var cos []*coroutine.Co
				for l := range loops {
					loop := background(t, opts...)
					for i := range 2 {
						random := rand.New(rand.NewPCG(uint64(l), uint64(i)))
						cos = append(cos, coroutine.Go(loop, func(co *coroutine.Co) error {
							for once := true; once || ctx.Err() == nil; once = false {
								if err := m.Lock(co); err != nil {
									return err
								}
								if inside.Add(1) != 1 {
									t.Error("two are inside")
								}
								counter++
								if random.IntN(4) == 0 { // the loop does something else with the lock held
									if err := co.Sleep(0); err != nil {
										return err
									}
								}
								inside.Add(-1)
								total.Add(1)
								m.Unlock(co)
							}
							return nil
						}))
					}
				}
				ended(t, cos)
				if counter != total.Load() || counter < 2*int64(loops) || m.Locked() {
					t.Errorf("counted to %d of %d, locked: %v", counter, total.Load(), m.Locked())
				}
				t.Logf("locked %d times", counter)
			})
		})
	}
}

// sleeper is a coroutine that wakes another one at random, and then waits until one wakes it.
type sleeper struct {
	co          *coroutine.Co
	asleep      atomic.Bool  // the one that makes it false calls Wake
	woken, runs atomic.Int64 // how often it was woken, and how often that has ended its Yield
}

// wake wakes a coroutine that sleeps, and reports whether it does.
func (s *sleeper) wake() (bool, error) {
	if !s.asleep.CompareAndSwap(true, false) {
		return false, nil
	}
	s.woken.Add(1)
	return true, s.co.Wake()
}

// wakeFirst wakes the first one of all, from number n on, that sleeps.
func wakeFirst(all []*sleeper, n int) error {
	for i := range all {
		if woken, err := all[(n+i)%len(all)].wake(); woken || err != nil {
			return err
		}
	}
	return nil
}

// TestContentionOfFiveLoops: the coroutines of five loops schedule each other at random. A few are
// awake; each declares that it sleeps and wakes one, so that a Wake may come before its Yield, and
// may be its own. At the end the one that is awake wakes all: a Wake that was lost shows then.
func TestContentionOfFiveLoops(t *testing.T) {
	eachSetting(t, func(t *testing.T, opts ...aio.Option) {
		const loops, each, awake = 5, 4, 3
		ctx := contend(t)
		all := make([]*sleeper, loops*each)
		run := func(co *coroutine.Co, s *sleeper, random *rand.Rand) error {
			for {
				if err := co.Yield(); err != nil {
					return err
				}
				s.runs.Add(1)
				if ctx.Err() != nil {
					break
				}
				s.asleep.Store(true)
				if err := wakeFirst(all, random.IntN(len(all))); err != nil {
					return err
				}
			}
			var failed error
			for _, other := range all {
				_, err := other.wake()
				failed = errors.Join(failed, err)
			}
			return failed
		}
		for n := range all {
			all[n] = &sleeper{}
			all[n].asleep.Store(true)
		}
		var loop *aio.Context
		var cos []*coroutine.Co
		for n, s := range all {
			if n%each == 0 {
				loop = background(t, opts...)
			}
			random := rand.New(rand.NewPCG(uint64(n), 2))
			s.co = coroutine.Go(loop, func(co *coroutine.Co) error { return run(co, s, random) })
			cos = append(cos, s.co)
		}
		for n := range awake {
			must(t, wakeFirst(all, n*each)) // each in a loop of its own
		}
		ended(t, cos)
		total := int64(0)
		for n, s := range all {
			if s.woken.Load() != s.runs.Load() {
				t.Errorf("coroutine %d was woken %d times and ran %d times", n, s.woken.Load(), s.runs.Load())
			}
			total += s.runs.Load()
		}
		if total < int64(len(all)) {
			t.Errorf("%d wake-ups", total)
		}
		t.Logf("woken %d times", total)
	})
}

// TestContentionOfWakers: goroutines that are locked to threads of their own enter one coroutine. What
// each has posted before its Wake is seen.
func TestContentionOfWakers(t *testing.T) {
	eachSetting(t, func(t *testing.T, opts ...aio.Option) {
		const wakers = 3
		ctx := contend(t)
		loop := background(t, opts...)
		var posted, wakes atomic.Int64
		var over atomic.Bool
		yields, seen := int64(0), int64(0)
		co := coroutine.Go(loop, func(co *coroutine.Co) error {
			for !over.Load() || seen != posted.Load() {
				if err := co.Yield(); err != nil {
					return err
				}
				if !loop.OnHome() {
					t.Error("it is not at home")
				}
				yields++
				seen = posted.Load()
			}
			return nil
		})
		var all sync.WaitGroup
		for range wakers {
			all.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				for once := true; once || ctx.Err() == nil; once = false {
					posted.Add(1)
					if err := wakeAgain(co); err != nil {
						t.Error(err)
						return
					}
					wakes.Add(1)
				}
			})
		}
		all.Wait()
		over.Store(true)
		_ = wakeAgain(co) // it may have ended
		ended(t, []*coroutine.Co{co})
		if seen != posted.Load() || yields == 0 || yields > wakes.Load()+1 {
			t.Errorf("%d posts, %d seen, %d wakes, %d yields", posted.Load(), seen, wakes.Load(), yields)
		}
	})
}

// wakeAgain wakes a coroutine, once an earlier Wake was taken.
func wakeAgain(co *coroutine.Co) error {
	for {
		var use *coroutine.UseError
		if err := co.Wake(); !errors.As(err, &use) {
			return err
		}
		runtime.Gosched()
	}
}

// TestPingPongOfTwoLoops: two coroutines of different loops wake each other 25,000 times.
func TestPingPongOfTwoLoops(t *testing.T) {
	rounds := guest.Few(25_000)
	if testing.Short() || raceEnabled {
		rounds /= 25
	}
	eachSetting(t, func(t *testing.T, opts ...aio.Option) {
		var cos [2]*coroutine.Co
		n, deepest := 0, 0 // whose turn it is may use them
		for i := range cos {
			cos[i] = coroutine.Go(background(t, opts...), func(co *coroutine.Co) error {
				for {
					if err := co.Yield(); err != nil {
						return err
					}
					if n++; n%100 == 0 {
						deepest = max(deepest, runtime.Callers(0, make([]uintptr, 1000)))
					}
					if n == 2*rounds {
						return nil
					}
					end := n == 2*rounds-1
					if err := cos[1-i].Wake(); err != nil || end {
						return err
					}
				}
			})
		}
		must(t, cos[0].Wake())
		ended(t, cos[:])
		if n != 2*rounds || deepest > 30 {
			t.Errorf("%d turns, %d calls deep", n, deepest)
		}
	})
}
