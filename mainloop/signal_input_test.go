package mainloop

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

var badSignals = []struct {
	sig  syscall.Signal
	want error
	text string
}{
	{-1, ErrSignalNumber, "signal -1"},
	{0, ErrSignalNumber, "signal 0"},
	{65, ErrSignalNumber, "signal 65: signals are numbered from 1 to 64"},
	{unix.SIGKILL, ErrSignalUncatchable, "SIGKILL (9)"},
	{unix.SIGSTOP, ErrSignalUncatchable, "SIGSTOP (19)"},
	{unix.SIGURG, ErrSignalRuntime, "it preempts goroutines"},
	{unix.SIGPROF, ErrSignalRuntime, "CPU profiles"},
	{unix.SIGSEGV, ErrSignalRuntime, "panics"},
	{unix.SIGBUS, ErrSignalRuntime, "panics"},
	{unix.SIGFPE, ErrSignalRuntime, "panics"},
	{unix.SIGILL, ErrSignalRuntime, "SIGILL"},
	{unix.SIGTRAP, ErrSignalRuntime, "debuggers"},
	{unix.SIGSTKFLT, ErrSignalRuntime, "SIGSTKFLT"},
	{unix.SIGSYS, ErrSignalRuntime, "system calls"},
	{32, ErrSignalRuntime, "real-time signal 32"},
	{33, ErrSignalRuntime, "threads"},
	{34, ErrSignalRuntime, "musl"},
}

func TestSignalsThatCannotBeHandled(t *testing.T) {
	l, err := Init()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range badSignals {
		h, err := l.Signals().Handle(bad.sig, func(SignalInfo) {})
		checkBadSignal(t, "Handle", err, bad.sig, bad.want, bad.text)
		if h != nil {
			t.Errorf("%d: there is a handler", bad.sig)
		}
		checkBadSignal(t, "ReexecBlocked", ReexecBlocked(unix.SIGALRM, bad.sig), bad.sig, bad.want, bad.text)
		if mode, reason := l.Signals().Mode(bad.sig); mode != SignalNotHandled || reason == "" {
			t.Errorf("Mode(%d) = %v, %q", bad.sig, mode, reason)
		}
	}
	checkBadSignal(t, "ReexecBlocked", ReexecBlocked(unix.SIGCHLD), unix.SIGCHLD, ErrSignalUnblockable, "SIGCHLD")
	checkBadSignal(t, "ReexecBlocked", ReexecBlocked(unix.SIGTERM), unix.SIGTERM, ErrSignalUnblockable, "SIGTERM")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range badSignals {
		_, err := Init(WithSignals(unix.SIGUSR1, bad.sig))
		checkBadSignal(t, "Init", err, bad.sig, bad.want, bad.text)
	}
}

func checkBadSignal(t *testing.T, call string, err error, sig syscall.Signal, want error, text string) {
	t.Helper()
	var e *SignalError
	if !errors.Is(err, want) || !errors.As(err, &e) || e.Signal != sig || !strings.Contains(err.Error(), text) {
		t.Errorf("%s of signal %d: %v, want %v, with %q", call, int(sig), err, want, text)
	}
}

func TestSignalHandleMisused(t *testing.T) {
	l, err := Init(WithSignals(unix.SIGUSR1))
	if err != nil {
		t.Fatal(err)
	}
	s := l.Signals()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a nil function does not panic")
			}
		}()
		_, _ = s.Handle(unix.SIGUSR1, nil)
	}()
	h, err := s.Handle(unix.SIGUSR1, func(SignalInfo) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Handle(unix.SIGUSR1, func(SignalInfo) {})
	checkBadSignal(t, "a second Handle", err, unix.SIGUSR1, ErrSignalHandled, "SIGUSR1")
	if err := errors.Join(h.Close()); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != ErrClosed {
		t.Errorf("a second Close: %v", err)
	}
	h, err = s.Handle(unix.SIGUSR1, func(SignalInfo) {})
	if err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != ErrClosed {
		t.Errorf("Close of a handler whose loop is closed: %v", err)
	}
	if _, err := s.Handle(unix.SIGUSR1, func(SignalInfo) {}); err != ErrClosed {
		t.Errorf("Handle after Close: %v", err)
	}
	if mode, _ := s.Mode(unix.SIGUSR1); mode != SignalNotHandled {
		t.Errorf("Mode after Close: %v", mode)
	}
}

func TestWhyNotBlocked(t *testing.T) {
	defer func(m signalMask) { initialMask = m }(initialMask)
	initialMask = 0
	if err := whyNotBlocked(bit(unix.SIGALRM)); err == nil || !strings.Contains(err.Error(), "was started with SIGALRM (14) unblocked") {
		t.Error(err)
	}
	initialMask = bit(unix.SIGALRM)
	withBlocked(t, bit(unix.SIGALRM), func() { // this thread only
		if err := whyNotBlocked(bit(unix.SIGALRM)); err == nil || !strings.Contains(err.Error(), "SIGALRM (14) is not blocked") {
			t.Error(err)
		}
	})
}

