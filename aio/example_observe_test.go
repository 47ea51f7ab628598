//go:build linux

package aio_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// How much of its time a loop is busy.
func ExampleWithTimings() {
	loop, err := aio.New(aio.WithTimings())
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.ScheduleOnce(func() { time.Sleep(2 * time.Millisecond) })
	loop.Poll()
	s := loop.Stats()
	fmt.Println(s.Busy >= 2*time.Millisecond, s.LongestCallback >= 2*time.Millisecond)
	// Output: true true
}

// A callback that keeps all others waiting is reported.
func ExampleWithSlowCallback() {
	report := func(s aio.SlowCallback) { fmt.Println("slow:", s.Loop, s.Kind, s.Name) }
	loop, err := aio.New(aio.WithName("net"), aio.WithSlowCallback(time.Millisecond, report))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.NewBottomHalf(func() { time.Sleep(2 * time.Millisecond) }).Named("flush").Schedule()
	loop.Poll()
	// Output: slow: net bottom-half flush
}

// What is reported has a text, too.
func ExampleSlowCallback() {
	s := aio.SlowCallback{Loop: "net", Kind: aio.TraceTimer, Name: "retry", Duration: time.Second}
	fmt.Println(strings.Contains(s.String(), "retry"))
	// Output: true
}

// A descriptor that is closed before its handler is a mistake that is hard to find.
func ExampleWithDebug() {
	loop, err := aio.New(aio.WithBackend(aio.Epoll), aio.WithDebug(func(err error) {
		fmt.Println("a mistake:", strings.Contains(err.Error(), "control socket"))
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := loop.Watch(fd, aio.Callbacks{Read: func(*aio.Handler) {}, Name: "control socket"})
	if err != nil {
		log.Fatal(err)
	}
	loop.TryPoll()
	unix.Close(fd) // too early
	loop.TryPoll()
	handler.Close()
	// Output: a mistake: true
}

// What a loop has to do, asked for from another goroutine.
func ExampleSnapshot() {
	loop, stop := runningLoop()
	defer stop()
	retry := loop.NewTimer(aio.Realtime, func() {}).Named("retry")
	retry.Reset(time.Hour)
	s, err := loop.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	for _, timer := range s.Timers {
		fmt.Println(timer.Name, "on clock", timer.Clock)
	}
	retry.Close()
	// Output: retry on clock realtime
}

// A loop that nothing polls does nothing.
func ExampleLoopState() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	s, err := loop.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.State)
	// Output: not polled
}

// The handlers of a loop, and what they wait for.
func ExampleHandlerState() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	n, err := aio.NewEventNotifier()
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	handler, err := loop.WatchNotifier(n, aio.Callbacks{Read: func(*aio.Handler) {}, Name: "doorbell"})
	if err != nil {
		log.Fatal(err)
	}
	defer handler.Close()
	s, err := loop.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range s.Handlers {
		fmt.Println(h.Name, h.Events.Readable(), h.Watched)
	}
	// Output: doorbell true true
}

// The timers of a loop, the earliest first.
func ExampleTimerState() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	late := loop.NewTimer(aio.Realtime, func() {}).Named("late")
	early := loop.NewTimer(aio.Realtime, func() {}).Named("early")
	late.Reset(2 * time.Hour)
	early.Reset(time.Hour)
	s, err := loop.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	for _, timer := range s.Timers {
		fmt.Println(timer.Name, "in", timer.In.Round(time.Minute))
	}
	late.Stop()
	early.Stop()
	loop.Close()
	// Output:
	// early in 1h0m0s
	// late in 2h0m0s
}

// Which callback hangs.
func ExampleRunningCallback() {
	thread, err := aio.StartIOThread("disk", aio.WithTimings())
	if err != nil {
		log.Fatal(err)
	}
	loop, hangs := thread.Context(), make(chan struct{})
	loop.NewBottomHalf(func() {
		hangs <- struct{}{}
		<-hangs
	}).Named("flush").Schedule()
	<-hangs
	s, err := loop.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	for _, running := range s.Running {
		fmt.Println(running.Kind, running.Name)
	}
	close(hangs)
	fmt.Println(thread.Stop(context.Background()))
	// Output:
	// bottom-half flush
	// <nil>
}
