// Package mainloop is the main loop of a program: many sources of events in one
// wait, two of which are [aio.Context] loops, and signals as events.
//
//	loop, err := mainloop.Init(mainloop.WithSignals(syscall.SIGALRM))
//	handler, err := loop.Signals().Handle(syscall.SIGALRM, alarm)
//	loop.ScheduleBH(work)                 // from any goroutine
//	err = loop.Run(ctx)
//	err = loop.Close()
//
// A program that needs one Context and no signals is better off with package
// [aio] alone. [docs/main-loop.md] draws what calls what, and a test
// holds the drawings to the code.
//
// # Sources and their context
//
// A [MainContext] waits for many sources together. A [Source] is four functions, one
// for each phase of a turn, and any number of descriptors:
//
//	Prepare   how long may the loop wait on your account?
//	Query     for which descriptors?
//	          (then it waits, in ppoll(2), to the nanosecond)
//	Check     is there something for you to do?
//	Dispatch  do it
//
// [MainContext.Iterate] does a turn. A foreign loop that waits by itself calls the
// phases one by one instead. [NewAIOSource] makes a source of an [aio.Context],
// whatever its backend; it does not poll in user space then.
//
// # The program's main loop
//
// A [Loop] is a MainContext with two aio.Contexts in it. They are made alike, and
// differ only in who notifies them:
//
//	Loop.AIO         the program: bottom halves (functions that other goroutines
//	                 hand it), timers, its own events
//	Loop.IOHandler   the outside: descriptors, and signals
//
// A callback that has to wait for an answer can poll the first of them, and is not
// entered by events from outside in the meantime. A process has one Loop at a time,
// because it has one set of signals. Who needs more loops makes a MainContext or an
// aio.Context for each.
//
// [Signals] are handled on the loop like everything else. Where the process was
// started with them blocked, which [ReexecBlocked] sees to, they come by a
// signalfd(2), with their sender and value, and none that the kernel has queued is
// lost; otherwise they come by way of package os/signal.
//
// # Who may call what
//
// The goroutine that calls [Loop.Wait] or [Loop.Run] first is the home goroutine of
// both aio.Contexts, and all callbacks run on it. A MainContext has one owner at a
// time: the goroutine that has called Acquire, or that iterates it.
//
// From any goroutine, at any time: NotifyEvent, ScheduleBH, SetFDHandler, Stop,
// Wakeup, and the methods of Source, FD, Signals and SignalHandler. On the home
// goroutine: Wait, TryWait, Run, AddPoller (or before there is one) and Close. By the
// owner: Iterate, TryIterate and the phases.
//
// # What is not guaranteed
//
//   - An order among sources of one priority that are ready in one turn, other than
//     that of their being attached; and any between the AIO context and the I/O
//     handler context that a program should rely on.
//   - That a turn makes progress. NotifyEvent and Wakeup, and a source that is new,
//     make the loop go round for nothing else.
//   - That a signal which the bridge hands over comes with its sender, or that
//     real-time signals in a burst are counted there: that takes a signalfd.
//   - Being on time; see package aio.
//
// # Errors
//
// What is named is matched by errors.Is, and a type by errors.As.
//
//	Init, there is a Loop already            ErrInitialized
//	Init, the backend or a signal            as aio.New; *SignalError
//	Init, WithAIO with aio.WithName          an error that says that it is given twice
//	AddFD of a negative descriptor           *SourceError with EBADF
//	Attach of a source that is attached      ErrAttached
//	NewSource without Dispatch               ErrNoDispatch
//	a phase out of order                     ErrPhase
//	a phase, or Release, by another          ErrNotOwner
//	    goroutine than the owner
//	Acquire, Iterate, Wait, Close: it is     ErrOwned
//	    owned
//	Wait, Close: from within Wait            ErrWaiting
//	a descriptor closed while waited for     *SourceError with EBADF; once, and then
//	                                         it is left out until FD.Modify
//	Prepare says 0 again and again, for      *SourceError with ErrRestless
//	    nothing
//	a Prepare or Check that fails            *SourceError; the other sources go on
//	Handle, a signal that cannot be          *SignalError with ErrSignalNumber,
//	    handled                              ErrSignalUncatchable, ErrSignalRuntime or
//	                                         ErrSignalHandled
//	ReexecBlocked, a signal that cannot be   *SignalError with one of these but the last,
//	    blocked                              or ErrSignalUnblockable; ErrSignalNotBlocked
//	Run                                      nil when its ctx ends, the reason of Stop,
//	                                         or the first error of Wait
//	Wait, TryWait, Run on another goroutine  *SourceError with aio.ErrWrongGoroutine;
//	    than the home goroutine              ErrOwned while that one is in Wait
//	anything on what is closed               ErrClosed, which is aio.ErrClosed
//
// # QEMU's names
//
// [docs/qemu.md] has what QEMU and GLib call each thing, and what Go calls it here.
//
// [docs/main-loop.md]: https://github.com/aioloop/aioloop/blob/main/docs/main-loop.md
// [docs/qemu.md]: https://github.com/aioloop/aioloop/blob/main/docs/qemu.md
package mainloop
