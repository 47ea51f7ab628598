// Package sys holds the raw system calls that golang.org/x/sys/unix lacks, or
// has only in a form that always tells the Go scheduler.
//
// Two kinds of calls are kept apart. A call that may sleep goes through
// syscall.Syscall6, so that the scheduler can hand its P to another thread. A call
// that cannot sleep (a zero timeout, a non-blocking eventfd) goes through
// syscall.RawSyscall6: telling the scheduler about it would cost a tenth of the call.
//
// Every function spells out its call instead of sharing a helper: a pointer that
// is turned into a uintptr stays valid only within the argument list of the
// system call itself (package unsafe, rule 4).
//
// The calls are package syscall's: those of package unix lead there through the stack.
package sys

import (
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// result maps the registers of a system call to Go. It allocates nothing: an
// errno fits the runtime's table of small integers.
func result(r uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// Timespec64 is struct __kernel_timespec, the same on 32-bit machines.
type Timespec64 struct{ Sec, Nsec int64 }

// NewTimespec64 converts a non-negative duration.
func NewTimespec64(d time.Duration) Timespec64 {
	return Timespec64{Sec: int64(d / time.Second), Nsec: int64(d % time.Second)}
}

// Ppoll is ppoll(2) without a signal mask. A nil timeout waits forever. The kernel writes
// revents into fds and the remaining time into timeout, so a caller that repeats the call
// sets it again.
func Ppoll(fds []unix.PollFd, timeout *unix.Timespec) (int, error) {
	if err := FaultOf(CallPpoll); err != nil {
		return 0, err
	}
	p := unsafe.Pointer(unsafe.SliceData(fds))
	r, _, errno := syscall.Syscall6(unix.SYS_PPOLL, uintptr(p), uintptr(len(fds)), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	return result(r, errno)
}

// none is the number of a call that this CPU lacks.
const none = 0

// PpollNow is Ppoll that does not sleep. It is poll(2) where there is that; a filter may know
// the newer call alone.
func PpollNow(fds []unix.PollFd) (int, error) {
	if err := FaultOf(CallPpoll); err != nil {
		return 0, err
	}
	p := unsafe.Pointer(unsafe.SliceData(fds))
	if sysPoll != none {
		if r, _, errno := syscall.RawSyscall(sysPoll, uintptr(p), uintptr(len(fds)), 0); errno == 0 {
			return int(r), nil
		}
	}
	var now unix.Timespec
	r, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(p), uintptr(len(fds)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return result(r, errno)
}

// PpollFor is Ppoll with a duration, forever if it is negative. After a signal, often
// one of the Go scheduler's own, it goes on with the rest. After MaxInterrupts signals
// it returns 0, early.
//
// A process that is stopped in ppoll(2), by SIGSTOP or the freezer, sees no EINTR: the
// kernel restarts the call with what was left when the stop began. So a timed sleep is
// made of slices, and a stop delays its end by one slice at most. A sleep without a
// timeout is one call.
func PpollFor(fds []unix.PollFd, timeout time.Duration) (int, error) {
	if timeout == 0 { // most often
		if n, err := ppollNow(fds); err != unix.EINTR {
			return n, err
		}
		return inVain(fds)
	}
	deadline := Deadline(timeout)
	for interrupts := 0; interrupts < MaxInterrupts; {
		n, err := ppollOnce(fds, min(timeout, slice))
		switch {
		case err == unix.EINTR:
			interrupts++
		case n > 0 || err != nil || timeout <= slice:
			return n, err
		}
		timeout = Until(deadline)
	}
	return inVain(fds)
}

// inVain is the result of a call that signals have ended each time.
func inVain(fds []unix.PollFd) (int, error) {
	for i := range fds {
		fds[i].Revents = 0 // ppoll has not written them
	}
	return 0, nil
}

// ppollNow is PpollNow, MaxInterrupts times if signals end it.
func ppollNow(fds []unix.PollFd) (n int, err error) {
	for range MaxInterrupts {
		if n, err = PpollNow(fds); err != unix.EINTR {
			break
		}
	}
	return n, err
}

// slice is the longest timeout that PpollFor gives to the kernel.
const slice = 100 * time.Millisecond

// MaxInterrupts is how many signals in a row a wait puts up with before it lets its
// caller look around. So many mean that something is wrong: a filter that answers
// EINTR forever must not make a call that never returns.
const MaxInterrupts = 1000

func ppollOnce(fds []unix.PollFd, timeout time.Duration) (int, error) {
	if timeout < 0 {
		return Ppoll(fds, nil)
	}
	ts := NewTimespec(timeout)
	return Ppoll(fds, &ts)
}

// Longest is the longest time that fits the system calls of 32-bit machines, 68 years.
const Longest = math.MaxInt32 * time.Second

// NewTimespec converts a non-negative duration, or Longest if that is less.
func NewTimespec(d time.Duration) unix.Timespec {
	return unix.NsecToTimespec(int64(min(d, Longest)))
}

// EpollPwait2 is epoll_pwait2(2), Linux 5.11, without a signal mask. A nil
// timeout waits forever.
func EpollPwait2(epfd int, events []unix.EpollEvent, timeout *Timespec64) (int, error) {
	f := fault(CallEpollPwait2)
	if f.Errno != 0 {
		return 0, f.Errno
	}
	events = events[:f.room(len(events))]
	p := unsafe.Pointer(unsafe.SliceData(events))
	r, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epfd), uintptr(p), uintptr(len(events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	return result(r, errno)
}

// EpollPwait is epoll_pwait(2) without a signal mask. The timeout is in
// milliseconds; a negative one waits forever.
func EpollPwait(epfd int, events []unix.EpollEvent, msec int) (int, error) {
	f := fault(CallEpollPwait)
	if f.Errno != 0 {
		return 0, f.Errno
	}
	events = events[:f.room(len(events))]
	p := unsafe.Pointer(unsafe.SliceData(events))
	r, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(p), uintptr(len(events)), uintptr(msec), 0, 0)
	return result(r, errno)
}

// EpollPwaitNow is EpollPwait that does not sleep. It is epoll_wait(2) where there is that; a
// filter may know the newer call alone.
func EpollPwaitNow(epfd int, events []unix.EpollEvent) (int, error) {
	if hook.Load() == nil {
		p := unsafe.Pointer(unsafe.SliceData(events))
		r, _, errno := syscall.RawSyscall6(sysEpollNow, uintptr(epfd), uintptr(p), uintptr(len(events)), 0, 0, 0)
		if errno == 0 {
			return int(r), nil
		}
	}
	return EpollPwait(epfd, events, 0)
}

// EpollCtl is epoll_ctl(2).
func EpollCtl(epfd, op, fd int, event *unix.EpollEvent) error {
	if err := FaultOf(CallEpollCtl); err != nil {
		return err
	}
	return unix.EpollCtl(epfd, op, fd, event)
}

// EpollCreate1 is epoll_create1(2) with EPOLL_CLOEXEC.
func EpollCreate1() (int, error) {
	if err := FaultOf(CallEpollCreate1); err != nil {
		return -1, err
	}
	return unix.EpollCreate1(unix.EPOLL_CLOEXEC)
}

// IoUringEnter is io_uring_enter(2). With IORING_ENTER_EXT_ARG (Linux 5.11) arg
// points to a struct io_uring_getevents_arg of argSize bytes, otherwise it is
// nil. It sleeps if minComplete is not 0. It returns how many submission queue
// entries the kernel has taken.
func IoUringEnter(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, argSize uintptr) (int, error) {
	if minComplete == 0 && hook.Load() == nil { // most often
		r, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(toSubmit), 0, uintptr(flags), uintptr(arg), argSize)
		return result(r, errno)
	}
	return ioUringEnter(fd, toSubmit, minComplete, flags, arg, argSize)
}

// ioUringEnter is IoUringEnter that may sleep, or fail for a test.
func ioUringEnter(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, argSize uintptr) (int, error) {
	f := fault(CallIoUringEnter)
	if f.Errno != 0 {
		return 0, f.Errno
	}
	if f.Room > 0 && uint32(f.Room) < toSubmit {
		toSubmit, minComplete = uint32(f.Room), 0 // when not all were taken the kernel does not wait
	}
	r, _, errno := syscall.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(toSubmit), uintptr(minComplete), uintptr(flags), uintptr(arg), argSize)
	if f.Then != nil {
		f.Then()
	}
	return result(r, errno)
}

// Gettid returns the calling thread's id. It means something only while the
// goroutine is locked to its thread.
func Gettid() int {
	tid, _, _ := syscall.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	return int(tid)
}

// ThreadExists reports whether the process has a thread with that id.
func ThreadExists(tid int) bool {
	return unix.Tgkill(unix.Getpid(), tid, 0) != unix.ESRCH
}

// CheckPollable reports why fd cannot be polled: EBADF for a number that is not
// open (or was opened with O_PATH), nil otherwise. Every backend asks this, so
// that they agree on what a bad descriptor is. failing says that the file reports an
// error; it is true if that is unknown.
func CheckPollable(fd int) (failing bool, err error) {
	if fd < 0 || fd > maxFD {
		return false, unix.EBADF
	}
	revents, err := PollNow(fd, 0)
	switch {
	case err == unix.EINVAL: // RLIMIT_NOFILE is 0: poll(2) takes no descriptor at all
		return true, checkOpen(fd)
	case err == nil && revents&unix.POLLNVAL != 0:
		err = unix.EBADF
	}
	return revents&unix.POLLERR != 0, err
}

// checkOpen is CheckPollable without poll(2).
func checkOpen(fd int) error {
	flags, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFL, 0)
	if errno == 0 && flags&unix.O_PATH != 0 {
		errno = unix.EBADF
	}
	_, err := result(0, errno)
	return err
}

// PollNow returns what poll(2) says of one descriptor at this moment.
func PollNow(fd int, events int16) (revents int16, err error) {
	one := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	_, err = ppollNow(one[:])
	return one[0].Revents, err
}

// Pollable returns EPERM for a file that cannot wait for anything, as epoll_ctl(2) does, and nil
// for all others.
func Pollable(fd int) error {
	epfd, err := EpollCreate1()
	if err != nil { // unknown: it can
		return nil
	}
	Opened(epfd, KindEventpoll)
	defer unix.Close(epfd)
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{}); err == unix.EPERM {
		return err
	}
	return nil
}

// maxFD is the largest number that fits the kernel's int.
const maxFD = 1<<31 - 1
