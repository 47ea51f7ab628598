package iouring

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/uring"
)

// Trap 25: a program that gives up its user id keeps what its rings keep. A ring
// with SQPOLL, which the library never sets, opens files with the credentials that
// the process had; the Poller's own ring with those that it has. No other backend
// does anything on behalf of the program.

const credentialsEnv = "AIOLOOP_TEST_CREDENTIALS"

const nobody = 65534

func TestTrap25_NoPrivilegeIsKeptAfterSetuid(t *testing.T) {
	if os.Getenv(credentialsEnv) != "" {
		giveUpRoot(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can give up being root")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // the name is found, not read
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), credentialsEnv+"="+secret, "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("skipped in the new process:\n%s", out)
	}
	t.Logf("%s", out)
}

func giveUpRoot(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Skip("skipped:", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.Bind(); err != nil {
		t.Fatal(err)
	}
	if p.ring.SetUp(abi.IORING_SETUP_SQPOLL) {
		t.Error("the ring has a kernel thread, which keeps root's credentials")
	}
	polled, err := uring.New(4, 0, abi.IORING_SETUP_SQPOLL)
	if err != nil {
		t.Logf("no ring with SQPOLL to compare with: %v", err)
	} else {
		defer polled.Close()
	}
	if got := openWith(t, p.ring, os.Getenv(credentialsEnv)); got < 0 {
		t.Skipf("skipped: io_uring openat (Linux 5.6) is missing: %v", unix.Errno(-got))
	} else {
		unix.Close(int(got))
	}
	if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if got := openWith(t, p.ring, os.Getenv(credentialsEnv)); got != -int32(unix.EACCES) {
		t.Errorf("root's file, opened by user %d with the Poller's ring: %d, want EACCES", os.Getuid(), got)
	}
	if polled != nil { // what the remedy keeps away
		got := openWith(t, polled, os.Getenv(credentialsEnv))
		t.Logf("the same with SQPOLL: %d", got)
		if got >= 0 {
			unix.Close(int(got))
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// openWith opens a file for reading by way of r. It returns the descriptor, or the
// negative errno.
func openWith(t *testing.T, r *uring.Ring, name string) int32 {
	t.Helper()
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	var pin runtime.Pinner
	pin.Pin(path)
	defer pin.Unpin()
	e := r.Next()
	e.PrepOperation(abi.IORING_OP_OPENAT, unix.AT_FDCWD, uint64(uintptr(unsafe.Pointer(path))), 0, 0)
	e.SetOpFlags(unix.O_RDONLY | unix.O_CLOEXEC)
	if r.SetUp(abi.IORING_SETUP_SQPOLL) {
		err = submitToThread(r)
	} else {
		err = r.Wait(-1)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := r.Peek()
	if c == nil {
		t.Fatal("no completion")
	}
	defer r.Seen()
	return c.Result()
}

// submitToThread wakes the kernel's thread up, if it sleeps, and waits.
func submitToThread(r *uring.Ring) error {
	if err := r.Submit(); err != nil {
		return err
	}
	const wakeUp = 1 << 1 // IORING_ENTER_SQ_WAKEUP
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.FD()), 1, 1, uintptr(uring.EnterGetevents|wakeUp), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
