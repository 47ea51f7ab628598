//go:build linux

package aio_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"syscall"

	"github.com/aioloop/aioloop/aio"
)

// links follows the network interfaces.
type links struct {
	fd  int
	buf [32 << 10]byte // the kernel makes no longer ones; of one that is too long it drops the rest
}

// openLinks subscribes to all changes. Any user may.
func openLinks() (*links, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	group := uint32(1) << (syscall.RTNLGRP_LINK - 1)
	if err := syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: group}); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return &links{fd: fd}, nil
}

// ask makes the kernel send the list of all interfaces, as if each were new. It comes after
// the subscription, so that no change is missed in between.
func (l *links) ask() error {
	request := struct {
		syscall.NlMsghdr
		syscall.IfInfomsg
	}{NlMsghdr: syscall.NlMsghdr{
		Len: syscall.SizeofNlMsghdr + syscall.SizeofIfInfomsg, Type: syscall.RTM_GETLINK,
		Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_DUMP,
	}}
	b, err := binary.Append(nil, binary.NativeEndian, request)
	if err != nil {
		return err
	}
	err = syscall.Sendto(l.fd, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
	return os.NewSyscallError("sendto", err)
}

// receive returns the messages of one datagram.
func (l *links) receive() ([]syscall.NetlinkMessage, error) {
	n, from, err := syscall.Recvfrom(l.fd, l.buf[:], 0)
	switch sender, ok := from.(*syscall.SockaddrNetlink); {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return nil, nil
	case errors.Is(err, syscall.ENOBUFS): // the socket was full: changes are lost
		return nil, l.ask()
	case err != nil:
		return nil, os.NewSyscallError("recvfrom", err)
	case !ok || sender.Pid != 0: // another process, not the kernel
		return nil, nil
	}
	return syscall.ParseNetlinkMessage(l.buf[:n])
}

// name returns the interface that a message is about.
func name(m *syscall.NetlinkMessage) string {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return err.Error()
	}
	for _, a := range attributes {
		if a.Attr.Type == syscall.IFLA_IFNAME {
			return string(bytes.TrimRight(a.Value, "\x00"))
		}
	}
	return ""
}

// Network interfaces as they come, change and go, for an ordinary user. This one stops
// when it has the list of those that are there, and prints the one that is always there.
func ExampleContext_Watch_netlink() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	l, err := openLinks()
	if err != nil {
		log.Fatal(err)
	}
	defer syscall.Close(l.fd)

	_, err = loop.Watch(l.fd, aio.Callbacks{Read: func(h *aio.Handler) {
		messages, err := l.receive()
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case syscall.RTM_NEWLINK: // new, or changed
				if name(&m) == "lo" {
					fmt.Println("there is lo")
				}
			case syscall.RTM_DELLINK:
				fmt.Println("gone:", name(&m))
			case syscall.NLMSG_ERROR:
				log.Fatal("the kernel refuses to list the interfaces")
			case syscall.NLMSG_DONE: // the end of the list
				h.Close()
			}
		}
	}, Name: "links"})
	if err != nil {
		log.Fatal(err)
	}
	if err := l.ask(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(loop.RunUntilDone(context.Background()))
	// Output:
	// there is lo
	// <nil>
}
