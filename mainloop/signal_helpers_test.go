package mainloop

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// signalPatience is a bound against hanging, not an expectation.
const signalPatience = 30 * time.Second

const rtSignal = syscall.Signal(40)

// What a child process is told by its environment.
const (
	signalChildEnv   = "AIOLOOP_TEST_SIGNAL_CHILD"
	signalBackendEnv = "AIOLOOP_TEST_SIGNAL_BACKEND"
)

// signalChild is a process that runs one of signalChildren. It reports lines on
// descriptor 3, and gets lines on its standard input.
type signalChild struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  *os.File
	report chan string // closed when the child has closed its end
	output bytes.Buffer
}

// startSignalChild starts a process whose threads block the signals in blocked.
func startSignalChild(t *testing.T, name string, b aio.Backend, blocked signalMask) *signalChild {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startSignalChildFrom(t, exe, name, b, blocked)
}

func startSignalChildFrom(t *testing.T, exe, name string, b aio.Backend, blocked signalMask) *signalChild {
	t.Helper()
	c := &signalChild{t: t, report: make(chan string, 100)}
	c.cmd = exec.Command(exe, "-test.run=^TestSignalChild$", "-test.timeout=2m")
	c.cmd.Env = append(os.Environ(), signalChildEnv+"="+name, signalBackendEnv+"="+b.String(),
		"GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0") // else it takes a second to exit
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	childIn, in := mustPipe(t)
	out, childOut := mustPipe(t)
	c.cmd.Stdin, c.stdin = childIn, in
	c.cmd.ExtraFiles = []*os.File{childOut}
	err := startBlocked(c.cmd, blocked)
	childIn.Close()
	childOut.Close()
	if err != nil {
		t.Fatal(err)
	}
	go c.scan(out)
	t.Cleanup(c.end)
	return c
}

func mustPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// startBlocked starts cmd on a thread that blocks the signals: the process
// inherits that mask.
func startBlocked(cmd *exec.Cmd, blocked signalMask) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, blocked.sigset(), &before); err != nil {
		return err
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return cmd.Start()
}

func (c *signalChild) scan(out *os.File) {
	defer close(c.report)
	defer out.Close()
	for s := bufio.NewScanner(out); s.Scan(); {
		c.report <- s.Text()
	}
}

// expect waits for a line and returns what the groups of pattern have matched.
func (c *signalChild) expect(pattern string) []string {
	c.t.Helper()
	select {
	case line := <-c.report:
		m := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(line)
		if m == nil {
			c.fatalf("the child reports %q, want %q", line, pattern)
		}
		return m[1:]
	case <-time.After(signalPatience):
		c.fatalf("the child reports nothing, want %q", pattern)
	}
	return nil
}

func (c *signalChild) fatalf(format string, args ...any) {
	c.t.Helper()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.t.Fatalf(format+"\n%s", append(args, c.output.String())...)
}

func (c *signalChild) tell(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, line); err != nil {
		c.t.Error(err)
	}
}

// exits waits for the child's end.
func (c *signalChild) exits() error {
	timer := time.AfterFunc(signalPatience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	return c.cmd.Wait()
}

// succeeds closes the child's input and waits for its end.
func (c *signalChild) succeeds() {
	c.t.Helper()
	c.stdin.Close()
	if err := c.exits(); err != nil {
		c.t.Errorf("the child: %v\n%s", err, c.output.String())
	}
}

// end is for a test that has failed.
func (c *signalChild) end() {
	c.stdin.Close()
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	for range c.report { // until it is closed
	}
}

// kill has a shell send a signal, and returns the shell's process id. The kill that
// is built in needs no program of that name.
func (c *signalChild) kill(name string) (sender int) {
	c.t.Helper()
	cmd := exec.Command("sh", "-c", "kill -s "+name+" "+strconv.Itoa(c.cmd.Process.Pid))
	if cmd.Err != nil { // a machine without it, such as a small virtual one
		return c.send(unix.SignalNum("SIG"+name), 1)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatal(err, string(out))
	}
	return cmd.Process.Pid
}

// send starts a process that sends sig n times: real-time signals with the values
// 0 to n-1, others as kill does. It returns the sender's process id.
func (c *signalChild) send(sig syscall.Signal, n int) (sender int) {
	c.t.Helper()
	s := startSignalChild(c.t, "send", aio.Auto, 0)
	s.tell(fmt.Sprint(c.cmd.Process.Pid, int(sig), n))
	s.expect("sent")
	s.succeeds()
	return s.cmd.Process.Pid
}

// queuedSignal is siginfo_t as rt_sigqueueinfo(2) takes it.
type queuedSignal struct {
	signo, errno, code int32
	_                  [0]uintptr
	pid, uid           uint32
	value              int32
	_                  [108]byte
}

func sigqueue(pid int, sig syscall.Signal, value int32) error {
	info := queuedSignal{
		signo: int32(sig), code: int32(CodeQueue), value: value,
		pid: uint32(os.Getpid()), uid: uint32(os.Getuid()),
	}
	_, _, errno := unix.Syscall(unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), uintptr(sig), uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		return errno
	}
	return nil
}

// eachSignalMode runs a test on each backend, with a child that was started with
// all signals that the tests use blocked, and with one that was not.
func eachSignalMode(t *testing.T, name string, test func(t *testing.T, c *signalChild, mode SignalMode)) {
	for i, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		for j, mode := range []SignalMode{SignalFD, SignalBridge} {
			if !guest.Runs(len(name)+2*i+j, 3) {
				continue
			}
			t.Run(fmt.Sprintf("backend=%v/mode=%v", b, strings.ReplaceAll(mode.String(), "/", "-")), func(t *testing.T) {
				var blocked signalMask
				if mode == SignalFD {
					blocked = testSignals
				}
				c := startSignalChild(t, name, b, blocked)
				if line := c.expect("(skip .*|ready " + mode.String() + ")")[0]; strings.HasPrefix(line, "skip") {
					t.Skip(line)
				}
				test(t, c, mode)
			})
		}
	}
}

// onSignalFD is eachSignalMode for what only the signalfd has.
func onSignalFD(t *testing.T, name string) {
	for i, b := range []aio.Backend{aio.Ppoll, aio.Epoll, aio.IOUring} {
		if !guest.Runs(len(name)+i, 3) {
			continue
		}
		t.Run("backend="+b.String(), func(t *testing.T) {
			c := startSignalChild(t, name, b, testSignals)
			c.expect("(skip .*|ok)")
			c.succeeds()
		})
	}
}

var testSignals = bit(unix.SIGALRM) | bit(unix.SIGUSR1) | bit(unix.SIGUSR2) | bit(rtSignal)
