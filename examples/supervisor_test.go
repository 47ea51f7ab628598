package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSupervisor(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		p := start(t, "supervisor", "-backend", backend, "-restarts", "1", "-pause", "1ms", "sh", "-c", "echo out; echo err >&2; printf unfinished; exit 3")
		for range 2 {
			p.expect(`^started \d+$`)
			p.expect(`^\| out$`)
			p.expect(`^\| err$`)
			p.expect(`^\| unfinished$`)
		}
		p.fails("exit status 3, and so before")
	})
}

// TestSupervisorStops sends what Control-C does, when the command runs.
func TestSupervisorStops(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		p := start(t, "supervisor", "-backend", backend, "sh", "-c", "echo ready; exec sleep 1000")
		p.expect(`^\| ready$`)
		p.interrupt()
		p.expect("^signal: terminated$")
		p.exits()
	})
}

// TestSupervisorDoesNotWaitForGrandchildren leaves one behind that keeps the pipe open.
func TestSupervisorDoesNotWaitForGrandchildren(t *testing.T) {
	onEachBackend(t, func(t *testing.T, backend string) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, "supervisor", "-backend", backend, "sh", "-c", `read x <"$0" & echo last words; exit 0`, fifo)
		p.expect(`^\| last words$`)
		p.expect("^success$")
		p.exits()
		end, err := os.OpenFile(fifo, os.O_RDWR, 0) // ends the grandchild
		if err != nil {
			t.Fatal(err)
		}
		end.Close()
	})
}

// TestSupervisorStartsCleanChildren compares what a child of the supervisor has inherited with
// what a child of this test has: the loop's thread, its descriptors and signals that the
// supervisor was started with blocked leave no trace.
func TestSupervisorStartsCleanChildren(t *testing.T) {
	for name, command := range map[string][]string{
		"descriptors": {"sh", "-c", "echo /proc/self/fd/*"},
		"thread":      {"cat", "/proc/self/timerslack_ns"},
		"status":      {"grep", "-E", "^(Sig(Blk|Ign)|Cpus_allowed|Cap)", "/proc/self/status"}, // sh would unblock all
	} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Run(name, func(t *testing.T) {
			onEachBackend(t, func(t *testing.T, backend string) {
				p := startBlocked(t, unix.SIGUSR1, "supervisor", append([]string{"-backend", backend}, command...)...)
				for line := range strings.Lines(string(out)) {
					p.expect(`^\| ` + regexp.QuoteMeta(strings.TrimSpace(line)) + "$")
				}
				p.expect("^success$")
				p.exits()
			})
		})
	}
}

func TestSupervisorWithoutACommand(t *testing.T) {
	start(t, "supervisor").fails("usage: supervisor")
	start(t, "supervisor", "no such command").fails("executable file not found")
}

// startBlocked starts a program with a signal blocked, which a child inherits from the thread
// that starts it.
func startBlocked(t *testing.T, sig unix.Signal, name string, args ...string) *process {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, before unix.Sigset_t
	block.Val[0] = 1 << (sig - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &before); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return start(t, name, args...)
}
