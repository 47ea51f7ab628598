package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// openTun makes an interface, which lasts until the descriptor is closed, and returns its name.
func openTun(name string) (fd int, made string, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, "", &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return -1, "", errors.Join(fmt.Errorf("name %q: %w", name, err), unix.Close(fd))
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI) // IP packets, and nothing before them
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: CAP_NET_ADMIN is missing: try it in unshare -rn", err)
		}
		return -1, "", errors.Join(os.NewSyscallError("TUNSETIFF", err), unix.Close(fd))
	}
	return fd, ifr.Name(), nil
}

// configure gives the interface its address and sets it up. The socket is any: the kernel
// takes these requests on each.
func configure(name string, address netip.Prefix) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(socket)
	ip := address.Addr().As4()
	for _, step := range []struct {
		what    string
		request uint
		set     func(*unix.Ifreq) error
	}{
		{"SIOCSIFADDR", unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
		{"SIOCSIFNETMASK", unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(net.CIDRMask(address.Bits(), 32)) }},
		{"SIOCSIFFLAGS", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := step.set(ifr); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(socket, step.request, ifr); err != nil {
			return os.NewSyscallError(step.what, err)
		}
	}
	return nil
}
