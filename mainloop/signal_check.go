package mainloop

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The errors of signals, for errors.Is. All but the last come in a *SignalError.
var (
	ErrSignalNumber      = errors.New("signals are numbered from 1 to 64")
	ErrSignalUncatchable = errors.New("the kernel lets no process catch or block it")
	ErrSignalRuntime     = errors.New("the Go runtime or the C library needs it")
	ErrSignalHandled     = errors.New("it has a handler already: close that first")
	ErrSignalUnblockable = errors.New("the Go runtime keeps it unblocked in every thread: handle it without blocking it")
	ErrSignalNotBlocked  = errors.New("a signal is not blocked, although the program was executed again to that end")
)

// SignalError is what is wrong with a signal.
type SignalError struct {
	Signal syscall.Signal
	Err    error
}

func (e *SignalError) Error() string {
	return fmt.Sprintf("mainloop: %s: %v", signalName(e.Signal), e.Err)
}

// Unwrap returns the reason.
func (e *SignalError) Unwrap() error { return e.Err }

// maxSignal is the kernel's SIGRTMAX, firstRealtime its SIGRTMIN (signal(7)).
const (
	maxSignal     = 64
	firstRealtime = 32
)

// signalName returns "SIGALRM (14)" or "real-time signal 40", for example.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return fmt.Sprintf("%s (%d)", name, int(sig))
	}
	if sig >= firstRealtime && sig <= maxSignal {
		return fmt.Sprintf("real-time signal %d", int(sig))
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// runtimeSignals are those that belong to the Go runtime or to the C library, and
// what for: a handler would never be called, or break something. It is what
// runtime/sigtab_linux_generic.go does not pass to os/signal, and two that it does
// pass, SIGURG and SIGPROF.
var runtimeSignals = map[syscall.Signal]string{
	unix.SIGILL:  "an invalid instruction ends the program",
	unix.SIGTRAP: "debuggers and breakpoints",
	unix.SIGBUS:  "it turns memory errors into panics",
	unix.SIGFPE:  "it turns arithmetic errors into panics",
	unix.SIGSEGV: "it turns invalid memory references into panics",
	unix.SIGURG:  "it preempts goroutines",
	unix.SIGPROF: "CPU profiles",
	unix.SIGSYS:  "it reports bad system calls",
	32:           "thread cancellation",
	33:           "set*id calls on all threads",
	34:           "calls on all threads in musl",
}

// checkSignal reports why sig cannot be handled.
func checkSignal(sig syscall.Signal) error {
	switch {
	case sig < 1 || sig > maxSignal:
		return &SignalError{sig, ErrSignalNumber}
	case sig == unix.SIGKILL || sig == unix.SIGSTOP:
		return &SignalError{sig, ErrSignalUncatchable}
	}
	if why, ok := runtimeSignals[sig]; ok {
		return &SignalError{sig, fmt.Errorf("%w: %s", ErrSignalRuntime, why)}
	}
	return nil
}

// unblockedSignals are those that can be handled and that the Go runtime unblocks
// in each thread of a program, whatever it was started with: those that end it,
// and SIGCHLD (runtime.blockableSig).
var unblockedSignals = bit(unix.SIGHUP) | bit(unix.SIGINT) | bit(unix.SIGQUIT) |
	bit(unix.SIGABRT) | bit(unix.SIGTERM) | bit(unix.SIGCHLD)

// checkBlockable is checkSignal, and reports what is never blocked in a Go program.
func checkBlockable(sig syscall.Signal) error {
	if err := checkSignal(sig); err != nil {
		return err
	}
	if unblockedSignals&bit(sig) != 0 {
		return &SignalError{sig, ErrSignalUnblockable}
	}
	return nil
}
