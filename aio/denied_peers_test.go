package aio

import (
	"testing"

	"golang.org/x/sys/unix"
)

// What a peer at the other end of a descriptor cannot do, see docs/security.md.

// A peer that never stops sending is one call in each iteration, and delays a
// bottom half and a timer by no more than that.
func TestPeersThatFloodTakeOneCallEach(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		const peers, turns = 3, 50
		var calls [peers]int
		for i := range peers {
			n := notifier(t)
			must(t, n.Set()) // and never cleared
			watch(t, c, n.FD(), Callbacks{Read: func(*Handler) { calls[i]++ }})
		}
		var halves, timers int
		half := c.NewBottomHalf(func() { halves++ })
		timer := c.NewTimer(Realtime, func() { timers++ })
		for turn := 1; turn <= turns; turn++ {
			must(t, half.Schedule())
			must(t, timer.Reset(0))
			block(t, c)
			if halves != turn || timers != turn {
				t.Fatalf("iteration %d: %d bottom halves and %d timers have run", turn, halves, timers)
			}
		}
		for i, n := range calls {
			if n > turns || n < turns-2 { // the first ones may come before the kernel was asked
				t.Errorf("peer %d: %d calls in %d iterations", i, n, turns)
			}
		}
	})
}

// Urgent data (MSG_OOB) is for no one: no handler asks for it, so it wakes no loop
// for good, and what follows arrives.
func TestUrgentDataOfAPeerDoesNotSpin(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		ours, theirs := tcpPair(t)
		calls, got := 0, 0
		watch(t, c, ours, Callbacks{Read: func(*Handler) {
			calls++
			got += len(read(ours, 16))
		}})
		must(t, unix.Sendto(theirs, []byte("!"), unix.MSG_OOB|unix.MSG_NOSIGNAL, nil))
		for range 100 {
			turn(t, c)
		}
		if calls > 2 || got != 0 {
			t.Errorf("%d calls and %d bytes for an urgent byte", calls, got)
		}
		write(t, theirs, "abc")
		pollUntil(t, c, func() bool { return got == 3 })
	})
}

// tcpPair returns the two ends of a connection over the loopback, non-blocking.
func tcpPair(t *testing.T) (accepted, connected int) {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return owned(t, fd, err)
	}
	listener, connected := socket(), socket()
	must(t, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(listener, 1))
	at, err := unix.Getsockname(listener)
	must(t, err)
	if err := unix.Connect(connected, at); err != nil {
		t.Skip("skipped: no loopback interface:", err)
	}
	accepted, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return owned(t, accepted, err), connected
}
