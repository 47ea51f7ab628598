//go:build linux

// Package linuxaio reads, writes and syncs files with Linux AIO (io_submit(2)) for one loop:
//
//	engine, err := linuxaio.Open(loop, linuxaio.Depth)
//	r := &linuxaio.Request{Op: linuxaio.Read, FD: fd, Buffer: aligned, Done: done}
//	err = engine.Submit(r)
//
// It is asynchronous for files that were opened with O_DIRECT. With all others io_submit(2) does
// the whole work before it returns, and the loop waits for the disk: such requests belong
// elsewhere. So does a file of which the filesystem has to allocate blocks, on some filesystems.
//
// The kernel hands completions over in a ring in memory that the loop reads without a system call,
// and sets an eventfd that wakes the loop up. Requests of one iteration start with one system call
// at its end.
package linuxaio

import (
	"errors"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
)

// Depth is a good number of requests in the kernel.
const Depth = 128

// errUnderWay is returned by Submit.
var errUnderWay = errors.New("linuxaio: the Request is under way already")

const (
	// pause is the time to the next try when the kernel takes nothing, has nothing under way, and
	// so will not say when it does.
	pause = time.Millisecond
	// patience is after how many such tries a request ends with the kernel's errno.
	patience = 1000
)

// Engine runs Requests for one loop. It belongs to the loop's home goroutine.
type Engine struct {
	loop     *aio.Context
	kernel   *kernel
	notifier *aio.EventNotifier // set by the kernel with each completion
	handler  *aio.Handler

	// What waits goes to the kernel through start, at the end of an iteration; if that has no
	// room for it, when something completes; if nothing will, when retry expires.
	waiting list
	start   *aio.Deferred
	retry   *aio.Timer
	tries   int              // of retry, since the kernel last took something
	batch   []unsafe.Pointer // room for one io_submit

	slots slots // what the kernel has

	// What has completed is called back for by run, from the handler or from rest.
	completed list
	rest      *aio.BottomHalf

	closed bool
	counts [ops]atomic.Int32 // under way, of each Op; any goroutine reads them
}

// Open returns an Engine that has at most depth Requests in the kernel; the others wait in order.
// Any goroutine may call it. The system-wide sum of all depths is limited by the sysctl
// fs.aio-max-nr: Open then fails with EAGAIN. It fails with errors.ErrUnsupported, and the errno,
// where the kernel or a filter does not offer Linux AIO.
func Open(loop *aio.Context, depth int) (*Engine, error) {
	k, err := openKernel(depth)
	if err != nil {
		return nil, err
	}
	return newEngine(loop, depth, k)
}

func newEngine(loop *aio.Context, depth int, k *kernel) (*Engine, error) {
	e := &Engine{loop: loop, kernel: k, batch: make([]unsafe.Pointer, depth), slots: newSlots(depth)}
	e.start = loop.NewDeferred(e.submitWaiting)
	e.rest = loop.NewBottomHalf(e.run).Named("linux aio")
	e.retry = loop.NewTimer(aio.Realtime, e.tryAgain).Named("linux aio")
	if err := e.watch(); err != nil {
		return nil, errors.Join(err, k.destroy())
	}
	return e, nil
}

// watch makes the loop look for completions.
func (e *Engine) watch() (err error) {
	if e.notifier, err = aio.NewEventNotifier(); err != nil {
		return err
	}
	cb := aio.Callbacks{Name: "linux aio", Read: func(*aio.Handler) { e.reap() }}
	if e.kernel.ring.readable() {
		cb.Poll, cb.PollReady = func() bool { return e.kernel.ring.pending() }, e.reap
	}
	if e.handler, err = e.loop.WatchNotifier(e.notifier, cb); err != nil {
		return errors.Join(err, e.notifier.Close())
	}
	e.handler.SetBackground(true) // a Request holds the loop, the Engine does not
	return nil
}

// Submit starts r at the end of the iteration; outside of Poll at the end of the Batch, or now.
// What the kernel says to it is in r.Result. The home goroutine calls Submit.
//
// It fails with aio.ErrClosed, aio.ErrWrongGoroutine, EINVAL if there is no such Op, and if r is
// under way. It panics if Done is nil.
func (e *Engine) Submit(r *Request) error {
	if r.Done == nil {
		panic("linuxaio: Submit: Done is nil")
	}
	if !e.loop.OnHome() { // before the first Poll any goroutine may be it
		if err := e.start.Schedule(); err != nil {
			return err
		}
	}
	switch {
	case e.closed:
		return aio.ErrClosed
	case r.state != idle:
		return errUnderWay
	case r.Op >= ops:
		return unix.EINVAL
	}
	e.accept(r)
	if err := e.start.Schedule(); err != nil { // the loop is closed
		e.waiting.remove(r)
		e.release(r)
		return err
	}
	return nil
}

