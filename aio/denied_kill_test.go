package aio

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/seccomp"
)

// deadly are filters that kill: what they kill for, and which backends live.
var deadly = map[string]struct {
	calls []uint32
	lives []Backend
}{
	"killed for io_uring":                  {seccomp.IOUring, []Backend{Epoll, Ppoll}},
	"killed for io_uring and epoll_pwait2": {append([]uint32{unix.SYS_EPOLL_PWAIT2}, seccomp.IOUring...), []Backend{Ppoll}},
}

func init() {
	for name, filter := range deadly {
		for _, b := range allBackends {
			children[name+": "+b.String()] = func() error { return lives(b, filter.calls) }
		}
	}
}

// lives chooses the backend by the environment, as a user does.
func lives(b Backend, calls []uint32) error {
	if err := errors.Join(os.Setenv(BackendEnv, b.String()), seccomp.Kill(calls...)); err != nil {
		return err
	}
	c, err := New(WithMode(ModeThread)) // with one CPU the default mode asks for epoll first
	if err != nil {
		return err
	}
	return exercise(c)
}

// TestFiltersThatKill: a probe is the end of the process, and a backend that is
// chosen by name asks for nothing else.
func TestFiltersThatKill(t *testing.T) {
	for name, filter := range deadly {
		for _, b := range filter.lives {
			t.Run(name+": "+b.String(), func(t *testing.T) { runInChild(t, name+": "+b.String()) })
		}
		t.Run(name+": auto", func(t *testing.T) {
			if err := missing(IOUring); err != nil {
				t.Skip("skipped: another filter answers first:", err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+name+": auto")
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "bad system call") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
