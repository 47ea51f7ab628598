package aio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/seccomp"
)

// What happens where system calls are forbidden. Each case is a process of its own,
// because a filter cannot be taken back.

// allBackends are those that can be chosen.
var allBackends = append([]Backend{Auto}, realBackends...)

// denial is a set of system calls that fail.
type denial struct {
	what  string
	calls []uint32
}

var (
	denials = []denial{
		{"io_uring", seccomp.IOUring},
		{"epoll_pwait2", []uint32{unix.SYS_EPOLL_PWAIT2}},
		{"poll and epoll_wait", seccomp.Looks},
		{"io_uring and epoll_pwait2", append(slices.Clone(seccomp.IOUring), unix.SYS_EPOLL_PWAIT2)},
	}
	denialErrnos = []unix.Errno{unix.EPERM, unix.ENOSYS}
)

func (d denial) name(errno unix.Errno) string { return d.what + " answers " + unix.ErrnoName(errno) }

func (d denial) ring() bool { return slices.Contains(d.calls, seccomp.IOUring[0]) }

func init() {
	for _, d := range denials {
		for _, errno := range denialErrnos {
			children[d.name(errno)] = func() error { return d.check(errno) }
		}
	}
}

func TestTrap22_Denied(t *testing.T) {
	for _, d := range denials {
		for _, errno := range denialErrnos {
			t.Run(d.name(errno), func(t *testing.T) { runInChild(t, d.name(errno)) })
		}
	}
}

// runInChild runs this test binary once more, for one function of children.
func runInChild(t *testing.T, name string) {
	t.Helper()
	runInChildWith(t, name, nil)
}

func runInChildWith(t *testing.T, name string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.SysProcAttr = attr
	cmd.Env = append(os.Environ(), childEnv+"="+name, "GORACE=atexit_sleep_ms=0") // the race detector waits a second
	out, err := cmd.CombinedOutput()
	reason, skipped := strings.CutPrefix(string(out), skipPrefix)
	switch {
	case attr != nil && errors.Is(err, unix.EPERM):
		t.Skip("no namespaces for this user: ", err)
	case err != nil:
		t.Errorf("%s: %v\n%s", name, err, out)
	case skipped:
		t.Skip(reason)
	}
}

// skipPrefix is how a child begins that cannot do its work here.
const skipPrefix = "skipped: "

// check tries each choice: what can do without the calls works, and what cannot
// says so; Auto goes on and says why.
func (d denial) check(errno unix.Errno) error {
	if err := seccomp.Deny(errno, d.calls...); err != nil {
		fmt.Print(skipPrefix, "no seccomp filters (CONFIG_SECCOMP_FILTER): ", err)
		return nil
	}
	for _, b := range allBackends {
		err := d.checkBackend(b, errno)
		if err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
	}
	if !d.ring() {
		return nil
	}
	if err := os.Setenv(BackendEnv, "io_uring"); err != nil {
		return err
	}
	if _, err := New(); !errors.Is(err, backend.ErrUnavailable) {
		return fmt.Errorf("chosen by the environment, it fell back: %v", err)
	}
	return nil
}

func (d denial) checkBackend(b Backend, errno unix.Errno) error {
	c, err := New(WithBackend(b), WithMode(ModeThread)) // with one P, Auto parks, and does not ask for io_uring
	if b == IOUring && d.ring() {
		return tells(err, "seccomp profile", backend.ErrUnavailable, backend.ErrSeccomp, errno)
	}
	if b == IOUring && errors.Is(err, backend.ErrUnavailable) {
		return nil // by something else than this filter
	}
	if err != nil {
		return err
	}
	info := c.Backend()
	if b == Auto && d.ring() && (info.Name != "epoll" || !containsAll(info.Reason, "io_uring", "seccomp")) {
		return errors.Join(fmt.Errorf("it chose %v", info), c.Close())
	}
	return exercise(c)
}

// tells checks that err matches all of wants and says what the user is to do.
func tells(err error, advice string, wants ...error) error {
	for _, want := range wants {
		if !errors.Is(err, want) {
			return fmt.Errorf("the error %q does not match %q", fmt.Sprint(err), want)
		}
	}
	if !strings.Contains(err.Error(), advice) {
		return fmt.Errorf("the error %q does not speak of %q", err, advice)
	}
	return nil
}

func containsAll(s string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
}

// exercise makes c do everything for which it asks the kernel, with each event
// causing the next one from outside the loop, and closes it.
func exercise(c *Context) error {
	const rounds = 20
	n, err := NewEventNotifier()
	if err != nil {
		return errors.Join(err, c.Close())
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	round := 0
	over := c.NewBottomHalf(func() {
		if round++; round == rounds {
			stop()
			return
		}
		go n.Set()
	})
	timer := c.NewTimer(Realtime, func() { go over.Schedule() })
	h, err := c.WatchNotifier(n, Callbacks{Read: func(*Handler) { timer.Reset(300 * time.Microsecond) }})
	if err == nil {
		go n.Set()
		if ran := c.Run(ctx); round != rounds {
			err = fmt.Errorf("%v: only %d of %d rounds: %w", c.Backend(), round, rounds, ran)
		}
		err = errors.Join(err, h.Close())
	}
	// Three events in a round, each with an iteration that finds nothing before and after.
	if turns := c.Stats().Iterations; err == nil && turns > 10*rounds {
		err = fmt.Errorf("%v: %d iterations for %d rounds", c.Backend(), turns, rounds)
	}
	return errors.Join(err, n.Close(), c.Close())
}
