package mainloop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/leak"
	"github.com/aioloop/aioloop/internal/seccomp"
)

// What docs/security.md says of the main loop and of signals. The children are
// processes that block SIGALRM from their beginning.

const (
	securityDoc  = "../docs/security.md"
	securityEnv  = "AIOLOOP_TEST_SECURITY" // which child, or what it may call
	listChild    = "list"
	openChild    = "open"
	startChild   = "start:"  // and what a program may call that starts under the filter
	startedChild = "started" // what it is then
)

// inherited is what this process has got from its parent; its children get it as well. It is
// not known under the filter.
var inherited = func() []string {
	if os.Getenv(securityEnv) == startedChild {
		return nil
	}
	return leak.Inherited()
}()

// securityChild is called by TestMain.
func securityChild() {
	nothing := func() error { return nil }
	what := os.Getenv(securityEnv)
	calls, start := strings.CutPrefix(what, startChild)
	switch {
	case what == "":
		return
	case what == listChild:
		fmt.Println(strings.Join(inherited, "\n"))
	case what == openChild:
		exitWith(startAlarm(sendAlarm, listed))
	case what == startedChild:
		exitWith(startAlarm(nothing, nothing))
	case start:
		exitWith(startAlarm(func() error { return startUnder(calls) }, nothing))
	default:
		exitWith(startAlarm(func() error { return errors.Join(sendAlarm(), seccomp.Allow(strings.Split(calls, ","))) }, nothing))
	}
	unix.Exit(0)
}

// sendAlarm sends this process a SIGALRM, which stays pending.
func sendAlarm() error { return unix.Kill(os.Getpid(), syscall.SIGALRM) }

// startUnder starts the program again under the filter: Go's own poller and threads are made
// under it too.
func startUnder(calls string) error {
	if err := errors.Join(sendAlarm(), os.Setenv(securityEnv, startedChild)); err != nil {
		return err
	}
	if err := seccomp.Allow(append(strings.Split(calls, ","), seccomp.Start...)); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func exitWith(err error) {
	if err != nil {
		fmt.Println(err)
		unix.Exit(1)
	}
}

// startAlarm runs a Loop that gets SIGALRM from a signalfd and SIGUSR1 from os/signal. before
// is called while SIGALRM is blocked, and during when the signals are handled.
func startAlarm(before, during func() error) error {
	if err := ReexecBlocked(syscall.SIGALRM); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	l, err := Init(WithAIO(aio.WithBackend(aio.Ppoll)))
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	alarm, err1 := l.Signals().Handle(syscall.SIGALRM, func(SignalInfo) {
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), syscall.SIGUSR1)
	})
	done := errors.New("done")
	user, err2 := l.Signals().Handle(syscall.SIGUSR1, func(SignalInfo) { l.Stop(done) })
	if err := errors.Join(err1, err2, during()); err != nil {
		return err
	}
	if mode, why := l.Signals().Mode(syscall.SIGALRM); mode != SignalFD {
		return fmt.Errorf("%v: %s", mode, why)
	}
	if err := l.Run(ctx); !errors.Is(err, done) {
		return err
	}
	return errors.Join(alarm.Close(), user.Close(), l.Close())
}

// listed fails if a child of this process inherits more than this one has.
func listed() error {
	out, err := child(listChild)
	if got := strings.TrimSpace(string(out)); err != nil || got != strings.Join(inherited, "\n") {
		return fmt.Errorf("%v; a child inherits:\n%s\nand this process has inherited:\n%s", err, got, strings.Join(inherited, "\n"))
	}
	return nil
}

func child(what string) ([]byte, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), securityEnv+"="+what, "GORACE=atexit_sleep_ms=0")
	return cmd.CombinedOutput()
}

func TestChildrenOfAMainLoopInheritNothing(t *testing.T) {
	if out, err := child(openChild); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSeccompProfileOfSignals runs the main loop with the calls of its column
// alone, and sees that each of them is needed that the runtime and ppoll do not
// need anyway.
func TestSeccompProfileOfSignals(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector makes system calls of its own")
	}
	doc, err := os.ReadFile(securityDoc)
	if err != nil {
		t.Skip("skipped: this binary was not started in its place in the source:", err)
	}
	below := append(seccomp.Column(string(doc), "runtime"), seccomp.Column(string(doc), "ppoll")...)
	own := slices.DeleteFunc(seccomp.Column(string(doc), "mainloop"), func(c string) bool { return slices.Contains(below, c) })
	all := strings.Join(append(below, own...), ",")
	for _, what := range []string{all, startChild + all} {
		if out, err := child(what); err != nil {
			t.Fatalf("with the calls of %s: %v\n%s", securityDoc, err, out)
		}
	}
	for i, call := range own {
		out, err := child(strings.Join(append(slices.Clone(below), slices.Delete(slices.Clone(own), i, i+1)...), ","))
		if err == nil {
			t.Errorf("it works without %s, which %s asks for", call, securityDoc)
		} else if !strings.Contains(string(out), "SIGSYS") && !strings.Contains(err.Error(), "bad system call") {
			t.Errorf("without %s: %v\n%s", call, err, out)
		}
	}
}
