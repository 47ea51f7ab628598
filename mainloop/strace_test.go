package mainloop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// straceEnv is set in the process that is traced, to the name of a backend.
const straceEnv = "AIOLOOP_TEST_STRACE"

// One notification of a sleeping main loop is one write to an eventfd and one
// return from ppoll, as the kernel sees it.
func TestOneNotificationIsOneWriteAndOneWakeUp(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the system calls of a notification are not checked")
	}
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		openLoop(t, b).Close() // or skip
		writes, returns := notification(trace(t, strace, b), b == aio.Ppoll)
		if writes != 1 || returns != 1 {
			t.Errorf("%d writes and %d returns from ppoll, want one of each", writes, returns)
		}
	})
}

// trace returns what strace says of the system calls between the two marks.
func trace(t *testing.T, strace string, b aio.Backend) []string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-o", out, "-e", "trace=write,ppoll,read,epoll_pwait,epoll_pwait2,io_uring_enter",
		os.Args[0], "-test.run=^TestStraceChild$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), straceEnv+"="+b.String(), "GODEBUG=asyncpreemptoff=1", "GOCOVERDIR="+t.TempDir())
	if said, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(said), "ptrace") || strings.Contains(string(said), "PTRACE") {
			t.Skipf("tracing is not permitted here: %s", said)
		}
		t.Fatalf("%v: %s", err, said)
	}
	raw, err := os.ReadFile(out)
	must(t, err)
	_, rest, begun := strings.Cut(string(raw), `"begin\n"`)
	between, _, ended := strings.Cut(rest, `write(1, "end\n"`)
	before := string(raw)[:len(raw)-len(rest)]
	if !begun || !ended {
		t.Fatalf("the marks are missing in:\n%s", raw)
	}
	t.Logf("between the marks:\n%s", between)
	return []string{before, between}
}

var (
	ppollCall = regexp.MustCompile(`ppoll\(\[(.*?)\],? `)
	// A call that the kernel interrupts for its own work, and begins again, shows a
	// "?" and has not returned.
	ppollReturn = regexp.MustCompile(`(ppoll\(.*|ppoll resumed.*)\) += [^?]`)
	pollFD      = regexp.MustCompile(`fd=(\d+)`)
	eventWrite  = regexp.MustCompile(`write\((\d+), "\\1\\0\\0\\0\\0\\0\\0\\0"`)
)

// notification counts the writes to eventfds, and how often the loop's wait
// returned. Exactly: to those eventfds that the loop waits for one by one. The
// runtime has another one, which it uses for its timers.
func notification(traced []string, exactly bool) (writes, returns int) {
	waitedFor := make(map[string]bool)
	for _, part := range traced {
		for _, call := range ppollCall.FindAllStringSubmatch(part, -1) {
			for _, fd := range pollFD.FindAllStringSubmatch(call[1], -1) {
				waitedFor[fd[1]] = true
			}
		}
	}
	for _, line := range strings.Split(traced[1], "\n") {
		if ppollReturn.MatchString(line) {
			returns++
		}
		w := eventWrite.FindStringSubmatch(line)
		if w != nil && (waitedFor[w[1]] || !exactly) {
			writes++
		}
	}
	return writes, returns
}

// TestStraceChild is the program that is traced.
func TestStraceChild(t *testing.T) {
	name := os.Getenv(straceEnv)
	if name == "" {
		t.Skip("runs in a process of its own, see TestOneNotificationIsOneWriteAndOneWakeUp")
	}
	var b aio.Backend
	must(t, b.UnmarshalText([]byte(name)))
	l := openLoop(t, b)
	ran := make(chan struct{}, 1)
	bh := l.AIO().NewBottomHalf(func() { ran <- struct{}{} })
	go func() {
		for range 3 { // the first ones warm it up
			rest(l)
			must(t, bh.Schedule())
			<-ran
		}
		rest(l)
		mark("begin")
		must(t, bh.Schedule())
		<-ran
		rest(l)
		mark("end")
		l.Stop(nil)
	}()
	must(t, l.Run(t.Context()))
}

// rest waits until the loop sleeps, without timers of the runtime: those write to
// an eventfd, too.
func rest(l *Loop) {
	ms := unix.NsecToTimespec(int64(50 * time.Millisecond))
	_ = unix.Nanosleep(&ms, nil)
	for l.main.gate.Kicked() {
		ms := unix.NsecToTimespec(int64(time.Millisecond))
		_ = unix.Nanosleep(&ms, nil)
	}
}

func mark(what string) { _, _ = fmt.Fprintln(os.Stdout, what) }
