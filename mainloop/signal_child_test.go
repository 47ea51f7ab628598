package mainloop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/backend"
)

// childProcess is what a function in signalChildren works with.
type childProcess struct {
	t  *testing.T
	in *bufio.Reader
	to *os.File
}

// signalChildren are what tests run in a process of its own.
var signalChildren = map[string]func(c *childProcess){
	"send":     (*childProcess).send,
	"report":   (*childProcess).reportSignals,
	"burst":    (*childProcess).burst,
	"merge":    (*childProcess).merge,
	"hold":     (*childProcess).hold,
	"default":  (*childProcess).restoreDefault,
	"nested":   (*childProcess).nested,
	"panic":    (*childProcess).panics,
	"swap":     (*childProcess).swap,
	"allocs":   (*childProcess).allocs,
	"notified": (*childProcess).notified,
	"reexec":   (*childProcess).reexec,
	"deleted":  (*childProcess).reexecDeleted,
	"children": (*childProcess).startPrograms,
	"mask":     (*childProcess).mask,
}

// TestSignalChild does nothing but in a process that another test has started.
func TestSignalChild(t *testing.T) {
	f := signalChildren[os.Getenv(signalChildEnv)]
	if f == nil {
		return
	}
	c := &childProcess{t: t, in: bufio.NewReader(os.Stdin), to: os.NewFile(3, "report")}
	f(c)
}

func (c *childProcess) report(format string, args ...any) {
	fmt.Fprintf(c.to, format+"\n", args...)
}

// line returns what the parent says, "" at the end.
func (c *childProcess) line() string {
	s, _ := c.in.ReadString('\n')
	return strings.TrimSpace(s)
}

func (c *childProcess) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *childProcess) init(opts ...Option) *Loop {
	var b aio.Backend
	c.must(b.Set(os.Getenv(signalBackendEnv)))
	l, err := Init(append(opts, WithAIO(aio.WithBackend(b)))...)
	if errors.Is(err, backend.ErrUnavailable) {
		c.report("skip %v", err)
		c.t.SkipNow()
	}
	c.must(err)
	return l
}

func (c *childProcess) handle(l *Loop, sig syscall.Signal, fn func(SignalInfo)) *SignalHandler {
	c.t.Helper()
	h, err := l.Signals().Handle(sig, fn)
	c.must(err)
	return h
}

// until goes on with the loop until done.
func (c *childProcess) until(l *Loop, done func() bool) {
	c.t.Helper()
	for !done() {
		_, err := l.Wait()
		c.must(err)
	}
}

// settle goes on with the loop until there is nothing to do.
func (c *childProcess) settle(l *Loop) {
	c.t.Helper()
	for progress := true; progress; {
		var err error
		progress, err = l.TryWait()
		c.must(err)
	}
}

func (c *childProcess) ready(l *Loop, sig syscall.Signal) SignalMode {
	mode, _ := l.Signals().Mode(sig)
	c.report("ready %v", mode)
	return mode
}

// queue sends the values 0 to n-1 to this process.
func (c *childProcess) queue(n int32) {
	c.t.Helper()
	for i := range n {
		c.must(sigqueue(os.Getpid(), rtSignal, i))
	}
}

func (c *childProcess) send() {
	var pid, sig, n int
	_, err := fmt.Sscan(c.line(), &pid, &sig, &n)
	c.must(err)
	for i := range n {
		if sig >= firstRealtime {
			c.must(sigqueue(pid, syscall.Signal(sig), int32(i)))
		} else {
			c.must(unix.Kill(pid, syscall.Signal(sig)))
		}
	}
	c.report("sent")
}

func (c *childProcess) reportSignals() {
	l := c.init()
	for _, sig := range []syscall.Signal{unix.SIGALRM, rtSignal} {
		c.handle(l, sig, func(i SignalInfo) {
			c.report("got %d by %v: %v pid=%d uid=%d value=%d", int(i.Signal), i.Mode, i.Code, i.PID, i.UID, i.Value)
		})
	}
	c.ready(l, unix.SIGALRM)
	bye := errors.New("bye")
	go func() { c.line(); l.Stop(bye) }()
	if err := l.Run(context.Background()); err != bye {
		c.t.Error(err)
	}
	c.must(l.Close())
}

const burstSize = 10_000

func (c *childProcess) burst() {
	l := c.init()
	n, wrong, pid := 0, 0, 0
	c.handle(l, rtSignal, func(i SignalInfo) {
		if int(i.Value) != n || i.Code != CodeQueue || n > 0 && i.PID != pid {
			wrong++
		}
		pid = i.PID
		n++
	})
	mode := c.ready(l, rtSignal)
	if mode == SignalBridge {
		c.until(l, func() bool { return n > 0 })
	} else {
		c.until(l, func() bool { return n == burstSize })
		c.settle(l)
	}
	c.report("got %d, %d wrong, from %d", n, wrong, pid)
	c.must(l.Close())
}

func (c *childProcess) merge() {
	l := c.init()
	counts := map[syscall.Signal]int{}
	for _, sig := range []syscall.Signal{unix.SIGALRM, unix.SIGUSR1, rtSignal} {
		c.handle(l, sig, func(SignalInfo) { counts[sig]++ })
	}
	mode := c.ready(l, rtSignal)
	c.line() // all signals were sent
	c.until(l, func() bool { return counts[unix.SIGALRM] > 0 && counts[unix.SIGUSR1] > 0 && counts[rtSignal] > 0 })
	if mode == SignalFD { // elsewhere there is no telling when os/signal has finished
		c.settle(l)
	}
	c.report("got %d %d %d", counts[unix.SIGALRM], counts[unix.SIGUSR1], counts[rtSignal])
	c.must(l.Close())
}

