package iouring

import (
	"errors"
	"os"
	"strings"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/backend/internal/fdtable"
	"github.com/aioloop/aioloop/internal/feature"
	"github.com/aioloop/aioloop/internal/uring"
)

// Sizes of the two queues, in entries. A full submission queue costs a system
// call more, a full completion queue makes the kernel allocate; neither loses
// anything. Together they take 3 pages, which count as locked memory of the user.
const (
	submissionEntries = 64
	completionEntries = 256

	maxCompletionEntries = 65536 // the kernel's limit, IORING_MAX_CQ_ENTRIES
)

// New returns an empty Poller. It fails with a *backend.UnavailableError that says
// what is in the way. Operations run with the credentials of the thread that
// submits them, see docs/security.md.
//
// Where the user's limit of locked memory is reached it waits up to a quarter of a second
// for the memory of closed rings.
func New() (*Poller, error) { return openPatiently(detect) }

// NewUnbound is New for a home goroutine that is not locked to a thread. To complete
// a request the kernel then interrupts the thread that has submitted it, whatever that
// does at the moment, so an event costs more than with New, and a file may be held after
// Remove until that thread has had a CPU.
func NewUnbound() (*Poller, error) {
	return openPatiently(func() config {
		c := detect()
		c.flags, c.unbound = 0, true
		return c
	})
}

func openPatiently(detect func() config) (p *Poller, err error) {
	err = patiently(func() error {
		p, err = open(detect())
		return err
	})
	return p, err
}

// config is what to make of the kernel's abilities. Tests take some of them away.
type config struct {
	sq, cq    uint32 // entries of the queues, halved while the kernel has no contiguous memory for them
	flags     uint32 // IORING_SETUP_*
	multishot bool
	extArg    bool // if the kernel has it
	unbound   bool // to a thread

	unknown error // why that could not be found out
}

func detect() config {
	c := config{sq: submissionEntries, cq: completionEntries, extArg: true}
	c.flags = c.setupFlags()
	c.multishot = c.has(feature.MultishotPoll)
	return c
}

// has probes a feature. A probe for which there was no descriptor or no memory says
// nothing about the kernel: New fails then, instead of making a plainer ring.
func (c *config) has(f *feature.Feature) bool {
	outcome, err := f.Check()
	if outcome == feature.Inconclusive && c.unknown == nil && exhausted(err) {
		c.unknown = err
	}
	return outcome == feature.Works
}

func exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

func open(c config) (*Poller, error) {
	if c.unknown != nil {
		return nil, unavailable(c.unknown)
	}
	ring, err := openRing(c)
	if err != nil {
		return nil, err
	}
	return &Poller{
		config:    c,
		ring:      ring,
		multishot: c.multishot,
		extArg:    c.extArg && ring.Has(uring.FeatExtArg),
		table:     fdtable.New[request](Name),
	}, nil
}

// openRing makes the ring of a Poller.
func openRing(c config) (*uring.Ring, error) {
	ring, err := uring.New(c.sq, c.cq, c.flags)
	for errors.Is(err, unix.ENOMEM) && c.sq > 1 {
		c.sq, c.cq = c.sq/2, c.cq/2
		ring, err = uring.New(c.sq, c.cq, c.flags)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if err := ring.Permitted(); err != nil {
		ring.Close()
		return nil, unavailable(err)
	}
	return ring, nil
}

// setupFlags chooses how the kernel is to deliver completions to the home thread.
func (c *config) setupFlags() uint32 {
	switch {
	case c.has(feature.DeferTaskrun):
		// When the home thread waits, and at no other time. It is not known yet:
		// Bind enables the ring, and that makes the caller the single issuer.
		return uring.SetupSingleIssuer | uring.SetupDeferTaskrun | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_R_DISABLED
	case c.has(feature.TaskrunFlag):
		// When the home thread enters the kernel for any reason, without an
		// interrupt. The thread that submits is the one that waits, so it does.
		return abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG
	}
	return 0
}

// unavailable finds out what is in the way of a ring.
func unavailable(err error) error {
	u := &backend.UnavailableError{Backend: Name, Op: "io_uring_setup", Err: err}
	var call *os.SyscallError
	if errors.As(err, &call) {
		u.Err = call.Err
		u.Op = strings.Replace(call.Syscall, "iouring_", "io_uring_", 1)
	}
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		// A kernel before 5.1, built without it, or without a setup flag. Some filters answer so too.
		u.Causes = []error{backend.ErrKernel}
		u.Advice = "choose epoll"
		if filtered() {
			u.Causes = append(u.Causes, backend.ErrSeccomp)
			u.Advice = seccompAdvice
		}
	case errors.Is(err, unix.EPERM):
		u.Causes, u.Advice = forbidden(sysctl())
	case errors.Is(err, unix.ENOMEM): // a ring counts as locked memory of the user, except on 5.12 to 6.13 and on 7.3
		u.Causes = []error{backend.ErrMemlock, backend.ErrMemory}
		u.Advice = "raise `ulimit -l` (LimitMEMLOCK= in systemd; 12 KiB a loop, counted over all processes of the user), have fewer loops, or choose epoll"
	case errors.Is(err, unix.EMFILE):
		u.Causes, u.Advice = []error{backend.ErrFDLimit}, "close descriptors or raise `ulimit -n`"
	case errors.Is(err, unix.ENFILE):
		u.Causes, u.Advice = []error{backend.ErrFDLimit}, "raise the sysctl fs.file-max"
	case filtered(): // a filter answers what its author chose
		u.Causes, u.Advice = []error{backend.ErrSeccomp}, seccompAdvice
	}
	return u
}

const seccompAdvice = "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile (containers: --security-opt seccomp=…), or choose epoll"

// forbidden tells the two senders of EPERM apart.
func forbidden(setting string) ([]error, string) {
	switch {
	case setting == "1": // only for members of a group, or CAP_SYS_ADMIN
		return []error{backend.ErrSysctl}, "set kernel.io_uring_disabled to 0, or join the group of kernel.io_uring_group"
	case setting == "2": // for no process
		return []error{backend.ErrSysctl}, "set kernel.io_uring_disabled to 0"
	case filtered():
		return []error{backend.ErrSeccomp}, seccompAdvice
	}
	return nil, "a security module may forbid it; choose epoll"
}

// sysctl returns the value of kernel.io_uring_disabled, Linux 6.6; "" before.
func sysctl() string {
	b, _ := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	return strings.TrimSpace(string(b))
}

// filtered reports whether this thread runs under a seccomp filter.
func filtered() bool {
	b, _ := os.ReadFile("/proc/thread-self/status")
	return strings.Contains(string(b), "\nSeccomp:\t2\n")
}
