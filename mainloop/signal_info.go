package mainloop

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// SignalMode is the way in which a signal gets to the loop.
type SignalMode int

// The ways, see Signals.
const (
	SignalNotHandled SignalMode = iota
	SignalFD                    // signalfd(2)
	SignalBridge                // package os/signal
)

// String returns "signalfd", for example.
func (m SignalMode) String() string {
	switch m {
	case SignalNotHandled:
		return "not handled"
	case SignalFD:
		return "signalfd"
	case SignalBridge:
		return "os/signal"
	}
	return fmt.Sprintf("SignalMode(%d)", int(m))
}

// SignalInfo is what is known about a signal. With SignalBridge that is Signal and
// Mode, and the rest is 0. With SignalFD it is what the kernel fills in for the
// Code, see sigaction(2) and signalfd(2); what does not belong to the code is 0.
type SignalInfo struct {
	Signal syscall.Signal
	Mode   SignalMode
	Code   SignalCode // where it comes from

	// PID and UID are the sender's process id and real user id, in the namespaces
	// of the receiver; PID is 0 if the sender is not visible there, or if it is the
	// kernel. With CodeUser they are the kernel's word, with CodeQueue they are what
	// the sender claims: do not base a permission on it.
	PID int
	UID int

	// Value is the int that was sent along with sigqueue(3), mq_notify(3) or
	// timer_create(2), Pointer the same union as a pointer: 64 bits.
	Value   int32
	Pointer uint64

	// FD and Band are the descriptor and the poll(2) events of a signal that
	// F_SETSIG has asked for (fcntl(2)); Code is then one of the positive POLL_*.
	FD   int
	Band uint32

	// TimerID and Overrun belong to CodeTimer: the kernel's number of the timer,
	// and how many expirations this signal stands for beyond the first.
	TimerID int
	Overrun int
}

// SignalCode says where a signal comes from (si_code in sigaction(2)).
type SignalCode int32

// The codes that do not depend on the signal.
const (
	CodeUser    SignalCode = 0    // kill(2)
	CodeKernel  SignalCode = 0x80 // the kernel
	CodeQueue   SignalCode = -1   // sigqueue(3): with a value
	CodeTimer   SignalCode = -2   // a POSIX timer: with a value
	CodeMesgQ   SignalCode = -3   // mq_notify(3): with a value
	CodeAsyncIO SignalCode = -4   // POSIX AIO
	CodeSigIO   SignalCode = -5   // queued SIGIO
	CodeThread  SignalCode = -6   // tkill(2) and tgkill(2)
)

// String returns C's name, "SI_USER" for example.
func (c SignalCode) String() string {
	switch c {
	case CodeUser:
		return "SI_USER"
	case CodeKernel:
		return "SI_KERNEL"
	case CodeQueue:
		return "SI_QUEUE"
	case CodeTimer:
		return "SI_TIMER"
	case CodeMesgQ:
		return "SI_MESGQ"
	case CodeAsyncIO:
		return "SI_ASYNCIO"
	case CodeSigIO:
		return "SI_SIGIO"
	case CodeThread:
		return "SI_TKILL"
	}
	return fmt.Sprintf("si_code %d", int32(c))
}

// signalRecord is the size of struct signalfd_siginfo in bytes; it is the same on
// every architecture, and padded so that it need not grow.
const signalRecord = 128

// decodeSignal decodes the record at the beginning of b, which has at least
// signalRecord bytes. The number is checked by the caller.
func decodeSignal(b []byte) SignalInfo {
	_ = b[signalRecord-1]
	word := binary.NativeEndian.Uint32
	return SignalInfo{
		Signal:  syscall.Signal(word(b[0:])),
		Mode:    SignalFD,
		Code:    SignalCode(word(b[8:])),
		PID:     int(word(b[12:])),
		UID:     int(word(b[16:])),
		FD:      int(int32(word(b[20:]))),
		TimerID: int(word(b[24:])),
		Band:    word(b[28:]),
		Overrun: int(word(b[32:])),
		Value:   int32(word(b[44:])),
		Pointer: binary.NativeEndian.Uint64(b[48:]),
	}
}
