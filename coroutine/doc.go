// Package coroutine lets code of several steps run on a loop and read from top to bottom. A
// coroutine waits by giving the home goroutine back to the loop, and goes on there when what it
// waits for has come: no other goroutine takes part, and what only the loop touches needs no lock.
//
//	co := coroutine.Go(loop, func(co *coroutine.Co) error {
//		if err := co.Sleep(time.Second); err != nil {
//			return err
//		}
//		return co.Wait(func(done func()) { start(done) })
//	})
//
// A *Co as the first parameter says that a function may wait. Functions without one run to their
// end before anything else happens on the loop.
//
// # What it is for
//
// A protocol or a device whose steps depend on each other, of which there are tens or thousands.
// Not for a hundred thousand connections that are idle: each coroutine has a stack, some 3 KB, where a
// handler's callbacks take a few hundred bytes. Nor for work that keeps a CPU busy, which delays
// everything else on the loop. docs/coroutines.md has the figures.
//
// # Which goroutine
//
// [Go], [GoContext], [Co.Wake], the function of [Co.Wait], [Co.Done], [Co.Err], Name and String may be used
// by any goroutine, and so may [Group] but for Wait. What waits is called by the coroutine itself, in the
// function that was given to Go. The locks, [Semaphore] and [Queue] are for the coroutines of
// one loop; [SharedMutex] is for those of several.
//
// A coroutine is at home: Poll, Do, Submit, the methods of handlers, timers and notifiers work
// there as in a callback. It runs on a goroutine of its own, which the home goroutine waits for. So
// a value of runtime.LockOSThread, a pprof label or a goroutine's number is not that of the home
// goroutine. Close of the loop fails with aio.ErrPolling in a coroutine.
//
// # Threads
//
// Go's runtime ends a process that enters a coroutine in another thread, or on a goroutine that is
// locked to its thread more often, or less often, than the one that has made the coroutine. This package
// enters coroutines on the home goroutine alone, after the loop has locked it. It knows of the locks of aio's loops, and of
// calls from C: one more call from C than where the coroutines were started, as in a nested iteration of GLib,
// makes them wait until it returns. It does not know of runtime.LockOSThread
// and UnlockOSThread that the program calls on the home goroutine: call them before the first
// coroutine is started, or not at all.
//
// # The end
//
// Close of the loop makes each wait fail with aio.ErrClosed, so functions that return errors unwind. A
// function that goes on waiting is ended with runtime.Goexit after a thousand waits, and named
// in the LeakError, with where it was started and where it waits. Coroutines can be ended only where they can be
// entered: on the home goroutine, or on any if neither is locked to its thread. Others are named.
//
// RunUntilDone waits for coroutines that wait. Snapshot names them.
//
// A panic goes on to the caller that has entered the coroutine: that of Poll, Wake or Go. The loop
// stays usable. runtime.Goexit, and so t.Fatal, ends the coroutine alone.
//
// # Errors
//
//	Yield, Sleep, SleepOn, Wait, Lock, RLock,  aio.ErrClosed: the loop is closed
//	    Upgrade, Acquire, Wait of Queue, Group context.Cause: the context of the coroutine ends
//	the same, by another goroutine or a        ErrNotRunning
//	    callback
//	the same, inside a Poll or a call from C   ErrNested
//	    that began in the coroutine
//	Wake, Enter of one that has ended          ErrEnded; of a closed loop aio.ErrClosed
//	Wake, if a Wake was not taken yet          *UseError
//	Enter, unless it is in Yield               *UseError
//	Enter off the home goroutine               aio.ErrWrongGoroutine
//	Err, if the function panicked              *PanicError
//	Err, if it has called runtime.Goexit       ErrGoexit
//	Err, if the loop was closed before         aio.ErrClosed
//
// A mistake that a program can know beforehand panics with a sentence that names the coroutine: to
// unlock what it has not locked, to lock what it has locked, to end with a lock held, to use what
// belongs to another loop, to call the function of a Wait twice.
package coroutine
