package mainloop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// TestTrap26SignalfdSilentInGo sends real signals from other processes, to one
// that was started with them blocked and to one that was not.
func TestTrap26SignalfdSilentInGo(t *testing.T) {
	eachSignalMode(t, "report", func(t *testing.T, c *signalChild, mode SignalMode) {
		unknown := "SI_USER pid=0 uid=0 value=0"
		pid := c.kill("ALRM")
		info := fmt.Sprintf("SI_USER pid=%d uid=%d value=0", pid, os.Getuid())
		if mode == SignalBridge {
			info = unknown
		}
		c.expect(fmt.Sprintf("got %d by %v: %s", int(unix.SIGALRM), mode, info))
		pid = c.send(rtSignal, 2)
		if mode == SignalFD {
			for i := range 2 {
				c.expect(fmt.Sprintf("got %d by %v: SI_QUEUE pid=%d uid=%d value=%d", int(rtSignal), mode, pid, os.Getuid(), i))
			}
		} else {
			c.expect(fmt.Sprintf("got %d by %v: %s", int(rtSignal), mode, unknown))
		}
		c.succeeds()
	})
}

func TestSignalBurst(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_SIGPENDING, &limit); err != nil || limit.Cur < 2*burstSize {
		t.Skipf("RLIMIT_SIGPENDING is %d: the kernel would refuse some of the signals (%v)", limit.Cur, err)
	}
	eachSignalMode(t, "burst", func(t *testing.T, c *signalChild, mode SignalMode) {
		n := burstSize
		if mode == SignalBridge {
			n = 1 // the Go runtime merges them: there is nothing to count
		}
		pid := c.send(rtSignal, n)
		if mode == SignalFD {
			c.expect(fmt.Sprintf("got %d, 0 wrong, from %d", n, pid))
		} else {
			c.expect("got 1, 1 wrong, from 0")
		}
		c.succeeds()
	})
}

func TestSignalStandardOnesAreMerged(t *testing.T) {
	eachSignalMode(t, "merge", func(t *testing.T, c *signalChild, mode SignalMode) {
		c.send(unix.SIGALRM, 5)
		c.send(rtSignal, 5)
		c.kill("USR1")
		c.tell("go on")
		if mode == SignalFD {
			c.expect("got 1 1 5")
		} else {
			c.expect("got [1-5] 1 [1-5]")
		}
		c.succeeds()
	})
}

func TestSignalIsKeptForItsHandler(t *testing.T) {
	eachSignalMode(t, "hold", func(t *testing.T, c *signalChild, mode SignalMode) {
		for range 2 {
			c.kill("ALRM")
			c.tell("handle it")
			c.expect("got it")
		}
		c.succeeds()
	})
}

func TestSignalDefaultActionIsRestored(t *testing.T) {
	eachSignalMode(t, "default", func(t *testing.T, c *signalChild, mode SignalMode) {
		name := "USR1"
		if mode == SignalBridge {
			name = "TERM"
		}
		c.kill(name)
		c.expect("closed")
		c.kill(name)
		if mode == SignalBridge {
			err := c.exits()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
				t.Errorf("the child: %v, want it ended by SIGTERM", err)
			}
			return
		}
		c.tell("handle it") // it has stayed pending
		c.expect("got it")
		c.succeeds()
	})
}

func TestSignalNestedTurns(t *testing.T)     { onSignalFD(t, "nested") }
func TestSignalHandlerPanics(t *testing.T)   { onSignalFD(t, "panic") }
func TestSignalHandlerReplaced(t *testing.T) { onSignalFD(t, "swap") }
func TestSignalAllocs(t *testing.T)          { onSignalFD(t, "allocs") }

func TestSignalModeIsVerified(t *testing.T) {
	c := startSignalChild(t, "notified", aio.Auto, testSignals)
	c.expect(`os/signal: thread \d+: SIGALRM \(14\) is not blocked`)
	c.expect("signalfd: .*all threads block it")
	c.expect("os/signal: the Go runtime keeps it unblocked .*")
	c.expect("not handled: .*")
	c.expect("ok")
	c.succeeds()
}

