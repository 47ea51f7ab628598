// Package pool does work that blocks for an event loop: it runs on a goroutine of its own, and
// what comes after it runs on the loop.
//
//	err := pool.Run(loop, func() error {
//		return file.Sync() // on a worker
//	}, func(err error) {
//		reply(err) // on the loop
//	})
//
// The result of the work is a variable that both functions use: what the work has written is
// visible to done.
//
// A loop has one [Pool] of its own, see [Of], which ends with it. [New] makes more of them, with
// other limits. A [Job] is memory of the caller that can be used again, for work without an
// allocation; Run allocates one.
//
// # From Submit to Done
//
//	                  Cancel
//	        ┌─────────────────────────┐
//	        │                         ▼
//	Idle ─▶ Queued ─▶ Active ─▶ Done (finished) ─▶ Idle
//	     Submit   worker   Work returns    the loop calls Done
//
// Submit puts a job into a queue. When the loop has called back for everything in this iteration,
// it wakes one worker for all jobs that came together. A worker that leaves jobs behind in
// the queue wakes the next one, before it begins its own. Jobs begin in the order of Submit.
// Those that are done wait in a list, and one bottom half calls their Done, in the order in
// which they were finished. So Done is never called inside Submit or Cancel.
//
// A callback that submits a job and then blocks until the job is done, on a channel say, blocks
// forever. A nested [aio.Context.Poll] starts the job, and so does [aio.Context.Batch] outside of
// Poll, at its end.
//
// Only work that is queued can be cancelled: nothing ends a system call of another thread.
//
// # Workers
//
// A worker is a goroutine. Work that blocks in a system call takes a thread of the Go runtime for
// as long; work that waits for a channel or a net.Conn takes none. The pool starts a worker when a
// job waits and none is idle, up to a limit. The one that became idle last gets the next job, and
// those that were idle for a while end: see [WithWorkers] and [WithIdle].
//
// # What it costs
//
// An empty job there and back, with epoll on two CPUs: in park mode 4 to 6 µs, or 0.4 µs for each of
// 16 that are under way together, which is what a goroutine for each of them costs. In thread
// mode both the worker and the loop are woken on another CPU: 24 µs on a quiet machine, 40 on a
// busy one, and 2 to 8 for each of 16. A loop that hands over much small work is better off
// in park mode ([aio.WithMode]). No memory is allocated for a Job.
//
// # Panics
//
// A panic of Work is not lost on the worker: the loop panics with a [PanicError] at the moment when
// it would have called Done, so the panic goes on to the caller of Poll or Run, like that of a
// callback. Done is not called. Work that ends its goroutine, with runtime.Goexit or
// t.Fatal, gets ErrGoexit for its Done, and the worker is replaced. A panic of Done is like
// that of any callback. None of these has an effect on other jobs.
//
// # Ends
//
// A job under way keeps [aio.Context.RunUntilDone] going, and [aio.Context.Snapshot] names it. Close
// of the loop ends its pools. What is under way by then is named in the [aio.LeakError]: queued
// work does not run, active work goes on, its worker ends after it, and no Done is called any
// more. [Pool.Close] ends one pool in an orderly way.
//
// # Errors
//
//	New: nil Option, one given twice, a      an error that names the option
//	    parameter out of range
//	Submit, Run, Close on another goroutine  aio.ErrWrongGoroutine
//	anything on a closed Pool, or of a       aio.ErrClosed
//	    closed loop
//	Submit: the job is under way             ErrUnderWay, EBUSY
//	Done after Cancel or Pool.Close          ErrCanceled, ECANCELED
//	Done after Work has ended its goroutine  ErrGoexit
//	Close: ctx ends first                    context.Cause(ctx)
//
// A nil Work or Done is a mistake in the program, and Submit panics.
package pool
