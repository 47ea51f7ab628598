//go:build linux

package aio_test

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
)

// A loop with a goroutine of its own. What is left in it when it is stopped is an error.
func ExampleIOThread() {
	thread, err := aio.StartIOThread("disk")
	if err != nil {
		log.Fatal(err)
	}
	loop := thread.Context()
	fmt.Println(loop.Name(), loop.OnHome())
	loop.Do(context.Background(), func() error {
		fmt.Println("on the I/O thread:", loop.OnHome())
		return nil
	})
	loop.NewTimer(aio.Realtime, func() {}).Named("flush").Reset(time.Hour)
	fmt.Println(thread.Stop(context.Background()))
	// Output:
	// disk false
	// on the I/O thread: true
	// aio: loop "disk" closed with 1 pending timers (flush)
}

// A callback of the main loop waits for requests on an I/O thread, whose results come back to the
// main loop in the meantime.
func ExampleContext_WaitWhile() {
	disk, err := aio.StartIOThread("disk")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer disk.Stop(ctx)
	main, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer main.Close()

	var flying atomic.Int32
	request := func(number int) {
		flying.Add(1)
		disk.Context().ScheduleOnce(func() {
			main.ScheduleOnce(func() { fmt.Println("result", number) })
			flying.Add(-1)
			aio.KickWaiters()
		})
	}
	main.ScheduleOnce(func() {
		request(1)
		request(2)
		err := disk.Context().WaitWhile(ctx, func() bool { return flying.Load() > 0 })
		fmt.Println("in flight:", flying.Load(), err)
	})
	main.RunUntilDone(ctx)
	// Unordered output:
	// result 1
	// result 2
	// in flight: 0 <nil>
}

// A goroutine that has no loop blocks until the condition has changed.
func ExampleKickWaiters() {
	loop, stop := runningLoop()
	defer stop()
	var ready atomic.Bool
	loop.AfterFunc(time.Millisecond, func() {
		ready.Store(true)
		aio.KickWaiters()
	})
	err := loop.WaitWhile(context.Background(), func() bool { return !ready.Load() })
	fmt.Println(ready.Load(), err)
	// Output: true <nil>
}

// An operator trades CPU time for latency, and back, while the program runs.
func ExampleContext_SetPolling() {
	loop, stop := runningLoop()
	defer stop()
	fmt.Println(loop.SetPolling(aio.Polling{Max: 32 * time.Microsecond}))
	fmt.Println(loop.SetPolling(aio.Polling{}))
	// Output:
	// <nil>
	// <nil>
}