// TestSignalsThatGoBlocks pins what the runtime lets a program block, of all
// signals. If a later Go differs, the tables in signal_check.go change.
func TestSignalsThatGoBlocks(t *testing.T) {
	c := startSignalChild(t, "mask", aio.Auto, ^signalMask(0))
	var blocked uint64
	if _, err := fmt.Sscanf(c.expect("(.*)")[0], "%x", &blocked); err != nil {
		t.Fatal(err)
	}
	c.succeeds()
	for sig := syscall.Signal(1); sig <= maxSignal; sig++ {
		want := checkBlockable(sig) == nil
		if got := signalMask(blocked)&bit(sig) != 0; got != want {
			t.Errorf("%s: blocked is %v, want %v", signalName(sig), got, want)
		}
	}
}

// TestSignalHandlersConcurrently changes handlers while signals come in.
func TestSignalHandlersConcurrently(t *testing.T) {
	l, err := Init(WithSignals(unix.SIGUSR1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var changing sync.WaitGroup
	for _, sig := range []syscall.Signal{unix.SIGUSR1, unix.SIGUSR1, unix.SIGUSR2, rtSignal} {
		changing.Go(func() {
			for range 50 {
				_ = unix.Kill(os.Getpid(), unix.SIGUSR1)
				h, err := l.Signals().Handle(sig, func(SignalInfo) {})
				if errors.Is(err, ErrSignalHandled) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	bye := errors.New("bye")
	go func() { changing.Wait(); l.Stop(bye) }()
	if err := l.Run(t.Context()); err != bye {
		t.Error(err)
	}
}

// TestSignalFDItself is about a descriptor that is ready for nothing, and one that
// another part of the program has closed.
func TestSignalFDItself(t *testing.T) {
	c, err := aio.New()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := newSignalFD(c, func(SignalInfo) {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	f.read(nil) // does not block
	if flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor's flags are %#x, want close-on-exec (%v)", flags, err)
	}
	if err := unix.Close(f.fd); err != nil {
		t.Fatal(err)
	}
	f.read(nil)
	if err := f.close(); !errors.Is(err, unix.EBADF) {
		t.Errorf("close: %v, want EBADF", err)
	}
}

// A signal whose handler could not be added is not handled.
func TestSignalWithoutADescriptorLeft(t *testing.T) {
	l := openLoop(t, aio.Ppoll)
	s := l.Signals()
	s.routes[rtSignal] = &signalRoute{mode: SignalFD} // as in a process that was started with it blocked
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}))
	_, err := s.Handle(rtSignal, func(SignalInfo) {})
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	wantError(t, err, unix.EMFILE)
	if mode, _ := s.Mode(rtSignal); mode != SignalNotHandled {
		t.Errorf("the signal is handled by %v", mode)
	}
}

// A handler that begins another turn leaves it the rest of the batch. A batch that was
// delivered leaves nothing for the next turn.
func TestSignalFDSchedulesOnlyTheRest(t *testing.T) {
	for _, nested := range []bool{false, true} {
		c := openAIO(t, aio.Ppoll)
		delivered := 0
		f, err := newSignalFD(c, func(SignalInfo) {
			if delivered++; nested && delivered == 1 {
				if progress, err := c.TryPoll(); !progress || err != nil || delivered != 2 {
					t.Errorf("the inner turn: progress %v, %v, %d delivered", progress, err, delivered)
				}
			}
		}, func() {})
		must(t, err)
		f.unread = make([]byte, 2*signalRecord)
		for record := range slices.Chunk(f.unread, signalRecord) {
			binary.NativeEndian.PutUint32(record, uint32(unix.SIGUSR1))
		}
		f.drain()
		if progress, err := c.TryPoll(); progress || err != nil || delivered != 2 {
			t.Errorf("nested %v: progress %v, %v, %d delivered", nested, progress, err, delivered)
		}
		must(t, f.close())
	}
}

// A signal that waits for a handler gives the loop nothing to do.
func TestSignalBridgeWithoutAHandler(t *testing.T) {
	c := openAIO(t, aio.Ppoll)
	var handler atomic.Pointer[SignalHandler]
	b := newSignalBridge(c, unix.SIGUSR2, &handler)
	defer b.stop()
	must(t, unix.Kill(os.Getpid(), unix.SIGUSR2))
	eventually(t, "the signal arrives", func() bool { return b.pending.Load() == 1 })
	turn := func(want bool) {
		t.Helper()
		b.resume()
		if progress, err := c.TryPoll(); progress != want || err != nil {
			t.Errorf("progress %v, %v; want %v", progress, err, want)
		}
	}
	turn(false)
	got := 0
	handler.Store(&SignalHandler{fn: func(SignalInfo) { got++ }})
	if turn(true); got != 1 {
		t.Errorf("called %d times", got)
	}
}
