// Package aioloop has no code of its own. It is the front page of a module for Linux: an event
// loop that one goroutine owns, with descriptors, event notifiers, bottom halves (functions
// that any goroutine hands to the loop) and timers. What happens in it happens on that
// goroutine, one thing after the other, so its state needs no lock.
//
// Where to go:
//
//   - [github.com/aioloop/aioloop/aio]: the loop, [github.com/aioloop/aioloop/aio.Context].
//   - [github.com/aioloop/aioloop/aio/tracing]: what a loop does, for log/slog, runtime/trace and
//     profiles.
//   - [github.com/aioloop/aioloop/coroutine]: code of several steps that reads from top to bottom.
//   - [github.com/aioloop/aioloop/file]: regular files and block devices on a loop.
//   - [github.com/aioloop/aioloop/pool]: work that blocks, on goroutines of its own, for a loop.
//   - [github.com/aioloop/aioloop/mainloop]: the main loop of a program around such loops:
//     sources with priorities, signals as events.
//   - [github.com/aioloop/aioloop/backend]: how a loop asks the kernel, by ppoll(2), epoll(7) or
//     io_uring(7), and the interface for more.
//   - [github.com/aioloop/aioloop/backend/backendtest]: the tests that such a backend has to pass.
//
// The smallest program:
//
//	loop, err := aio.New()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer loop.Close()
//	loop.AfterFunc(time.Second, func() { fmt.Println("a second later") })
//	loop.Run(ctx)
//
// [docs/first-device.md] is a walk-through: a doorbell, a timer, a bottom half and their test.
//
// A program that only serves sockets needs none of this: the Go runtime has an event loop, and
// goroutines are nicer than callbacks. The README says what it is for.
//
// [docs/first-device.md]: https://github.com/aioloop/aioloop/blob/main/docs/first-device.md
package aioloop
