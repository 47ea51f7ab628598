//go:build linux

package aio_test

import (
	"fmt"
	"log"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// hostLoop is a loop by hand, with descriptors and a tick of its own and a guest.
type hostLoop struct {
	guest *aio.Context
	own   []unix.PollFd
	ready func(fd int32)
	fds   []unix.PollFd // own ones first, then the guest's
}

// turn waits once, for no longer than limit, and handles what has happened.
func (l *hostLoop) turn(limit time.Duration) error {
	timeout, err := l.guest.Prepare()
	if err != nil {
		return err
	}
	if timeout < 0 || timeout > limit { // negative: the guest has nothing to wait for but events
		timeout = limit
	}
	l.fds = l.guest.Query(append(l.fds[:0], l.own...)) // the guest's may be others in each turn
	wait := unix.NsecToTimespec(int64(timeout))
	if _, err := unix.Ppoll(l.fds, &wait, nil); err != nil {
		if err != unix.EINTR { // a signal: nothing is known to be ready, and the turn goes on
			return err
		}
	}
	for _, p := range l.fds[:len(l.own)] {
		if p.Revents != 0 {
			l.ready(p.Fd)
		}
	}
	found, err := l.guest.Check(l.fds[len(l.own):]) // even if nothing has happened: it ends the turn
	if err != nil || !found {
		return err
	}
	_, err = l.guest.Dispatch()
	return err
}

// A loop of one's own waits for its descriptors and for an AioContext together. The
// goroutine that calls Prepare is the home goroutine; others wake the foreign loop with a
// bottom half, as they would wake Run.
func ExampleContext_Query() {
	guest, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer guest.Close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])

	done := false
	answer := guest.NewBottomHalf(func() {
		fmt.Println("the guest: a bottom half")
		unix.Write(pipe[1], []byte("x"))
	})
	guest.AfterFunc(time.Millisecond, func() {
		fmt.Println("the guest: a timer")
		go answer.Schedule() // wakes ppoll up
	})
	host := hostLoop{guest: guest, own: []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}}}
	host.ready = func(int32) {
		fmt.Println("the host: its own descriptor")
		done = true
	}
	for !done {
		if err := host.turn(time.Hour); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// the guest: a timer
	// the guest: a bottom half
	// the host: its own descriptor
}
