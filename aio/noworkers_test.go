package aio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

const cgroupPids = "/sys/fs/cgroup/pids"

// errNoCgroup is why a child has tested nothing.
var errNoCgroup = errors.New("skipped: no cgroup of pids that can be written to")

// Trap 38: a native operation in a container that may start no more threads (pids.max,
// TasksMax=) completes, and with EAGAIN. Old kernels go on trying: it completes when a
// thread may be started.
func TestTrap38_OperationWithoutAWorkerThread(t *testing.T) {
	for _, m := range []Mode{ModeThread, ModePark} {
		t.Run(m.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"=no workers", "AIOLOOP_TEST_MODE="+m.String())
			out, err := cmd.CombinedOutput()
			switch {
			case bytes.Contains(out, []byte("skipped:")), bytes.Contains(out, []byte("failed to create new OS thread")):
				t.Skipf("skipped: %s", out)
			case err != nil:
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func init() { children["no workers"] = operateWithoutWorkers }

func operateWithoutWorkers() error {
	dir := fmt.Sprintf("%s/aioloop-%d", cgroupPids, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %v", errNoCgroup, err)
	}
	defer os.Remove(dir)
	if err := joinCgroup(dir); err != nil {
		return fmt.Errorf("%w: %v", errNoCgroup, err)
	}
	defer joinCgroup(cgroupPids)
	var m Mode
	if err := m.Set(os.Getenv("AIOLOOP_TEST_MODE")); err != nil {
		return err
	}
	thread, err := StartIOThread("no workers", WithBackend(IOUring), WithMode(m))
	if err != nil {
		return fmt.Errorf("skipped: %w", err)
	}
	err = fsyncWithoutWorkers(context.Background(), thread.Context(), dir)
	return errors.Join(err, thread.Stop(context.Background()))
}

func joinCgroup(dir string) error { return os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0o644) }

func fsyncWithoutWorkers(ctx context.Context, c *Context, dir string) error {
	file, err := os.CreateTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	makeThreads(12)
	current, err := os.ReadFile(dir + "/pids.current")
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/pids.max", current, 0o644); err != nil {
		return err
	}
	raise := func() error { return os.WriteFile(dir+"/pids.max", []byte("max"), 0o644) }
	defer raise()
	fd := int(file.Fd())
	done := make(chan error, 1)
	err = c.Do(ctx, func() error {
		return submit(c, Request{Code: backend.OpFsync, FD: fd}, func(_ int, err error) { done <- err })
	})
	if err != nil {
		return err
	}
	want := error(unix.EAGAIN)
	if triesForEver() {
		want = nil
		if err := raise(); err != nil {
			return err
		}
	}
	select {
	case err = <-done:
	case <-time.After(patience):
		return errors.New("no completion")
	}
	if err != want {
		return fmt.Errorf("the operation ends with %v, want %v", err, want)
	}
	return nil
}

// triesForEver reports whether the kernel goes on trying to start a worker thread. Linux
// 5.10 does; of 6.1 and later those that were kept up to date do not.
func triesForEver() bool {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return strings.HasPrefix(unix.ByteSliceToString(u.Release[:]), "5.")
}

// makeThreads has the runtime make the threads that it may need later.
func makeThreads(n int) {
	var all, ended sync.WaitGroup
	all.Add(n)
	for range n {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	ended.Wait()
}
