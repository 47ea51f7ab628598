package feature

import (
	"errors"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// The features that the backends ask for.
var (
	EpollPwait2   = &Feature{Name: "epoll_pwait2", Since: "5.11", probe: epollPwait2}
	IOUring       = &Feature{Name: "io_uring", Since: "5.1", probe: setup(0)}
	ExtArg        = &Feature{Name: "io_uring wait with a timeout", Since: "5.11", probe: ringFeature(uring.FeatExtArg)}
	MultishotPoll = &Feature{Name: "io_uring multishot poll", Since: "5.13", probe: multishotPoll}
	TaskrunFlag   = &Feature{Name: "io_uring COOP_TASKRUN and TASKRUN_FLAG", Since: "5.19", probe: setup(abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG)}
	SingleIssuer  = &Feature{Name: "io_uring SINGLE_ISSUER", Since: "6.0", probe: setup(uring.SetupSingleIssuer)}
	DeferTaskrun  = &Feature{Name: "io_uring DEFER_TASKRUN", Since: "6.1", probe: setup(uring.SetupSingleIssuer | uring.SetupDeferTaskrun)}
	NoIowait      = &Feature{Name: "io_uring wait without iowait", Since: "6.15", probe: ringFeature(uring.FeatNoIowait)}
)

func epollPwait2() error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	sys.Opened(epfd, sys.KindEventpoll)
	defer unix.Close(epfd)
	_, err = sys.EpollPwait2(epfd, make([]unix.EpollEvent, 1), &sys.Timespec64{})
	return refusal(err)
}

// refusal marks an answer as final. A kernel that lacks a call or an argument says
// ENOSYS or EINVAL, a seccomp filter whatever its author chose.
func refusal(err error) error {
	if err == nil || passing(err) {
		return err
	}
	return notSupported(err)
}

// passing reports whether err may be gone the next time: it is about this process or
// this moment, not about the kernel.
func passing(err error) bool {
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.EBUSY, unix.EINTR, unix.EBADF, unix.EFAULT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// setup probes whether a ring can be made with the flags.
func setup(flags uint32) func() error {
	return func() error {
		return withRing(flags, func(*uring.Ring) error { return nil })
	}
}

// ringFeature probes a feature that the kernel announces with each ring.
func ringFeature(bit uint32) func() error {
	return func() error {
		return withRing(0, func(r *uring.Ring) error {
			if !r.Has(bit) {
				return notSupported(unix.EINVAL)
			}
			return nil
		})
	}
}

func withRing(flags uint32, f func(*uring.Ring) error) error {
	r, err := uring.New(2, 0, flags)
	switch {
	case errors.Is(err, unix.EPERM): // the sysctl can change at any time: ask again
		return err
	case err != nil:
		return refusal(err)
	}
	defer r.Close()
	return f(r)
}

// multishotPoll polls an eventfd that is ready: where the flag is unknown the
// completion is EINVAL.
func multishotPoll() error {
	return withRing(0, func(r *uring.Ring) error {
		fd, err := sys.NewEventfd()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := sys.WriteEventfd(fd); err != nil {
			return err
		}
		e := r.Next()
		e.PrepOperation(abi.IORING_OP_POLL_ADD, int32(fd), 0, uring.PollAddMulti, 0)
		e.SetOpFlags(unix.POLLIN)
		if err := r.Submit(); err != nil {
			return err
		}
		return multishotAnswer(r.Peek())
	})
}

func multishotAnswer(c *uring.CQE) error {
	switch {
	case c == nil:
		return errors.New("the poll of a ready descriptor did not complete")
	case c.Result() < 0:
		return refusal(unix.Errno(-c.Result()))
	case c.Flags()&uring.CQEMore == 0:
		return notSupported(unix.EINVAL)
	}
	return nil
}
