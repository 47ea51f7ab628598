package coroutine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/coroutine"
)

func exampleLoop() *aio.Context {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := loop.TryPoll(); err != nil { // this goroutine is home
		log.Fatal(err)
	}
	return loop
}

func Example() {
	loop := exampleLoop()
	defer loop.Close()
	coroutine.Go(loop, func(co *coroutine.Co) error {
		for i := range 3 {
			fmt.Println("step", i)
			if err := co.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	if err := loop.RunUntilDone(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// step 0
	// step 1
	// step 2
}

// Wait makes one line of something that calls back.
func ExampleCo() {
	loop := exampleLoop()
	defer loop.Close()
	coroutine.Go(loop, func(co *coroutine.Co) error {
		var answer int
		err := co.Wait(func(done func()) {
			go func() { // any goroutine may end it
				answer = 42
				done()
			}()
		})
		fmt.Println(answer, err)
		return err
	})
	_ = loop.RunUntilDone(context.Background())
	// Output: 42 <nil>
}

func ExampleGroup() {
	loop := exampleLoop()
	defer loop.Close()
	group := coroutine.NewGroup(context.Background(), loop)
	group.Go(func(co *coroutine.Co) error { return co.Sleep(time.Hour) }) // until the other fails
	group.Go(func(co *coroutine.Co) error { return errors.New("no such disk") })
	coroutine.Go(loop, func(co *coroutine.Co) error {
		fmt.Println(group.Wait(co))
		return nil
	})
	_ = loop.RunUntilDone(context.Background())
	// Output: no such disk
}

func ExampleMutex() {
	loop := exampleLoop()
	defer loop.Close()
	var m coroutine.Mutex
	for _, name := range []string{"first", "second"} {
		coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := m.Lock(co); err != nil {
				return err
			}
			defer m.Unlock(co)
			fmt.Println(name, "begins")
			if err := co.Sleep(time.Millisecond); err != nil { // the other one waits
				return err
			}
			fmt.Println(name, "ends")
			return nil
		})
	}
	_ = loop.RunUntilDone(context.Background())
	// Output:
	// first begins
	// first ends
	// second begins
	// second ends
}

func ExampleRWMutex() {
	loop := exampleLoop()
	defer loop.Close()
	var m coroutine.RWMutex
	for range 2 {
		coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := m.RLock(co); err != nil {
				return err
			}
			defer m.RUnlock(co)
			fmt.Println("reads")
			return co.Sleep(time.Millisecond)
		})
	}
	coroutine.Go(loop, func(co *coroutine.Co) error {
		if err := m.Lock(co); err != nil {
			return err
		}
		defer m.Unlock(co)
		fmt.Println("writes")
		return nil
	})
	_ = loop.RunUntilDone(context.Background())
	// Output:
	// reads
	// reads
	// writes
}

func ExampleSemaphore() {
	loop := exampleLoop()
	defer loop.Close()
	var slots coroutine.Semaphore
	slots.Release(2)
	running, most := 0, 0
	for range 10 {
		coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := slots.Acquire(co, 1); err != nil {
				return err
			}
			defer slots.Release(1)
			running++
			most = max(most, running)
			err := co.Sleep(0)
			running--
			return err
		})
	}
	_ = loop.RunUntilDone(context.Background())
	fmt.Println("at most", most)
	// Output: at most 2
}

func ExampleQueue() {
	loop := exampleLoop()
	defer loop.Close()
	var filled coroutine.Queue
	var stock []string
	coroutine.Go(loop, func(co *coroutine.Co) error {
		for len(stock) == 0 {
			if err := filled.Wait(co, nil); err != nil {
				return err
			}
		}
		fmt.Println("takes", stock[0])
		return nil
	})
	stock = append(stock, "a request")
	filled.Next()
	// Output: takes a request
}

func ExampleSharedMutex() {
	var m coroutine.SharedMutex
	total := 0
	ended := make(chan error)
	for range 2 {
		go func() {
			loop := exampleLoop()
			for range 100 {
				coroutine.Go(loop, func(co *coroutine.Co) error {
					if err := m.Lock(co); err != nil {
						return err
					}
					defer m.Unlock(co)
					total++
					return nil
				})
			}
			err := loop.RunUntilDone(context.Background())
			ended <- errors.Join(err, loop.Close())
		}()
	}
	fmt.Println(<-ended, <-ended, total)
	// Output: <nil> <nil> 200
}

func ExampleUseError() {
	loop := exampleLoop()
	defer loop.Close()
	co := coroutine.Go(loop, func(co *coroutine.Co) error {
		co.Named("reader")
		return co.Sleep(time.Millisecond)
	})
	_ = co.Wake() // no Yield takes it yet
	var use *coroutine.UseError
	if errors.As(co.Wake(), &use) {
		fmt.Println(use.Coroutine, "was", use.Problem)
	}
	_ = loop.RunUntilDone(context.Background())
	// Output: reader was woken twice
}

func ExamplePanicError() {
	loop := exampleLoop()
	defer loop.Close()
	var co *coroutine.Co
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		co = coroutine.Go(loop, func(co *coroutine.Co) error {
			if err := co.Sleep(0); err != nil {
				return err
			}
			panic("out of range")
		})
		_ = loop.RunUntilDone(context.Background())
	}()
	var p *coroutine.PanicError
	fmt.Println(errors.As(co.Err(), &p) && p.Value == "out of range")
	// Output:
	// recovered out of range
	// true
}
