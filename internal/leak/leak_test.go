//go:build linux

package leak_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/uring"
)

// children leave something behind, as the name says.
var children = map[string]func() int{
	"nothing":       func() int { return 0 },
	"failure":       func() int { return 3 },
	"an eventfd":    leaveEventfd,
	"a ring":        leaveRing,
	"a pipe":        leavePipe,
	"a known pipe":  leaveKnownPipe,
	"a reused fd":   leaveReusedNumber,
	"a replaced fd": replaceStandardInput,
	"a goroutine":   leaveGoroutine,
}

func leaveEventfd() int {
	_, err := sys.NewEventfd()
	return status(err)
}

func leaveRing() int {
	_, err := uring.New(4, 0, 0)
	if err != nil {
		return skipped
	}
	return 0
}

func leavePipe() int {
	var p [2]int
	return status(unix.Pipe2(p[:], unix.O_CLOEXEC))
}

func leaveKnownPipe() int {
	var p [2]int
	err := unix.Pipe2(p[:], unix.O_CLOEXEC)
	leak.Track(p[0])
	leak.Track(p[1])
	return status(err)
}

// leaveReusedNumber: the stack of the number's former owner would mislead.
func leaveReusedNumber() int {
	fd, err := sys.NewEventfd()
	if err == nil {
		unix.Close(fd)
		return leavePipe()
	}
	return status(err)
}

func replaceStandardInput() int {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return status(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	return status(unix.Dup3(p[0], 0, unix.O_CLOEXEC))
}

func leaveGoroutine() int {
	go neverEnds()
	return 0
}

func neverEnds() { select {} }

func status(err error) int {
	if err != nil {
		return 4
	}
	return 0
}

const skipped = 77

// TestLeaksAreFound runs each child and looks for the reason of its failure.
func TestLeaksAreFound(t *testing.T) {
	for _, tc := range []struct {
		child  string
		status int
		words  []string
	}{
		{"nothing", 0, nil},
		{"failure", 3, nil}, // a failure stays what it is
		{"an eventfd", 1, []string{"anon_inode:[eventfd], opened by", "leak_test.leaveEventfd"}},
		{"a ring", 1, []string{"anon_inode:[io_uring], opened by", "leak_test.leaveRing"}},
		{"a pipe", 1, []string{"pipe:[", "the test itself"}},
		{"a known pipe", 1, []string{"pipe:[", "leak_test.leaveKnownPipe"}},
		{"a reused fd", 1, []string{"pipe:[", "the test itself"}},
		{"a replaced fd", 1, []string{"descriptor left open: 0: pipe:["}},
		{"a goroutine", 1, []string{"goroutine left running", "leak_test.neverEnds", "created by", "leak_test.leaveGoroutine"}},
	} {
		t.Run(tc.child, func(t *testing.T) {
			t.Parallel() // one waits
			checkChild(t, tc.child, tc.status, tc.words)
		})
	}
}

func checkChild(t *testing.T, child string, status int, words []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+child, "GORACE=atexit_sleep_ms=0")
	out, _ := cmd.CombinedOutput()
	switch got := cmd.ProcessState.ExitCode(); {
	case got == skipped:
		t.Skip("skipped: io_uring (Linux 5.1) is missing")
	case got != status:
		t.Errorf("exit status %d, want %d", got, status)
	}
	if words == nil && len(out) > 0 {
		t.Error("it reports something")
	}
	for _, w := range words {
		if !strings.Contains(string(out), w) {
			t.Errorf("the report lacks %q", w)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", out)
	}
}
