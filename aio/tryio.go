//go:build linux

package aio

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// WatchConn is Watch for what package net or os has opened: a net.Conn, net.PacketConn,
// net.Listener or *os.File that is non-blocking. It stays the caller's, who closes it after the
// handler. The handler keeps it from the garbage collector, which would close the descriptor, and
// its flags stay as they are: File.Fd of package os would make it block.
//
// conn may have deadlines of its own, and other goroutines may use it; what they read the loop
// does not see. It fails like Watch, and if conn is closed.
func (c *Context) WatchConn(conn syscall.Conn, cb Callbacks) (h *Handler, err error) {
	if err := cb.check(); err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, c.error(err)
	}
	keep := cb.keep()
	keep.hooks = keep.own()
	keep.conn = conn
	controlErr := raw.Control(func(fd uintptr) { // while this runs, fd stays open
		if err = c.check(int(fd), &cb); err == nil {
			h, err = c.watchFD(int(fd), keep)
		}
	})
	if controlErr != nil {
		return nil, c.error(controlErr)
	}
	return h, err
}

// TryRead reads what is there, and does not wait for more if the descriptor is non-blocking: n is
// 0, without an error, if there is nothing at the moment, because Read may be called for nothing.
// It fails with io.EOF at the end, with ErrClosed after Close, and with the errno of read(2): EIO
// of a terminal whose other end is closed, for example. The home goroutine calls it.
func (h *Handler) TryRead(b []byte) (n int, err error) {
	if h.cb.Load() == nil {
		return 0, ErrClosed
	}
	for range sys.MaxInterrupts {
		if n, err = unix.Read(int(h.fd), b); err != unix.EINTR {
			break
		}
	}
	if n == 0 && err == nil && len(b) > 0 {
		return 0, io.EOF
	}
	return later("read", n, err)
}

// TryWrite writes as much of b as there is room for, and does not wait for more if the descriptor is
// non-blocking: n may be less than len(b), and 0, without an error. What is left is for Write, see
// Want. It fails with ErrClosed after Close, and with the errno of write(2). The home goroutine
// calls it.
func (h *Handler) TryWrite(b []byte) (n int, err error) {
	if h.cb.Load() == nil {
		return 0, ErrClosed
	}
	for range sys.MaxInterrupts {
		if n, err = unix.Write(int(h.fd), b); err != unix.EINTR {
			break
		}
	}
	return later("write", n, err)
}

// later makes nothing of an error that says that there is nothing to do at the moment.
func later(call string, n int, err error) (int, error) {
	switch err {
	case nil:
		return n, nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError(call, err)
}