func (c *childProcess) hold() {
	l := c.init(WithSignals(unix.SIGALRM, unix.SIGTERM, unix.SIGALRM))
	c.ready(l, unix.SIGALRM)
	for range 2 { // the second time after a Close
		c.line()
		c.settle(l)
		n := 0
		h := c.handle(l, unix.SIGALRM, func(SignalInfo) { n++ })
		c.until(l, func() bool { return n > 0 })
		c.must(h.Close())
		c.report("got it")
	}
	c.must(l.Close())
}

func (c *childProcess) restoreDefault() {
	sig := unix.SIGTERM
	if initialMask&bit(unix.SIGUSR1) != 0 {
		sig = unix.SIGUSR1
	}
	l := c.init()
	n := 0
	c.handle(l, sig, func(SignalInfo) { n++ })
	c.ready(l, sig)
	c.until(l, func() bool { return n == 1 })
	c.must(l.Close())
	c.report("closed")
	c.line()
	l = c.init()
	c.handle(l, sig, func(SignalInfo) { n++ })
	c.until(l, func() bool { return n == 2 })
	c.must(l.Close())
	c.report("got it")
}

// nested begins turns of the loop from a handler while signals are left that were
// read together with its own.
func (c *childProcess) nested() {
	l := c.init()
	var got []int32
	c.handle(l, rtSignal, func(i SignalInfo) {
		got = append(got, i.Value)
		if i.Value%3 == 0 && i.Value < 90 {
			_, err := l.Context().Iterate()
			c.must(err)
		}
	})
	c.queue(100)
	c.settle(l)
	c.inOrder(got, 100)
	c.must(l.Close())
	c.report("ok")
}

func (c *childProcess) inOrder(got []int32, n int) {
	c.t.Helper()
	if len(got) != n {
		c.t.Errorf("%d signals were delivered, want %d", len(got), n)
	}
	for i, v := range got {
		if v != int32(i) {
			c.t.Fatalf("they came in the order %v", got)
		}
	}
}

// panics lets a handler panic in the middle of what was read.
func (c *childProcess) panics() {
	l := c.init()
	var got []int32
	c.handle(l, rtSignal, func(i SignalInfo) {
		got = append(got, i.Value)
		if i.Value == 3 {
			panic("three")
		}
	})
	c.queue(10)
	func() {
		defer func() {
			if r := recover(); r != "three" {
				c.t.Errorf("recovered %v", r)
			}
		}()
		c.settle(l)
	}()
	c.inOrder(got, 4)
	c.settle(l)
	c.inOrder(got, 10)
	c.must(l.Close())
	c.report("ok")
}

// swap closes a handler in the middle of what was read, and handles the rest later.
func (c *childProcess) swap() {
	l := c.init(WithSignals(rtSignal))
	var got []int32
	var h *SignalHandler
	first := func(i SignalInfo) {
		got = append(got, i.Value)
		if i.Value == 3 {
			c.must(h.Close())
		}
	}
	h = c.handle(l, rtSignal, first)
	c.queue(100)
	c.settle(l)
	c.inOrder(got, 4)
	h = c.handle(l, rtSignal, func(i SignalInfo) { got = append(got, i.Value) })
	c.settle(l)
	c.inOrder(got, 100)
	c.must(h.Close())
	c.must(l.Close())
	c.report("ok")
}

// mask reports what is blocked in each thread, after os/signal has made its own.
func (c *childProcess) mask() {
	others := make(chan os.Signal, 1)
	signal.Notify(others, unix.SIGTERM)
	defer signal.Stop(others)
	blocked := ^signalMask(0)
	for sig := syscall.Signal(1); sig <= maxSignal; sig++ {
		if whyNotBlocked(bit(sig)) != nil {
			blocked &^= bit(sig)
		}
	}
	c.report("%x", uint64(blocked))
}

func (c *childProcess) allocs() {
	l := c.init()
	n := 0
	c.handle(l, rtSignal, func(SignalInfo) { n++ })
	pid := os.Getpid()
	turn := func() {
		for range 10 {
			c.must(sigqueue(pid, rtSignal, 1))
		}
		_, err := l.TryWait()
		c.must(err)
	}
	if a := testing.AllocsPerRun(100, turn); a != 0 {
		c.t.Errorf("%v allocations for ten signals", a)
	}
	if n != 1010 {
		c.t.Errorf("%d signals were delivered, want 1010", n)
	}
	c.must(l.Close())
	c.report("ok")
}

// notified has another part of the program unblock one of the signals with os/signal.
func (c *childProcess) notified() {
	others := make(chan os.Signal, 1)
	signal.Notify(others, unix.SIGALRM)
	defer signal.Stop(others)
	l := c.init()
	n := 0
	for _, sig := range []syscall.Signal{unix.SIGALRM, unix.SIGUSR1, unix.SIGCHLD} {
		c.handle(l, sig, func(SignalInfo) { n++ })
	}
	for _, sig := range []syscall.Signal{unix.SIGALRM, unix.SIGUSR1, unix.SIGCHLD, unix.SIGUSR2} {
		mode, reason := l.Signals().Mode(sig)
		c.report("%v: %v", mode, reason)
	}
	c.must(unix.Kill(os.Getpid(), unix.SIGALRM))
	c.must(unix.Kill(os.Getpid(), unix.SIGUSR1))
	c.must(exec.Command("/proc/self/exe", "-test.run=^$").Run())
	c.until(l, func() bool { return n == 3 })
	<-others // has not lost it
	c.must(l.Close())
	c.report("ok")
}
