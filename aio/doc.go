// Package aio is an event loop for Linux.
//
// A [Context] watches file descriptors, runs timers and functions that other
// goroutines hand to it, and calls back for all of them on one goroutine, one at a
// time. It waits with ppoll, epoll or io_uring, which is chosen when it is made,
// see [Backend]; programs are the same on all three.
//
//	loop, err := aio.New()
//	handler, err := loop.Watch(fd, aio.Callbacks{Read: read})
//	work := loop.NewBottomHalf(f)
//	timer := loop.NewTimer(aio.Realtime, g)
//	err = loop.Run(ctx)
//
// It is not a [context.Context], although it has the name in common; the examples
// call it loop. [docs/first-device.md] is a walk-through.
//
// # Words
//
//   - The home goroutine is the one that polls the loop. All callbacks run on it.
//   - A [BottomHalf] is a function that any goroutine can ask the loop to call, soon.
//     Interrupt handlers are split like that: the first half notes what has
//     happened, the bottom half does the rest.
//   - An [EventNotifier] is an eventfd(2): a counter that the kernel and other processes
//     can set, too.
//   - To notify a loop is to make it go round: it wakes up if it sleeps.
//   - An iteration is one round of the loop. What is collected in it is dispatched, that is
//     called back for, before it ends.
//   - To poll is to run one iteration ([Context.Poll]). Polling in user space is to look for
//     events without a system call before sleeping ([Polling]).
//   - A P is the right to run Go code. There are GOMAXPROCS of them. A goroutine in a system call
//     keeps its P until the runtime takes it away.
//   - To park is to sleep as a goroutine does, without a thread and without a P. A [Mode] says whether
//     a loop parks or sleeps in a system call.
//
// # Who owns what
//
// A Context owns the descriptors that it has opened: an eventfd, with epoll and
// io_uring that of the kernel object, with epoll another eventfd while a regular file is
// watched, and in park mode a duplicate and, with the first sleep that a timer ends, a
// timerfd; the clock Boottime takes one in thread mode too. It does not own those that it
// watches. The caller of Watch keeps the descriptor
// open until [Handler.Close] has returned on the home goroutine, or until the function
// of [Handler.CloseThen] is called, and closes it then. The Context neither reads nor writes
// it and changes no flag of it. It should be non-blocking, because a callback may be called
// for nothing.
//
// A [Handler], a [BottomHalf] and a [Timer] belong to the Context that made them
// for good. One that is closed, not scheduled or not armed takes up nothing but
// memory. An [EventNotifier] belongs to no Context. Watched by several, it wakes one or
// all of them: ppoll's clear the counter that they share, the others do not.
//
// # The home goroutine
//
// The first goroutine that calls Poll, TryPoll, Run, RunUntilDone or Prepare is the
// home goroutine of the Context, until it is closed. All callbacks run there, one at a
// time, so what only callbacks touch needs no lock. In thread mode with io_uring, and
// with [WithThread], the home goroutine is locked to its thread; Close unlocks it if
// the home goroutine calls it, and otherwise it stays locked until it ends. A coroutine of
// iter.Pull cannot be locked. The coroutines of package coroutine are at home: the home goroutine
// waits while one of them runs.
//
// These may be called from any goroutine, at any time, also while the loop sleeps:
// Notify, NewBottomHalf, NewTimer, AfterFunc, Every, Watch, WatchConn, WatchNotifier,
// ScheduleOnce, Do, Call, WaitWhile, KickWaiters, OnHome, CheckHome, Now, Stats, Snapshot, SetPolling,
// Attach, Hold, Release, NewDeferred, and the methods of BottomHalf, Timer,
// Handler, EventNotifier, VirtualClock and IOThread. (Named and Guarded come before the first use, and
// Events, TryRead and TryWrite are for callbacks.) What they change is visible to the iteration
// that follows. On the home goroutine, to cancel, stop, change or close something is certain: the
// old callback does not run any more, even if its event has been collected already. Elsewhere it
// may be running at that moment; [Context.Do] is the way to be certain there too.
//
// Poll, TryPoll, Run, RunUntilDone, Prepare, Query, Check, Dispatch, Submit, Cancel, Complete, Supports, RegisterFile, RegisterBuffer, and a
// [ReentrancyGuard] belong to the home goroutine. Close may be called on any
// goroutine, but not while the loop runs.
//
// # One iteration
//
// Poll, and Run again and again, goes through these steps; TryPoll leaves out
// those that take time.
//
//  1. How long it may sleep: not at all if a bottom half is scheduled or if an
//     outer iteration has left something to be called; otherwise to the nearest
//     timer on any clock that runs, and no longer than until an idle bottom half
//     has waited for 10 ms; otherwise forever.
//  2. Polling in user space, if [WithPolling] allows it and the last iterations
//     suggest that it is worth it.
//  3. It announces that it is about to sleep, and looks again whether a goroutine has
//     notified it; if so, it does not sleep.
//  4. It waits, in the kernel or in Go's scheduler as its [Mode] says, withdraws the
//     announcement, and takes notice of all notifies so far, before it looks for what
//     they were about.
//  5. It calls, in this order: completions of native operations; bottom halves that
//     were scheduled by now, the first one first; handlers with events; timers that
//     have expired, the earliest first; idle bottom halves, if nothing else has been
//     called or if they have waited for 10 ms.
//  6. It reports whether there was progress: anything of the above but an idle
//     bottom half.
//
// What a callback schedules is for the next iteration, and so is what a timer arms
// for a time in the past. So each iteration ends.
//
// A callback may call Poll. The inner iteration first runs what the outer one has
// not come to, and the outer one does not run it again. If a callback panics, the
// panic goes on to the caller of Poll or Run, and the Context can be used as
// before: what the iteration has not come to runs in the next one.
//
// Instead of sleeping by itself, a Context can be a guest in another loop, which
// waits for it: see [Context.Prepare].
//
// # I/O threads
//
// [StartIOThread] makes a Context and the goroutine that runs it, and [IOThread.Stop] ends both. A
// program that divides its descriptors among several has that many loops, which know nothing of each
// other:
//
//	disk, err := aio.StartIOThread("disk", aio.WithThread(aio.Thread{CPUs: []int{1}}))
//	err = disk.Context().Do(ctx, open)
//	err = disk.Stop(ctx)
//
// [Context.WaitWhile] is for code that cannot go on before something has changed, and that may run
// on a loop: the end of a device has to wait for its requests, for example. A callback that blocked
// would keep its loop from the very events that it waits for; WaitWhile polls the loop in the
// meantime, so that callbacks run inside the one that waits. The one that changes something
// calls [KickWaiters]:
//
//	flying.Add(-1)
//	aio.KickWaiters()                                                   // on the I/O thread
//
//	err = disk.WaitWhile(ctx, func() bool { return flying.Load() > 0 }) // in a callback of the main loop
//
// # Notify
//
// A loop that is awake finds out about a notify by itself; one that sleeps is woken
// by one write to its eventfd, however many goroutines notify it. So Schedule and
// Notify cost a few atomic operations, and a system call only if they end a sleep.
// In park mode not even that, if the notifier is about to make way: a callback of
// another parked loop, or the caller of Do.
//
// # What is guaranteed
//
//   - A bottom half that was scheduled runs, once for all Schedules before it
//     begins, in the order of scheduling, and sees what was done before Schedule.
//   - Timers are never early. Those with one deadline run in the order in which
//     they were armed.
//   - A handler is called for as long as its condition holds, on each backend, so
//     it may read as little as it likes; with [Callbacks].Edge, for each change.
//   - Regular files, directories and /dev/null are always ready, on each backend.
//   - A descriptor number that is closed and used again brings no event to the new
//     handler that was meant for the old one.
//   - Scheduling, notifying, polling, calling back and arming a timer allocate no
//     memory once the program has reached its size.
//
// # What is not guaranteed
//
//   - An order between the handlers of one iteration, or one call per cause: events
//     that come close together may be one call, and a call may be for nothing.
//   - Progress. Poll may return without any.
//   - Being on time. A callback that takes long delays all others; so do the
//     kernel's scheduler and, in park mode, Go's. In thread mode a loop that sleeps
//     keeps its P until the runtime takes it away, which everybody waits for if
//     GOMAXPROCS is 1. With epoll on kernels before 5.11, timers are up to 1 ms late.
//   - That a jump of the Host clock is noticed before the loop wakes up for another
//     reason.
//   - That the wrong goroutine is found out after the home goroutine has ended. A
//     Context whose home goroutine has ended is only good for Close.
//   - A fair share for everybody: a bottom half that always schedules itself keeps
//     the loop awake, although not from calling the others.
//
// Operations of an io_uring run with the credentials of the thread that submits them,
// see docs/security.md. A program that gives up privileges does well to call New
// afterwards.
//
// # Errors
//
// Errors are for what a program cannot know beforehand, and wrap the errno if there
// is one. In the following, what is named is matched by errors.Is, and a type by
// errors.As.
//
//	New, backend cannot be used here          backend.ErrUnavailable, *backend.UnavailableError
//	New, no descriptor left                   EMFILE, ENFILE
//	New, AIOLOOP_BACKEND unknown              an error that lists the names
//	New, bad option: unknown Backend or       an error that names the option
//	    Mode, nil Poller or VirtualClock,
//	    parameter out of range, nil Option,
//	    one given twice, WithThread in park
//	    mode
//	New, ModePark and a backend without it    errors.ErrUnsupported
//	first Poll, Run or Prepare, WithThread    EPERM, EACCES; EINVAL if no CPU is left
//	the same in a coroutine of iter.Pull, if  ErrCoroutine
//	    the thread would be locked
//	Set, UnmarshalText of Backend and Mode:   an error that lists the names
//	    unknown
//	Watch, descriptor negative or not open    *backend.FDError, EBADF
//	Watch, descriptor watched already         *backend.FDError, EEXIST
//	Watch, Change: Priority on a file that    *backend.FDError, EPERM
//	    has no priority events
//	Watch with epoll, a limit is reached      *backend.FDError, ENOSPC, EMFILE, ENFILE
//	Watch with epoll, epoll descriptors nest  *backend.FDError, ELOOP
//	    deeper than five, or the loop's own
//	Watch, Change: no Read, Write, Priority   ErrNoCallback
//	Want: what there is no callback for, or   ErrNoCallback
//	    nothing
//	WatchNotifier: no notifier, no Read       ErrNoCallback
//	WatchNotifier, and Change of its          an error that says so
//	    Handler: Write or Priority
//	Want, Change, Close, CloseThen of a       ErrClosed
//	    closed Handler
//	Set, TestAndClear, Close of a closed      ErrClosed
//	    EventNotifier; WatchNotifier of one
//	Schedule, ScheduleIdle, Close of a        ErrClosed
//	    closed BottomHalf
//	Set, Reset, SetEarlier, Close of a        ErrClosed
//	    closed Timer
//	Every: the period is 0 or less            an error that names it
//	Poll, TryPoll, Run, RunUntilDone,         ErrWrongGoroutine
//	    Prepare, Check, Dispatch, Submit on
//	    another goroutine
//	Close while the loop is inside Poll or    ErrPolling
//	    Run, from a callback or elsewhere, or
//	    in a coroutine
//	Close with something left in the loop     *LeakError; it is closed all the same
//	Close, WithThread: a nice value cannot    EACCES; it is closed all the same
//	    be taken back
//	anything on a closed Context              ErrClosed; Notify does nothing
//	Do, Call: the context.Context ends        context.Cause; Run returns nil
//	Do, Call: the function panicked           ErrPanicked; the panic itself is Poll's
//	Do, Call, WaitWhile, Stop of an           ErrDeadlock
//	    IOThread with WithDebug: loops would
//	    wait for each other
//	Stop of an IOThread in a callback of      ErrDeadlock
//	    its loop
//	StartIOThread                             what New and the first Poll fail with
//	Stop of an IOThread                       what Close and, if it failed, Run return
//	Stop of an IOThread whose callback has    ErrPanicked
//	    ended the goroutine
//	Stop of an IOThread: the context.Context  context.Cause; it is being stopped
//	    ends
//	second Stop of an IOThread                ErrClosed
//	WaitWhile: the context.Context ends       context.Cause
//	WaitWhile: the Context is closed          ErrClosed
//	SetPolling: parameter out of range        an error that names it
//	ReentrancyGuard.Do from guarded code      ErrReentrant
//	Submit, Prepare: the Poller cannot        errors.ErrUnsupported
//	Submit, Complete: the request is under    EBUSY
//	    way
//	first Prepare with io_uring, operations   EBUSY
//	    under way since an earlier Poll
//
// ErrClosed matches os.ErrClosed. The name of a loop ([WithName]) is in a LeakError and in the
// errors of its backend and its thread.
//
// What a program can know beforehand is a mistake in the program, and panics with
// a sentence that says which: a nil function for NewBottomHalf, ScheduleOnce,
// NewTimer, AfterFunc, Every, Do, Call, WaitWhile, NewDeferred, the Done of a Request, CloseThen or ReentrancyGuard.Do, and a
// [ClockID] that is none of the five, for NewTimer and Now.
//
// # QEMU's names
//
// [docs/qemu.md] has what QEMU calls each thing, and what Go calls it here.
//
// [docs/first-device.md]: https://github.com/aioloop/aioloop/blob/main/docs/first-device.md
// [docs/qemu.md]: https://github.com/aioloop/aioloop/blob/main/docs/qemu.md
package aio
