//go:build linux

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/feature"
)

const disabled = "/proc/sys/kernel/io_uring_disabled"

func init() {
	children["auto"] = func() (string, error) { return turnOnce(aio.Auto) }
	children["io_uring"] = func() (string, error) { return turnOnce(aio.IOUring) }
	children["refused"] = refused
	children["memlock auto"] = func() (string, error) { return withoutMemlock(aio.Auto) }
	children["memlock io_uring"] = func() (string, error) {
		got, err := withoutMemlock(aio.IOUring)
		if errors.Is(err, backend.ErrUnavailable) {
			return err.Error(), nil
		}
		return got, err
	}
}

// namesSysctl reports whether a text has the cause and the advice for a value of the
// sysctl. Only with 1 there is a group that may use io_uring.
func namesSysctl(text, value string) bool {
	return strings.Contains(text, "the sysctl kernel.io_uring_disabled forbids it; set kernel.io_uring_disabled to 0") &&
		strings.Contains(text, ", or join the group of kernel.io_uring_group") == (value == "1")
}

// TestTrap22_IOUringDisabledBySysctl checks each value, for those whom it concerns: 1
// refuses a user without CAP_SYS_ADMIN, 2 everybody. See the kernel's
// Documentation/admin-guide/sysctl/kernel.rst.
func TestTrap22_IOUringDisabledBySysctl(t *testing.T) {
	needVM(t)
	before, err := os.ReadFile(disabled)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this kernel has no sysctl kernel.io_uring_disabled (Linux 6.6)")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set(t, disabled, string(before)) })
	for _, tc := range []struct {
		value   string
		uid     uint32
		refused bool
	}{
		{"0", nobody, false}, {"0", 0, false},
		{"1", nobody, true}, {"1", 0, false},
		{"2", nobody, true}, {"2", 0, true},
	} {
		t.Run(fmt.Sprintf("value=%s,uid=%d", tc.value, tc.uid), func(t *testing.T) {
			set(t, disabled, tc.value)
			if !tc.refused {
				if got := inChild(t, "io_uring", tc.uid); !strings.HasPrefix(got, "io_uring ") {
					t.Errorf("io_uring by name: %s", got)
				}
				return
			}
			for _, child := range []string{"auto", "refused"} {
				got := inChild(t, child, tc.uid)
				if !namesSysctl(got, tc.value) || child == "auto" && !strings.HasPrefix(got, "epoll ") {
					t.Errorf("%s: %q: not epoll, or not the sysctl's cause and advice", child, got)
				}
			}
		})
	}
}

// TestTrap22_SmallMemlock: before Linux 5.12, and again on newer kernels, rings count as
// locked memory, of which an unprivileged user once had 64 KiB. Whether this kernel does is found by trying
// one that does not fit.
func TestTrap22_SmallMemlock(t *testing.T) {
	needVM(t)
	auto := inChild(t, "memlock auto", nobody)
	t.Log("auto:", auto)
	if strings.HasPrefix(auto, "ppoll ") {
		t.Errorf("auto has gone past epoll: %s", auto)
	}
	if !strings.HasPrefix(auto, "io_uring ") && !strings.Contains(auto, "io_uring") {
		t.Errorf("it does not say why not io_uring: %s", auto)
	}
	named := inChild(t, "memlock io_uring", nobody)
	t.Log("io_uring by name:", named)
	works := strings.HasPrefix(named, "io_uring (")
	if !works && !strings.Contains(named, "RLIMIT_MEMLOCK") {
		t.Error("it neither works nor says that memory is short")
	}
	if strings.HasPrefix(auto, "io_uring (") && !works {
		t.Error("auto has what is refused by name")
	}
}

func set(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.TrimSpace(value)), 0); err != nil {
		t.Fatal(err)
	}
}

// turnOnce makes a Context, wakes it up once, and returns which backend it has and why.
func turnOnce(b aio.Backend) (string, error) {
	c, err := aio.New(aio.WithBackend(b))
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	called := false
	go c.ScheduleOnce(func() { called = true; stop() })
	if err := c.Run(ctx); !called {
		return "", fmt.Errorf("%v: the bottom half was not called: %w", c.Backend(), err)
	}
	return c.Backend().String(), c.Close()
}

// refused returns the error of an explicit choice.
func refused() (string, error) {
	c, err := aio.New(aio.WithBackend(aio.IOUring))
	if err == nil {
		return "", fmt.Errorf("it was not refused: %v", c.Backend())
	}
	if !errors.Is(err, backend.ErrUnavailable) {
		return "", fmt.Errorf("not ErrUnavailable: %w", err)
	}
	return err.Error(), nil
}

// withoutMemlock has 64 KiB of memory to lock, of which other rings leave little.
func withoutMemlock(b aio.Backend) (string, error) {
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
		return "", err
	}
	if !feature.IOUring.Works() {
		return "", errors.New("not even a small ring works")
	}
	return turnOnce(b)
}
