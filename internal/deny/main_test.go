package main

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// ways are what .ci/ways says of a run of all tests, each with what proves it.
var ways = map[string]func() bool{
	"":     func() bool { return true },
	"user": func() bool { return os.Geteuid() != 0 && !canRaise() },
	"seccomp": func() bool {
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0)
		return errno == unix.EPERM
	},
	"descriptor": func() bool {
		flags, err := unix.FcntlInt(3, unix.F_GETFD, 0)
		return err == nil && flags&unix.FD_CLOEXEC == 0 // those of Go have it
	},
	"kill": func() bool {
		_, err := exec.LookPath("kill")
		return errors.Is(err, exec.ErrNotFound)
	},
}

// canRaise reports whether this process can have more locked memory than it has.
func canRaise() bool {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Max > 8<<20 {
		return true
	}
	limit.Max++
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil
}

// TestTheWayIsWhatItSays: a run of all tests would be green as well if its way had
// no effect.
func TestTheWayIsWhatItSays(t *testing.T) {
	way := os.Getenv("AIOLOOP_TEST_WAY")
	if proved, known := ways[way]; !known || !proved() {
		t.Errorf("this run is not of the way %q", way)
	}
}
