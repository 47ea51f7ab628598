package aio

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// needPriority is for tests of Priority: where Watch refuses it, that is tested instead.
func needPriority(t *testing.T, c *Context) {
	t.Helper()
	if !c.port.sharesEvents() {
		return
	}
	a, _ := sockets(t)
	_, err := c.Watch(a, Callbacks{Priority: func(*Handler) {}})
	wantError(t, err, errors.ErrUnsupported)
	t.Skip("priority events are not for epoll in park mode")
}

func TestPriorityOfUrgentData(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		needPriority(t, c)
		here, there := tcpPair(t)
		urgent, reads := 0, 0
		h := watch(t, c, here, Callbacks{
			Read: func(*Handler) { reads++ },
			Priority: func(h *Handler) {
				urgent++
				if !h.Events().Priority() {
					t.Errorf("Priority is told %v", h.Events())
				}
				var b [1]byte
				if n, _, err := unix.Recvfrom(here, b[:], unix.MSG_OOB); n != 1 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
			},
		})
		must(t, unix.Sendto(there, []byte("!"), unix.MSG_OOB, nil))
		pollUntil(t, c, func() bool { return urgent > 0 })
		if turn(t, c); urgent != 1 || reads > 1 {
			t.Errorf("Priority was called %d times, Read %d times", urgent, reads)
		}
		write(t, there, "x")
		urgent = 0
		pollUntil(t, c, func() bool { return reads > 0 })
		if urgent != 0 {
			t.Error("Priority was called for data")
		}
		must(t, h.Close())
	})
}

// The mount table of a process has a priority event when something is mounted.
func TestPriorityOfTheMountTable(t *testing.T) {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	runInChildWith(t, "watch the mount table", attr)
}

func init() { children["watch the mount table"] = watchMountTables }

func watchMountTables() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Print(skipPrefix, "no mount namespace of its own: ", err)
		return nil
	}
	for _, b := range realBackends {
		if missing(b) != nil {
			continue
		}
		c, err := New(WithBackend(b), WithMode(ModeThread))
		if err != nil {
			return err
		}
		if err := errors.Join(watchMountTable(c), c.Close()); err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
	}
	return nil
}

func watchMountTable(c *Context) error {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	changes := 0
	h, err := c.Watch(fd, Callbacks{Priority: func(*Handler) { changes++ }})
	if err != nil {
		return err
	}
	defer h.Close()
	if _, err := c.TryPoll(); err != nil || changes != 0 {
		return fmt.Errorf("%d changes before there was one: %v", changes, err)
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer unix.Unmount("/proc", 0)
	for end := time.Now().Add(patience); changes == 0; {
		if _, err := c.TryPoll(); err != nil || time.Now().After(end) {
			return fmt.Errorf("the change was not seen: %v", err)
		}
	}
	return nil
}

// An attribute of sysfs that tells of its changes: which virtual console is active.
func TestPriorityOfASysfsAttribute(t *testing.T) {
	if !guest.Is() {
		t.Skip("switches the virtual console: in a virtual machine only")
	}
	tty, err := unix.Open("/dev/tty0", unix.O_RDWR|unix.O_NOCTTY, 0)
	tty = owned(t, tty, err)
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		needPriority(t, c)
		active, err := unix.Open("/sys/class/tty/tty0/active", unix.O_RDONLY, 0)
		active = owned(t, active, err)
		console := func() string {
			var b [16]byte
			n, err := unix.Pread(active, b[:], 0)
			must(t, err)
			return strings.TrimSpace(string(b[:n]))
		}
		before, now := console(), ""
		watch(t, c, active, Callbacks{Priority: func(*Handler) { now = console() }})
		turn(t, c)
		const activate = 0x5606 // VT_ACTIVATE of linux/vt.h
		other := 2
		if before == "tty2" {
			other = 3
		}
		must(t, unix.IoctlSetInt(tty, activate, other))
		pollUntil(t, c, func() bool { return now != "" && now != before })
	})
}

func TestPriorityOfAFileThatHasNone(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		c := newLoop()
		needPriority(t, c)
		f, err := os.CreateTemp(t.TempDir(), "")
		must(t, err)
		defer f.Close()
		_, err = c.Watch(int(f.Fd()), Callbacks{Read: func(*Handler) {}, Priority: func(*Handler) {}})
		wantError(t, err, unix.EPERM)
		var fdError *backend.FDError
		if !errors.As(err, &fdError) || !strings.Contains(err.Error(), "no priority events") {
			t.Errorf("%v: does not say why", err)
		}
		h := watch(t, c, int(f.Fd()), Callbacks{Read: func(*Handler) {}})
		wantError(t, h.Change(Callbacks{Priority: func(*Handler) {}}), unix.EPERM)
	})
}
