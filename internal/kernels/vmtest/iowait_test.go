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

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/feature"
)

// iowait returns how long CPUs have been idle while something waited for I/O, since
// the machine was started: the fifth figure of the first line, in ticks of 10 ms.
func iowait(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var user, nice, system, idle, wait uint64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d", &user, &nice, &system, &idle, &wait); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return time.Duration(wait) * 10 * time.Millisecond
}

// TestTrap1_IdleIsNotIowait: 5 idle seconds with a notifier watched count as idle.
func TestTrap1_IdleIsNotIowait(t *testing.T) {
	needVM(t)
	for _, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		t.Run("backend="+b.String(), func(t *testing.T) {
			waited, err := idle(t, b, 5*time.Second)
			if errors.Is(err, backend.ErrUnavailable) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Log("iowait of all CPUs within 5 s:", waited)
			switch {
			case waited <= time.Second:
			case b == aio.IOUring && !feature.NoIowait.Works():
				t.Skipf("this kernel shows an idle io_uring wait as I/O (6.5, and stable backports), and has no flag to say otherwise (6.15)")
			default:
				t.Errorf("%v of iowait within 5 s of doing nothing", waited)
			}
		})
	}
}

func idle(t *testing.T, b aio.Backend, d time.Duration) (time.Duration, error) {
	c, err := aio.New(aio.WithBackend(b))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n, err := aio.NewEventNotifier()
	if err != nil {
		return 0, err
	}
	defer n.Close()
	h, err := c.WatchNotifier(n, aio.Callbacks{Read: func(*aio.Handler) {}})
	if err != nil {
		return 0, err
	}
	defer h.Close()
	ctx, stop := context.WithTimeout(context.Background(), d)
	defer stop()
	before := iowait(t)
	if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return 0, err
	}
	return iowait(t) - before, nil
}
