// Tun makes a network interface and sends each IPv4 packet that is routed there back with
// source and destination exchanged: a ping to any address behind it is answered by the
// machine itself. It needs CAP_NET_ADMIN, which everyone has in a namespace of their own:
//
//	go build ./examples/tun
//	unshare -rn sh -c './tun & sleep 1; ping -c 3 10.99.0.2'
//
// Control-C ends it, and the interface with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func main() {
	log.SetFlags(0)
	var backend aio.Backend
	flag.Var(&backend, "backend", "auto, ppoll, epoll or io_uring")
	name := flag.String("name", "tun%d", "what the interface is called; the kernel puts a number for %d")
	prefix := flag.String("address", "10.99.0.1/24", "its address, and how long the prefix is that it leads to")
	flag.Parse()
	address, err := netip.ParsePrefix(*prefix)
	if err != nil || !address.Addr().Is4() {
		log.Fatal("tun: choose an -address such as 10.99.0.1/24")
	}
	if err := run(backend, *name, address); err != nil {
		log.Fatal("tun: ", err)
	}
}

func run(backend aio.Backend, name string, address netip.Prefix) (err error) {
	loop, err := aio.New(aio.WithBackend(backend))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()
	// The interface comes before the watch: without one the kernel reports nothing but an error.
	fd, name, err := openTun(name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := configure(name, address); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &mirror{fd: fd, stop: stop}
	handler, err := loop.Watch(fd, aio.Callbacks{Read: m.read, Name: name})
	if err != nil {
		return err
	}
	defer handler.Close()
	fmt.Printf("%s has %v, with %v\n", name, address, loop.Backend())
	err = loop.Run(ctx)
	fmt.Printf("%d packets sent back, %d dropped\n", m.sent, m.dropped)
	return errors.Join(err, m.err)
}

// mirror sends back what it reads.
type mirror struct {
	fd            int
	buf           [64 << 10]byte // a packet; the interface's MTU may be raised
	sent, dropped int

	stop context.CancelFunc
	err  error // why it has stopped
}

// burst is how many packets one callback handles. For more the loop calls again, after
// its other handlers and timers.
const burst = 64

func (m *mirror) read(*aio.Handler) {
	for range burst {
		n, err := unix.Read(m.fd, m.buf[:]) // one packet each
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return
		case err != nil: // EBADFD: the interface was deleted
			m.err = os.NewSyscallError("read", err)
			m.stop()
			return
		}
		m.reflect(m.buf[:n])
	}
}

// reflect does not wait where the kernel has no room: an IP network may drop packets.
func (m *mirror) reflect(packet []byte) {
	if exchange(packet) {
		if _, err := unix.Write(m.fd, packet); err == nil {
			m.sent++
			return
		}
	}
	m.dropped++
}

// exchange swaps the addresses of an IPv4 packet, which changes no checksum, and reports
// whether it is one.
func exchange(packet []byte) bool {
	const header, source, destination = 20, 12, 16
	if len(packet) < header || packet[0]>>4 != 4 {
		return false
	}
	from, to := [4]byte(packet[source:]), [4]byte(packet[destination:])
	copy(packet[source:], to[:])
	copy(packet[destination:], from[:])
	return true
}
