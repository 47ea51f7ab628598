//go:build linux

package aio

import "sync/atomic"

// ending tells callers that wait for the loop that Close was called. Any goroutine may use
// it.
type ending struct {
	ch atomic.Pointer[chan struct{}] // made when a caller first asks, closed by end
}

// ended is the channel of a Context that no caller has waited for before its Close.
var ended = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// signal returns a channel that end closes.
func (e *ending) signal() <-chan struct{} {
	if ch := e.ch.Load(); ch != nil {
		return *ch
	}
	ch := make(chan struct{})
	if !e.ch.CompareAndSwap(nil, &ch) {
		return *e.ch.Load()
	}
	return ch
}

// end is called once.
func (e *ending) end() {
	if ch := e.ch.Swap(&ended); ch != nil {
		close(*ch)
	}
}
