//go:build linux

package aio

import (
	"fmt"
	"time"
)

// Thread is what a loop in thread mode asks for its thread. Zero values leave
// things as they are. docs/tuning.md says what each of them buys.
type Thread struct {
	// CPUs are those that the thread may run on, sched_setaffinity(2).
	CPUs []int
	// Exclusive keeps the other threads of the process off CPUs, also those that start later:
	// Go's monitor thread for example, for which a wake-up waits now and then. They then run
	// on the other CPUs, and what wakes the loop may wait for them there: see docs/tuning.md
	// before you use it on two CPUs. Loops that name the same CPU share it. There has to be
	// another CPU for the rest of the process, or the first Poll fails. Threads that may run
	// on no other CPU stay, and so do other processes. A thread that C code starts in a
	// callback of the loop has the loop's CPUs. It needs /proc, and no privilege.
	Exclusive bool
	// Nice, from -20 to 19, is its nice value, setpriority(2). Less than the
	// present one needs CAP_SYS_NICE, or RLIMIT_NICE. So does taking a higher one back:
	// without them Close fails with EACCES, and the thread keeps it.
	Nice int
	// Realtime, from 1 to 99, is its priority in the class SCHED_FIFO, sched(7):
	// it runs before every thread of the ordinary class for as long as it likes. It
	// needs CAP_SYS_NICE, or RLIMIT_RTPRIO.
	Realtime int
	// TimerSlack is how much the kernel may delay the thread's timeouts to merge them with
	// others, see PR_SET_TIMERSLACK in prctl(2). The kernel's default is 50 µs. In the class
	// SCHED_FIFO there is none.
	TimerSlack time.Duration
}

// WithThread locks the home goroutine to its thread and sets the thread up like this. The
// first Poll, Run or Prepare does so, and the thread becomes what it was when the home
// goroutine closes the Context. If the kernel permits something not, that call fails with
// an error that wraps EPERM and says what is needed; the thread is then unchanged. The
// option means thread mode: with ModePark New fails.
func WithThread(t Thread) Option {
	return func(o *options) error {
		o.thread.CPUs, o.thread.Exclusive, o.thread.Nice = t.CPUs, t.Exclusive, t.Nice
		o.thread.Realtime, o.thread.TimerSlack = t.Realtime, t.TimerSlack
		if err := o.thread.Check(); err != nil {
			return fmt.Errorf("aio: WithThread: %w", err)
		}
		return o.once("WithThread")
	}
}
