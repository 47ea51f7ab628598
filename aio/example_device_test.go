//go:build linux

package aio_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// squarer is a device. A driver puts numbers into its queue and rings its doorbell. The device
// takes some time for each number, and replies with its square.
type squarer struct {
	queue    chan int           // from the driver
	doorbell *aio.EventNotifier // the driver sets it
	reply    func(square int)   // called on the home goroutine

	rings *aio.Handler
	work  *aio.Timer // pending while the device works on the first number of the queue
	send  *aio.BottomHalf

	takes time.Duration // how long the work on one number takes
	done  []int         // squares to reply with; only callbacks use it: no lock
}

func newSquarer(loop *aio.Context, takes time.Duration, reply func(square int)) (*squarer, error) {
	doorbell, err := aio.NewEventNotifier()
	if err != nil {
		return nil, err
	}
	d := &squarer{queue: make(chan int, 16), doorbell: doorbell, reply: reply, takes: takes}
	d.work = loop.NewTimer(aio.Virtual, d.worked).Named("squarer")
	d.send = loop.NewBottomHalf(d.sendReplies).Named("squarer")
	d.rings, err = loop.WatchNotifier(doorbell, aio.Callbacks{Read: d.rung, Name: "squarer"})
	if err != nil {
		return nil, errors.Join(err, doorbell.Close())
	}
	return d, nil
}

// rung is called when the doorbell was rung, however often, and now and then for nothing.
func (d *squarer) rung(*aio.Handler) {
	if len(d.queue) > 0 && !d.work.Pending() {
		d.work.Reset(d.takes)
	}
}

// worked is called by the timer.
func (d *squarer) worked() {
	n := <-d.queue
	d.done = append(d.done, n*n)
	d.send.Schedule()
	if len(d.queue) > 0 {
		d.work.Reset(d.takes)
	}
}

// sendReplies is the bottom half.
func (d *squarer) sendReplies() {
	for _, square := range d.done {
		d.reply(square)
	}
	d.done = d.done[:0]
}

// Close ends the device. It is called on the home goroutine, or when the loop does not run.
func (d *squarer) Close() error {
	return errors.Join(d.rings.Close(), d.doorbell.Close(), d.work.Close(), d.send.Close())
}

// The device of docs/first-device.md, and a driver on another goroutine.
func Example_firstDevice() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	device, err := newSquarer(loop, time.Millisecond, func(square int) {
		if fmt.Println(square); square == 64 {
			stop()
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { // the driver
		device.queue <- 7
		device.queue <- 8
		device.doorbell.Set()
	}()
	fmt.Println(loop.Run(ctx), device.Close(), loop.Close())
	// Output:
	// 49
	// 64
	// <nil> <nil> <nil>
}

func TestSquarer(t *testing.T) {
	for _, choice := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run(choice.String(), func(t *testing.T) {
			clock := aio.NewVirtualClock()
			loop, err := aio.New(aio.WithBackend(choice), aio.WithVirtualClock(clock))
			if errors.Is(err, backend.ErrUnavailable) {
				t.Skip("skipped:", err)
			} else if err != nil {
				t.Fatal(err)
			}
			var replies []int
			device, err := newSquarer(loop, time.Hour, func(square int) { replies = append(replies, square) })
			if err != nil {
				t.Fatal(err)
			}

			device.queue <- 7
			device.doorbell.Set()
			for !device.work.Pending() { // the loop hears the doorbell
				loop.Poll()
			}
			if loop.TryPoll(); len(replies) > 0 {
				t.Error("the reply comes before the hour is over")
			}
			clock.Advance(time.Hour)
			for len(replies) == 0 { // the timer, then the bottom half
				loop.Poll()
			}
			if replies[0] != 49 {
				t.Errorf("the square of 7 is %d", replies[0])
			}

			if err := errors.Join(device.Close(), loop.Close()); err != nil {
				t.Error(err) // a *LeakError names what the device has left in the loop
			}
		})
	}
}
