//go:build linux

package linuxaio

import (
	"fmt"
	"runtime"
	"sync"
)

// Close ends the Engine and names what was under way; no Done is called any more. The home
// goroutine calls it, or the goroutine that closes the loop. A second Close does nothing.
//
// io_destroy(2) sleeps until the kernel has finished what it has, and for tens of milliseconds if it
// has nothing, so Close leaves it to another goroutine. Until then the depth counts for
// fs.aio-max-nr, and the kernel uses the buffers of what is under way. Those of Go's memory are kept.
// Others, of mmap(2), must not be unmapped or used again if Close names a Request, as nothing says
// when that is over.
func (e *Engine) Close() (left []string) {
	if e.closed {
		return nil
	}
	e.closed = true
	e.collect() // what is over is named, and not kept
	_ = e.rest.Close()
	_ = e.retry.Close()
	_ = e.handler.Close()
	_ = e.notifier.Close() // the kernel has the file, not its number
	e.kernel.ring = ring{} // io_destroy unmaps it
	left = e.abandon()
	go e.destroy()
	return left
}

// abandon lets go of all Requests but those that the kernel has, and names all.
func (e *Engine) abandon() (left []string) {
	for _, l := range []*list{&e.completed, &e.waiting} {
		for r := l.pop(); r != nil; r = l.pop() {
			left = append(left, r.String())
			e.release(r)
		}
	}
	e.slots.each(func(r *Request) {
		left = append(left, r.String())
		e.counts[r.Op].Add(-1)
		e.loop.Release()
	})
	return left
}

// destroy ends the context, and keeps the slots until the kernel uses nothing that they hold.
func (e *Engine) destroy() {
	if err := e.kernel.destroy(); err != nil { // of a filter
		stuck.Lock()
		stuck.engines = append(stuck.engines, e)
		stuck.Unlock()
	}
	runtime.KeepAlive(e)
}

// stuck are the Engines of which the kernel does not say when it has finished: they are kept.
var stuck struct {
	sync.Mutex
	engines []*Engine
}

// Work names what is under way. Any goroutine may call it.
func (e *Engine) Work() (names []string) {
	for op := range ops {
		if n := e.counts[op].Load(); n > 0 {
			names = append(names, fmt.Sprintf("%d × %v (Linux AIO)", n, op))
		}
	}
	return names
}
