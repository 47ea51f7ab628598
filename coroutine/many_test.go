package coroutine_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// TestManyCoroutines: 100,000 of them take some 3 KB each, stack included, and leave their goroutines' memory but for
// those that are pooled.
func TestManyCoroutines(t *testing.T) {
	n := 100_000
	if testing.Short() || raceEnabled || guest.Is() {
		n /= 10
	}
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		goroutines := runtime.NumGoroutine()
		heap, stacks := inUse()
		cos := make([]*coroutine.Co, n)
		woken := 0
		for i := range cos {
			cos[i] = coroutine.Go(loop, func(co *coroutine.Co) error {
				err := co.Yield()
				woken++
				return err
			})
		}
		heapNow, stacksNow := inUse()
		heap, stacks = (heapNow-heap)/int64(n), (stacksNow-stacks)/int64(n)
		t.Logf("%d bytes each, and a stack of %d", heap, stacks)
		if (heap > 2000 || stacks > 8500) && !raceEnabled { // Go begins with 2 to 8 KB, what most have needed before
			t.Errorf("%d bytes each, and a stack of %d", heap, stacks)
		}
		rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { cos[i], cos[j] = cos[j], cos[i] })
		for _, co := range cos {
			must(t, co.Wake())
			must(t, co.Err())
		}
		if now := runtime.NumGoroutine(); woken != n || now > goroutines+300 {
			t.Errorf("%d of %d have ended; %d goroutines, %d before", woken, n, now, goroutines)
		}
		must(t, loop.Close())
		if now := runtime.NumGoroutine(); now > goroutines {
			t.Errorf("%d goroutines after Close, %d before", now, goroutines)
		}
	})
}

// inUse returns the bytes of the heap and of stacks.
func inUse() (heap, stacks int64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse)
}

// TestLifecycle: what a coroutine says of itself, from its start to its end, and in which order others see
// its steps.
func TestLifecycle(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		var order []int
		step := func(n int) { order = append(order, n) }
		step(1)
		var co *coroutine.Co
		co = coroutine.Go(loop, func(me *coroutine.Co) error {
			if co != nil || me.Ended() || me.Err() != nil || me.Loop() != loop {
				t.Error("it is not the one that Go has not yet returned")
			}
			step(2)
			if err := me.Yield(); err != nil {
				return err
			}
			step(4)
			return me.Yield()
		})
		step(3)
		must(t, co.Enter())
		step(5)
		if co.Ended() {
			t.Error("it has ended in its second Yield")
		}
		select {
		case <-co.Done():
			t.Error("Done, and it has not ended")
		default:
		}
		must(t, co.Enter())
		<-co.Done()
		if !co.Ended() || !slices.Equal(order, []int{1, 2, 3, 4, 5}) {
			t.Errorf("ended: %v, the order is %v", co.Ended(), order)
		}
		wantError(t, co.Enter(), coroutine.ErrEnded)
		wantError(t, co.Wake(), coroutine.ErrEnded)
	})
}

// TestNestedEnter: coroutines that enter each other nest, 128 deep, and return in reverse.
func TestNestedEnter(t *testing.T) {
	eachLoop(t, func(t *testing.T, loop *aio.Context) {
		const deep = 128
		var order []int
		cos := make([]*coroutine.Co, deep)
		for i := range cos {
			cos[i] = coroutine.Go(loop, func(co *coroutine.Co) error {
				if err := co.Yield(); err != nil {
					return err
				}
				var use *coroutine.UseError
				for _, running := range cos[:i+1] { // itself, and those that have entered it
					if err := running.Enter(); !errors.As(err, &use) || use.Problem != "entered while it runs" {
						t.Errorf("Enter of one that runs: %v", err)
					}
				}
				if i < deep-1 {
					if err := cos[i+1].Enter(); err != nil {
						return err
					}
				}
				order = append(order, i)
				return nil
			})
		}
		must(t, cos[0].Enter())
		for i, co := range cos {
			must(t, co.Err())
			if !co.Ended() || order[i] != deep-1-i {
				t.Fatalf("%v; the order is %v", co, order)
			}
		}
	})
}
