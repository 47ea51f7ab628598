package aio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const (
	quotaEnter  = "quota-enter"  // becomes quotaReport in the cgroup that quotaGroup names
	quotaReport = "quota-report" // says what Go and ModeAuto make of its quota
	quotaGroup  = "AIOLOOP_TEST_CGROUP"
)

func init() {
	children[quotaEnter] = func() error {
		if err := os.WriteFile(os.Getenv(quotaGroup), []byte(fmt.Sprint(os.Getpid())), 0); err != nil {
			return err
		}
		os.Setenv(childEnv, quotaReport)
		return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	children[quotaReport] = func() error {
		c, err := New(WithBackend(Epoll))
		if err != nil {
			return err
		}
		fmt.Println(runtime.GOMAXPROCS(0), c.Mode())
		return c.Close()
	}
}

// What docs/tuning.md says of containers: a quota of half a CPU, or of one, is a GOMAXPROCS of 2,
// so that ModeAuto chooses thread mode; park mode is for those that have a single CPU.
func TestModeAutoUnderAQuota(t *testing.T) {
	procs, mode := min(2, runtime.NumCPU()), ModeThread
	if procs == 1 {
		mode = ModePark
	}
	for _, percent := range []int{50, 100} {
		t.Run(fmt.Sprint("percent=", percent), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") })
			cmd.Env = append(environ, childEnv+"="+quotaEnter, quotaGroup+"="+cgroupWithQuota(t, percent))
			out, err := cmd.CombinedOutput()
			if want := fmt.Sprintln(procs, mode); err != nil || string(out) != want {
				t.Errorf("GOMAXPROCS and mode: %q, %v; want %q", out, err, want)
			}
		})
	}
}

// cgroupWithQuota makes a cgroup for so many percent of a CPU, of either version, and returns
// the file that a process enters it by.
func cgroupWithQuota(t *testing.T, percent int) (procs string) {
	t.Helper()
	name := fmt.Sprintf("aioloop-test-%d-%d", os.Getpid(), percent)
	var reasons []string
	for _, version := range []struct{ root, file, quota string }{
		{"/sys/fs/cgroup", "cpu.max", "%d 100000"},
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "%d"}, // of the default period of 100 ms
	} {
		dir := filepath.Join(version.root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		err := writeExisting(filepath.Join(dir, version.file), fmt.Sprintf(version.quota, percent*1000))
		if err == nil {
			return filepath.Join(dir, "cgroup.procs")
		}
		reasons = append(reasons, err.Error())
	}
	t.Skip("skipped: no cgroup with a quota:", strings.Join(reasons, "; "))
	return ""
}

// writeExisting creates no file: on a tmpfs a cgroup would not be one.
func writeExisting(file, content string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
