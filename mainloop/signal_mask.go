package mainloop

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/internal/sys"
)

// signalMask is a set of signals, in the kernel's order: signal 1 is bit 0.
type signalMask uint64

func bit(sig syscall.Signal) signalMask { return 1 << (sig - 1) }

// first returns the lowest signal in m, which is not empty.
func (m signalMask) first() syscall.Signal {
	return syscall.Signal(bits.TrailingZeros64(uint64(m)) + 1)
}

// wordBits is the size of the words of which the kernel's set is made.
const wordBits = uint(unsafe.Sizeof(unix.Sigset_t{}.Val[0]) * 8)

func (m signalMask) sigset() *unix.Sigset_t {
	var set unix.Sigset_t
	for i := uint(0); i < maxSignal; i++ {
		if m&(1<<i) != 0 {
			set.Val[i/wordBits] |= 1 << (i % wordBits)
		}
	}
	return &set
}

func maskOf(set *unix.Sigset_t) (m signalMask) {
	for i := uint(0); i < maxSignal; i++ {
		if set.Val[i/wordBits]&(1<<(i%wordBits)) != 0 {
			m |= 1 << i
		}
	}
	return m
}

// threadMask returns what the calling thread blocks.
func threadMask() signalMask {
	var set unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set); err != nil {
		return 0
	}
	return maskOf(&set)
}

// initialMask is what the process was started with, less what the runtime
// unblocks: packages are initialised on the main thread before the program can
// change it. The runtime gives it to each thread that it starts later.
var initialMask = threadMask()

// chooseSignalMode returns SignalFD if sig is blocked in all threads, and why not otherwise.
func chooseSignalMode(sig syscall.Signal) (SignalMode, string) {
	why := whyNotBlocked(bit(sig))
	switch {
	case why == nil: // a Go library in a C program can have those of unblockedSignals too
		return SignalFD, "the process was started with it blocked, and all threads block it"
	case unblockedSignals&bit(sig) != 0:
		return SignalBridge, ErrSignalUnblockable.Error()
	}
	return SignalBridge, why.Error()
}

// whyNotBlocked returns nil if the process was started with all of want blocked
// and each of its threads blocks them now, as /proc says. A thread that is started
// in the meantime has the initial mask, or is C's and has that of its creator.
func whyNotBlocked(want signalMask) error {
	if missing := want &^ initialMask; missing != 0 {
		return fmt.Errorf("the process was started with %s unblocked", signalName(missing.first()))
	}
	return sys.EachThread(func(tid int) error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
		if err == nil {
			err = blockedIn(string(status), want)
		}
		if err != nil {
			return fmt.Errorf("thread %d: %w", tid, err)
		}
		return nil
	})
}

// blockedIn reports what a thread's status (proc_pid_status(5)) says against
// all of want being blocked.
func blockedIn(status string, want signalMask) error {
	for line := range strings.Lines(status) {
		hex, ok := strings.CutPrefix(line, "SigBlk:")
		if !ok {
			continue
		}
		blocked, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return fmt.Errorf("the line SigBlk of its status: %w", err)
		}
		if missing := want &^ signalMask(blocked); missing != 0 {
			return fmt.Errorf("%s is not blocked", signalName(missing.first()))
		}
		return nil
	}
	return errors.New("its status has no line SigBlk")
}
