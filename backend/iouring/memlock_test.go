package iouring

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// Trap 48: the kernel counts a ring as locked memory of its user, and gives that back some
// milliseconds after Close. New waits for it, so a program that makes and closes one ring
// after the other does not run out. This takes a user without CAP_IPC_LOCK.
func TestTrap48_LockedMemoryComesBackLate(t *testing.T) {
	const child = "AIOLOOP_TEST_MEMLOCK"
	if os.Getenv(child) == "" {
		openVariant(t, func(*config) {})
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "skipped:"):
			t.Skipf("%s", out)
		}
		return
	}
	const limit = 1 << 20
	must(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: limit, Max: limit}))
	giveUpLockPrivilege(t)
	held := untilRefused(t)
	for _, p := range held {
		must(t, p.Close())
	}
	for round := range 2 * len(held) { // none is open
		p, err := New()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		must(t, p.Close())
	}
}

// giveUpLockPrivilege drops CAP_IPC_LOCK, which knows no limit, on this thread.
func giveUpLockPrivilege(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // until the process ends
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&header, &data[0]))
	data[0].Effective &^= 1 << unix.CAP_IPC_LOCK
	must(t, unix.Capset(&header, &data[0]))
}

// untilRefused makes Pollers until there is no memory for one more.
func untilRefused(t *testing.T) (held []*Poller) {
	t.Helper()
	for range 200 {
		start := sys.Monotonic()
		p, err := New()
		if err == nil {
			held = append(held, p)
			continue
		}
		if !errors.Is(err, backend.ErrMemlock) || !strings.Contains(err.Error(), "RLIMIT_MEMLOCK") || !strings.Contains(err.Error(), "ulimit -l") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		t.Logf("%d loops, then %v after %v", len(held), err, sys.Monotonic()-start)
		if len(held) < 80 {
			t.Errorf("%d loops in 1 MiB of locked memory, want 80 at least", len(held))
		}
		return held
	}
	for _, p := range held {
		must(t, p.Close())
	}
	t.Skip("skipped: this kernel does not count rings as locked memory")
	return nil
}

// Memory that comes back during the wait is taken; where none does, the wait is bounded, and
// is not repeated until a ring has been closed.
func TestTrap48_TheWaitForMemoryIsBounded(t *testing.T) {
	memory.vain.Store(0)
	defer memory.vain.Store(0)
	attempts, fails := 0, 3
	open := func() error {
		if attempts++; attempts <= fails {
			return unavailable(unix.ENOMEM)
		}
		return nil
	}
	if err := patiently(open); err != nil || attempts != 4 {
		t.Errorf("%v after %d attempts, want the 4th to succeed", err, attempts)
	}
	for i, want := range []int{9, 1, 9} { // the first wait, a vain one before, a ring closed since
		attempts, fails = 0, 1<<30
		if i == 2 {
			memory.returned()
		}
		start := sys.Monotonic()
		err := patiently(open)
		if !errors.Is(err, unix.ENOMEM) || attempts != want {
			t.Errorf("%v after %d attempts, want %d", err, attempts, want)
		}
		if took := sys.Monotonic() - start; want == 9 && took < 2*lastWait-firstWait {
			t.Errorf("gave up after %v", took)
		}
	}
	attempts = 0
	if err := patiently(func() error { attempts++; return unix.EPERM }); err != unix.EPERM || attempts != 1 {
		t.Errorf("%v after %d attempts, want EPERM after one", err, attempts)
	}
	memory.vain.Store(int64(sys.Monotonic() - vainFor - time.Millisecond))
	memory.closed.Store(0)
	if !memory.mayCome() {
		t.Error("a wait in vain is remembered for longer than", vainFor)
	}
}
