package mainloop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reexecMarker is the environment variable that tells the second execution of a
// program what the first has tried: its process id, which an exec keeps and no
// child has, and the mask in hexadecimal.
const reexecMarker = "AIOLOOP_REEXEC"

// reexecTried is what the process has blocked before it executed itself.
var reexecTried = takeReexecMarker()

// ReexecBlocked makes sure that the process was started with sigs blocked, which
// is what SignalFD needs. It returns nil immediately if it was. Otherwise it blocks
// them and executes the program again, with the same process id, arguments and
// environment, and does not return; the second time it returns nil.
//
// Call it at the beginning of main: what the program has done so far is gone,
// except that descriptors without close-on-exec stay open. Signals that arrive once
// they are blocked stay pending and are not lost; what comes earlier has the effect
// that it has in any Go program. Programs that this one starts inherit the mask,
// see Signals.
//
// It fails with a *SignalError that wraps ErrSignalNumber, ErrSignalUncatchable,
// ErrSignalRuntime, or ErrSignalUnblockable for those that no Go program blocks
// (SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGCHLD); with ErrSignalNotBlocked if
// they are not blocked the second time either, for it never executes the program
// twice for the same signals; and with the error of execve(2) if the executable file
// cannot be executed any more. Then the program goes on as it was.
func ReexecBlocked(sigs ...syscall.Signal) error {
	var want signalMask
	for _, sig := range sigs {
		if err := checkBlockable(sig); err != nil {
			return err
		}
		want |= bit(sig)
	}
	if want == 0 {
		return nil
	}
	why := whyNotBlocked(want)
	switch {
	case why == nil:
		return nil
	case want&^reexecTried == 0:
		return fmt.Errorf("mainloop: %w: %w", ErrSignalNotBlocked, why)
	}
	return fmt.Errorf("mainloop: execute the program again: %w", reexec(want|reexecTried))
}

// reexec returns only if it fails. The new program gets the mask of the thread
// that calls execve(2), which is restored if that fails.
func reexec(mask signalMask) error {
	path, err := executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, mask.sigset(), &before); err != nil {
		return os.NewSyscallError("rt_sigprocmask", err)
	}
	marker := fmt.Sprintf("%s=%d,%x", reexecMarker, os.Getpid(), uint64(mask))
	err = os.NewSyscallError("execve", syscall.Exec(path, os.Args, append(os.Environ(), marker)))
	return errors.Join(err, os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)))
}

// executable returns the path of the program, so that it keeps its name, or, if
// another file has taken its place, the kernel's link to it.
func executable() (string, error) {
	const link = "/proc/self/exe"
	running, err := os.Stat(link)
	if err != nil {
		return "", err
	}
	if path, err := os.Readlink(link); err == nil {
		if file, err := os.Stat(path); err == nil && os.SameFile(running, file) {
			return path, nil
		}
	}
	return link, nil
}

// takeReexecMarker takes the marker out of the environment, so that no child
// inherits it. It is called before main.
func takeReexecMarker() signalMask {
	value, ok := os.LookupEnv(reexecMarker)
	if !ok {
		return 0
	}
	_ = os.Unsetenv(reexecMarker)
	return parseReexecMarker(value, os.Getpid())
}

// parseReexecMarker returns 0 if value is not from this process.
func parseReexecMarker(value string, pid int) signalMask {
	who, hex, _ := strings.Cut(value, ",")
	if n, err := strconv.Atoi(who); err != nil || n != pid {
		return 0
	}
	mask, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0
	}
	return signalMask(mask)
}
