package aio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Trap 32: the kernel restarts ppoll(2) after a stop with what was left of the timeout when
// the stop began, without an EINTR. A timer that is due during the stop fires soon after it.
func TestTrap32_TimerDueWhileTheProcessIsStopped(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=stopped")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	var due time.Duration
	_, err = fmt.Sscanf(nextLine(t, lines), "due %d", &due)
	must(t, err)
	must(t, cmd.Process.Signal(unix.SIGSTOP))
	time.Sleep(due - machineTime())
	resumed := machineTime()
	must(t, cmd.Process.Signal(unix.SIGCONT))
	fired := 0
	for lines.Scan() {
		var name string
		var at time.Duration
		if n, _ := fmt.Sscanf(lines.Text(), "fired %s %d", &name, &at); n != 2 {
			continue
		}
		fired++
		if late := at - resumed; late > stoppedFor/2 {
			t.Errorf("%s: the timer fired %v after the stop", name, late)
		}
	}
	if err := cmd.Wait(); err != nil || fired < 3 {
		t.Errorf("%d loops have reported: %v", fired, err)
	}
}

// stoppedFor is how long the timers of the stopped process have to go.
var stoppedFor = guest.Patient(1500 * time.Millisecond)

func nextLine(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	if !lines.Scan() {
		t.Fatal("the child has said nothing:", lines.Err())
	}
	return lines.Text()
}

// machineTime is the clock that all processes share.
func machineTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

func init() { children["stopped"] = sleepThroughAStop }

// sleepThroughAStop says when its timers are due, once all loops sleep, and when they fired.
func sleepThroughAStop() (err error) {
	var loops []*Context
	for _, b := range realBackends {
		for _, m := range []Mode{ModeThread, ModePark} {
			c, e := New(WithBackend(b), WithMode(m), WithName(fmt.Sprintf("%v,%v", b, m)))
			switch {
			case e == nil:
				loops = append(loops, c)
			case !errors.Is(e, backend.ErrUnavailable) && !errors.Is(e, errors.ErrUnsupported):
				return e
			}
		}
	}
	due := machineTime() + stoppedFor
	ended := make(chan error)
	for _, c := range loops {
		go func() {
			ctx, stop := context.WithCancel(context.Background())
			timer := c.NewTimer(Realtime, func() {
				fmt.Println("fired", c.Name(), int64(machineTime()))
				stop()
			})
			e := timer.Reset(due - machineTime())
			if r := c.Run(ctx); r != context.Canceled {
				e = errors.Join(e, r)
			}
			ended <- errors.Join(e, c.Close())
		}()
	}
	for _, c := range loops {
		for c.gate.Kicked() {
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Println("due", int64(due))
	for range loops {
		err = errors.Join(err, <-ended)
	}
	return err
}
