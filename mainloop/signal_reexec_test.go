package mainloop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

func TestReexecBlocked(t *testing.T) {
	for _, blocked := range []signalMask{0, testSignals} {
		t.Run(fmt.Sprintf("blocked=%v", blocked != 0), func(t *testing.T) {
			c := startSignalChild(t, "reexec", aio.Auto, blocked)
			first := c.expect("(started .*)")[0]
			if !strings.HasPrefix(first, fmt.Sprintf("started %d ", c.cmd.Process.Pid)) {
				t.Error(first)
			}
			for range 2 { // once for each call that finds its signals unblocked
				if blocked == 0 {
					if again := c.expect("(started .*)")[0]; again != first {
						t.Errorf("first %q, then %q", first, again)
					}
				}
			}
			c.expect("ready signalfd")
			pid := c.kill("ALRM")
			c.expect(fmt.Sprintf("alarm from %d", pid))
			c.succeeds()
		})
	}
}

func TestReexecBlockedOfADeletedFile(t *testing.T) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, exe, 0o700); err != nil {
		t.Fatal(err)
	}
	c := startSignalChildFrom(t, path, "deleted", aio.Auto, 0)
	c.expect("started")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.tell("go on")
	c.expect("blocked")
	c.succeeds()
}

func TestProgramsInheritTheMask(t *testing.T) {
	for _, name := range []string{"grep", "perl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	c := startSignalChild(t, "children", aio.Auto, testSignals)
	c.expect(fmt.Sprintf(`SigBlk:\s*%016x <nil>`, uint64(testSignals)))
	c.expect(`SigBlk:\s*0000000000000000 <nil>`)
	c.succeeds()
}

func (c *childProcess) reexec() {
	comm, err := os.ReadFile("/proc/self/comm")
	c.must(err)
	c.report("started %d %s %v %q", os.Getpid(), comm[:len(comm)-1], os.Getenv(reexecMarker) == "", os.Args[1:])
	c.must(ReexecBlocked(unix.SIGALRM, rtSignal))
	c.must(ReexecBlocked(unix.SIGUSR2))
	c.must(ReexecBlocked(unix.SIGALRM, rtSignal, unix.SIGUSR2))
	l := c.init(WithSignals(unix.SIGALRM))
	c.handle(l, unix.SIGALRM, func(i SignalInfo) {
		c.report("alarm from %d", i.PID)
		l.Stop(context.Canceled)
	})
	c.ready(l, unix.SIGALRM)
	if err := l.Run(context.Background()); err != context.Canceled {
		c.t.Error(err)
	}
	c.must(l.Close())
}

func (c *childProcess) reexecDeleted() {
	if threadMask()&bit(unix.SIGALRM) == 0 {
		c.report("started")
		c.line()
	}
	c.must(ReexecBlocked(unix.SIGALRM))
	c.report("blocked")
}

// startPrograms starts one as usual, and one in the way that is documented.
func (c *childProcess) startPrograms() {
	for _, before := range [][]string{nil, {"perl", "-MPOSIX", "-e", "sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec @ARGV"}} {
		args := append(before, "grep", "SigBlk", "/proc/self/status")
		out, err := exec.Command(args[0], args[1:]...).Output()
		c.report("%s %v", strings.TrimSpace(string(out)), err)
	}
}