func (e *Engine) accept(r *Request) {
	r.state, r.Result = waiting, 0
	e.waiting.append(r)
	e.counts[r.Op].Add(1)
	e.loop.Hold()
}

// release ends what accept begins.
func (e *Engine) release(r *Request) {
	r.state = idle
	e.counts[r.Op].Add(-1)
	e.loop.Release()
}

// Cancel ends r with ECANCELED if the kernel does not have it yet. What the kernel has it is asked
// to give up, which it does of hardly any file: then r completes as usual. On one that is not
// under way Cancel does nothing. The home goroutine calls it.
func (e *Engine) Cancel(r *Request) {
	switch r.state {
	case waiting:
		e.refuse(r, unix.ECANCELED)
	case inKernel:
		e.kernel.cancel(&r.control)
	}
}

// refuse completes a Request that waits.
func (e *Engine) refuse(r *Request, errno error) {
	e.waiting.remove(r)
	e.complete(r, -int64(errno.(unix.Errno)))
	_ = e.rest.Schedule() // never in the call that submits; on a closed loop Close names r
}

// complete makes run call back for r.
func (e *Engine) complete(r *Request, result int64) {
	r.state, r.Result = completed, result
	e.completed.append(r)
}

// submitWaiting hands over as much of what waits as there is room for. The kernel stops at the
// first request that it does not take, and says why only if that is the first one of a call.
func (e *Engine) submitWaiting() {
	for {
		n := e.prepare()
		if n == 0 { // nothing waits, or reap comes back
			return
		}
		taken, err := e.kernel.submit(e.batch[:n])
		clear(e.batch[:n])
		switch {
		case taken > 0:
			e.handedOver(taken)
		case isTransient(err) && (e.slots.used() > 0 || e.tries < patience):
			e.tryLater()
			return
		default:
			e.refuse(e.waiting.first, err)
		}
	}
}

// prepare fills the batch and returns how many it has.
func (e *Engine) prepare() (n int) {
	room := e.slots.room()
	for r := e.waiting.first; r != nil && n < room; r = r.next {
		r.prepare(e.slots.next(n), e.notifier.FD())
		e.batch[n] = unsafe.Pointer(&r.control)
		n++
	}
	return n
}

// handedOver takes notice that the kernel has the first n that wait.
func (e *Engine) handedOver(n int) {
	for range n {
		r := e.waiting.pop()
		r.state = inKernel
		e.slots.take(r)
	}
	if e.tries > 0 {
		e.tries = 0
		e.retry.Stop()
	}
}

// tryLater makes sure that what waits is tried again: by the next completion, or by a timer.
func (e *Engine) tryLater() {
	if e.slots.used() == 0 && !e.retry.Pending() {
		_ = e.retry.Reset(pause) // on a closed loop Close names what waits
	}
}

// tryAgain is what retry does.
func (e *Engine) tryAgain() {
	if e.slots.used() == 0 {
		e.tries++
	}
	e.reap()
	_ = e.start.Schedule()
}

// reap takes what the kernel has completed, and calls back.
func (e *Engine) reap() {
	e.collect()
	if !e.waiting.empty() {
		_ = e.start.Schedule()
	}
	e.run()
}

// collect takes what the kernel has completed. A completion that is of no Request in the kernel is
// ignored.
func (e *Engine) collect() {
	for more := true; more; {
		var events []event
		var err error
		if events, more, err = e.kernel.reap(); err != nil { // a filter, since Open
			_ = e.retry.Reset(pause)
			return
		}
		for i := range events {
			if r := e.slots.find(events[i].data); r != nil {
				e.slots.free(r)
				e.complete(r, events[i].res)
			}
		}
	}
}

// run calls Done of all that has completed by now. A Poll in a Done calls the others from rest, and
// so does the next iteration if one panics.
func (e *Engine) run() {
	last := e.completed.last
	if e.completed.first != last {
		_ = e.rest.Schedule()
	}
	for r := e.completed.pop(); r != nil; r = e.completed.pop() {
		e.release(r)
		r.Done(r)
		if r == last {
			break
		}
	}
	if e.completed.empty() {
		e.rest.Cancel()
	}
}
