package aio

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Trap 34: a tun descriptor has no wait queue before it has an interface. On each backend
// its packets are reported after a Change, one with the same callbacks too.
func TestTrap34_TunIsWatchedBeforeItHasAnInterface(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Skip("skipped: no tun device:", err)
		}
		defer unix.Close(fd)
		c := newLoop()
		packets := 0
		cb := Callbacks{Read: func(*Handler) {
			for n := 1; n > 0; {
				if n, _ = unix.Read(fd, make([]byte, 2048)); n > 0 {
					packets++
				}
			}
		}}
		h, err := c.Watch(fd, cb)
		must(t, err)
		defer h.Close()
		turn(t, c)
		name := giveInterface(t, fd)
		turn(t, c)
		must(t, h.Change(cb))
		settle(t, c)
		packets = 0
		bringUp(t, name) // the kernel looks for routers then
		sendThrough(t, name)
		deadline := machineTime() + prompt
		for packets == 0 && machineTime() < deadline {
			turn(t, c)
		}
		if packets == 0 {
			t.Error("no packet was reported")
		}
	})
}

// giveInterface makes the descriptor's interface.
func giveInterface(t *testing.T, fd int) (name string) {
	t.Helper()
	ifr, err := unix.NewIfreq(fmt.Sprintf("aio%d", machineTime()%1e9))
	must(t, err)
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Skip("skipped: no tun interface (CAP_NET_ADMIN):", err)
	}
	return ifr.Name()
}

func bringUp(t *testing.T, name string) {
	t.Helper()
	s := socket(t)
	ifr, err := unix.NewIfreq(name)
	must(t, err)
	must(t, unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr))
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	must(t, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr))
}

// sendThrough broadcasts a datagram on the interface, which has no address.
func sendThrough(t *testing.T, name string) {
	t.Helper()
	s := socket(t)
	must(t, unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	must(t, unix.SetsockoptString(s, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name))
	must(t, unix.Sendto(s, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{255, 255, 255, 255}}))
}

func socket(t *testing.T) int {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(s) })
	return s
}

// Trap 35: poll(2) takes no descriptor under a limit of 0. A program that has given up
// opening files goes on to watch those that are open; on ppoll the error names the limit.
func TestTrap35_WatchUnderALimitOfNoFiles(t *testing.T) {
	for _, d := range []driver{byPoll, byPark} { // a foreign loop meets the limit itself
		for _, b := range realBackends {
			if runsWith(t, d) && (d != byPark || b != Ppoll) {
				eachLoop(t, b, d, watchWithoutFiles)
			}
		}
	}
}

func watchWithoutFiles(t *testing.T, newLoop maker) {
	c := newLoop()
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(t, err)
	defer unix.Close(fd)
	lift := limitFiles(t, 0)
	defer lift()
	_, err = c.Watch(1<<20, Callbacks{Read: func(*Handler) {}})
	wantError(t, err, unix.EBADF)
	calls := 0
	h, err := c.Watch(fd, Callbacks{Read: func(*Handler) { calls++ }})
	must(t, err)
	_, err = c.TryPoll()
	lift()
	must(t, h.Close())
	switch {
	case c.Backend().Name == "ppoll":
		if err == nil || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
			t.Errorf("the error does not name the limit: %v", err)
		}
	case err != nil || calls != 1:
		t.Errorf("%d calls, %v", calls, err)
	}
}

func limitFiles(t *testing.T, n uint64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: before.Max}))
	return func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)) }
}

// Trap 39: an epoll descriptor of others is watched, or the error says what the limit is.
func TestTrap39_NestedEpollDescriptors(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		must(t, err)
		defer unix.Close(fd)
		for range 5 {
			outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			must(t, err)
			defer unix.Close(outer)
			must(t, unix.EpollCtl(outer, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
			fd = outer
		}
		h, err := c.Watch(fd, Callbacks{Read: func(*Handler) {}})
		switch {
		case err == nil:
			must(t, h.Close())
		case !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), "nest"):
			t.Errorf("%v: says nothing of nesting", err)
		}
	})
}