// withBlocked runs f on a thread that blocks mask.
func withBlocked(t *testing.T, mask signalMask, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, mask.sigset(), &before); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	if threadMask()&mask != mask {
		t.Errorf("the mask is %x, want %x in it", threadMask(), mask)
	}
	f()
}

func TestBlockedIn(t *testing.T) {
	for status, want := range map[string]string{
		"Name:\tx\nSigBlk:\t0000000000002000\nSigIgn:\t0\n": "",
		"SigBlk:\t0000000000000000\n":                       "SIGALRM (14) is not blocked",
		"SigBlk:\tzzz\n":                                    "invalid syntax",
		"SigBlk:\t10000000000000000\n":                      "out of range",
		"":                                                  "no line SigBlk",
	} {
		err := blockedIn(status, bit(unix.SIGALRM))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", status, err, want)
		}
	}
}

func TestSignalMaskConversion(t *testing.T) {
	for sig := syscall.Signal(1); sig <= maxSignal; sig++ {
		m := bit(sig)
		if maskOf(m.sigset()) != m || m.first() != sig {
			t.Errorf("signal %d: mask %x, back %x, first %d", int(sig), m, maskOf(m.sigset()), int(m.first()))
		}
	}
}

func TestReexecBlockedGivesUp(t *testing.T) {
	defer func(m signalMask) { reexecTried = m }(reexecTried)
	reexecTried = bit(unix.SIGALRM) | bit(unix.SIGUSR1)
	err := ReexecBlocked(unix.SIGALRM)
	if !errors.Is(err, ErrSignalNotBlocked) || !strings.Contains(err.Error(), "SIGALRM") {
		t.Error(err)
	}
	if err := ReexecBlocked(); err != nil {
		t.Error(err)
	}
}

// TestReexecBlockedFails has execve refuse the arguments: the mask is as before.
func TestReexecBlockedFails(t *testing.T) {
	defer func(args []string) { os.Args = args }(os.Args)
	os.Args = []string{"a\x00b"}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadMask()
	if err := ReexecBlocked(unix.SIGALRM); !errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
	if after := threadMask(); after != before {
		t.Errorf("the mask was %x and is %x", before, after)
	}
}

func TestReexecMarker(t *testing.T) {
	for value, want := range map[string]signalMask{
		"17,2000": 0x2000, "18,2000": 0, "17": 0, "": 0, "17,": 0, ",2000": 0, "17,x": 0, "17,-1": 0,
		"17,10000000000000000": 0, "0x11,2000": 0,
	} {
		if got := parseReexecMarker(value, 17); got != want {
			t.Errorf("%q: %x, want %x", value, got, want)
		}
	}
}

func TestSignalNames(t *testing.T) {
	for got, want := range map[string]string{
		SignalNotHandled.String(): "not handled", SignalFD.String(): "signalfd", SignalBridge.String(): "os/signal",
		SignalMode(7).String(): "SignalMode(7)",
		CodeUser.String():      "SI_USER", CodeKernel.String(): "SI_KERNEL", CodeQueue.String(): "SI_QUEUE",
		CodeTimer.String(): "SI_TIMER", CodeMesgQ.String(): "SI_MESGQ", CodeAsyncIO.String(): "SI_ASYNCIO",
		CodeSigIO.String(): "SI_SIGIO", CodeThread.String(): "SI_TKILL", SignalCode(1).String(): "si_code 1",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// FuzzDecodeSignal compares with the structure as package unix has it.
func FuzzDecodeSignal(f *testing.F) {
	f.Add(make([]byte, signalRecord))
	full := make([]byte, signalRecord)
	for i := range full {
		full[i] = byte(255 - i)
	}
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		var raw unix.SignalfdSiginfo
		if len(b) < signalRecord {
			return
		}
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&raw)), signalRecord), b)
		want := SignalInfo{
			Signal: syscall.Signal(raw.Signo), Mode: SignalFD, Code: SignalCode(raw.Code),
			PID: int(raw.Pid), UID: int(raw.Uid), Value: raw.Int, Pointer: raw.Ptr,
			FD: int(raw.Fd), Band: raw.Band, TimerID: int(raw.Tid), Overrun: int(raw.Overrun),
		}
		if got := decodeSignal(b); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A compile-time check: the record is as large as the structure.
var _ [signalRecord]byte = [unsafe.Sizeof(unix.SignalfdSiginfo{})]byte{}
