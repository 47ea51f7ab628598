package mainloop

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// signalBatch is how many signals are read, or delivered by a bridge, in one go. A
// flood of signals does not keep the loop from its other work for longer.
const signalBatch = 64

// signalFD reads signals from a signalfd(2). What is not guarded by the mutex of
// Signals belongs to the home goroutine.
type signalFD struct {
	fd    int
	mask  signalMask // what fd takes from the kernel; guarded by Signals.mu
	watch *aio.Handler
	kept  *aio.BottomHalf // delivers what Signals has kept

	deliver func(SignalInfo)
	more    *aio.BottomHalf // scheduled while there is something in unread and a handler runs
	unread  []byte          // part of buf: records that were not delivered
	buf     [signalBatch * signalRecord]byte
	err     error // of the first read that failed
}

// newSignalFD returns one that takes no signals yet. deliver and kept are called
// on the home goroutine of c.
func newSignalFD(c *aio.Context, deliver func(SignalInfo), kept func()) (*signalFD, error) {
	fd, err := unix.Signalfd(-1, signalMask(0).sigset(), unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("signalfd4", err)
	}
	sys.Opened(fd, sys.KindSignalfd)
	f := &signalFD{fd: fd, deliver: deliver}
	f.more = c.NewBottomHalf(f.drain).Named("signals that were read")
	f.kept = c.NewBottomHalf(kept).Named("signals that were kept")
	f.watch, err = c.Watch(fd, aio.Callbacks{Read: f.read, Name: "signalfd"})
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return f, nil
}

// set changes what is taken from the kernel. A loop that waits takes notice.
func (f *signalFD) set(mask signalMask) error {
	if _, err := unix.Signalfd(f.fd, mask.sigset(), 0); err != nil {
		return os.NewSyscallError("signalfd4", err)
	}
	f.mask = mask
	return nil
}

// read takes a batch from the kernel and delivers it.
func (f *signalFD) read(*aio.Handler) {
	if len(f.unread) == 0 { // else a handler has begun another turn, or has panicked
		f.fill()
	}
	f.drain()
}

func (f *signalFD) fill() {
	n, err := unix.Read(f.fd, f.buf[:])
	switch {
	case err == nil:
		f.unread = f.buf[:n-n%signalRecord] // the kernel gives whole records
	case err != unix.EAGAIN && err != unix.EINTR: // another part of the program has closed the descriptor
		f.err = os.NewSyscallError("read from signalfd", err)
		_ = f.watch.Close()
	}
}

// drain delivers what was read. A handler may begin another turn, and so come here again,
// and it may panic: what is left is then delivered by the bottom half.
func (f *signalFD) drain() {
	for len(f.unread) > 0 {
		info := decodeSignal(f.unread)
		f.unread = f.unread[signalRecord:]
		if len(f.unread) > 0 {
			_ = f.more.Schedule()
		} else {
			f.more.Cancel()
		}
		if info.Signal >= 1 && info.Signal <= maxSignal {
			f.deliver(info)
		}
	}
}

// close leaves what was not read to the kernel, where it stays pending.
func (f *signalFD) close() error {
	f.more.Close()
	f.kept.Close()
	err := f.watch.Close()
	if f.err != nil { // the watch is closed, and the descriptor is not ours any more
		return f.err
	}
	return errors.Join(err, unix.Close(f.fd))
}
