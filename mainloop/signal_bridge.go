package mainloop

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/aioloop/aioloop/aio"
)

// signalBridge brings one signal from package os/signal to the loop.
//
// Package os/signal drops what does not fit the channel. There is one channel per
// signal, so what is dropped is a signal that is pending already: no signal is
// lost for another's sake, as in the kernel.
type signalBridge struct {
	sig     syscall.Signal
	handler *atomic.Pointer[SignalHandler]
	arrived chan os.Signal
	done    chan struct{}   // closed when forward returns
	pending atomic.Int64    // arrived and not delivered; at most 1 for a standard signal
	bh      *aio.BottomHalf // calls the handler
}

// realtimeBacklog is how many real-time signals may arrive while the forwarding
// goroutine waits for a CPU.
const realtimeBacklog = 256

// newSignalBridge begins to collect sig, and delivers it while there is a handler.
func newSignalBridge(c *aio.Context, sig syscall.Signal, handler *atomic.Pointer[SignalHandler]) *signalBridge {
	b := &signalBridge{sig: sig, handler: handler, done: make(chan struct{})}
	b.arrived = make(chan os.Signal, 1)
	if b.queues() {
		b.arrived = make(chan os.Signal, realtimeBacklog)
	}
	b.bh = c.NewBottomHalf(b.deliver).Named(signalName(sig))
	signal.Notify(b.arrived, sig)
	go b.forward()
	return b
}

// queues reports whether each of several signals counts.
func (b *signalBridge) queues() bool { return b.sig >= firstRealtime }

// forward runs on a goroutine of its own until stop.
func (b *signalBridge) forward() {
	defer close(b.done)
	for range b.arrived {
		if b.queues() {
			b.pending.Add(1)
		} else {
			b.pending.Store(1)
		}
		b.resume()
	}
}

// resume delivers what is pending, soon.
func (b *signalBridge) resume() {
	if b.pending.Load() > 0 && b.handler.Load() != nil {
		_ = b.bh.Schedule() // fails only if the loop is closed
	}
}

// deliver runs on the home goroutine, which alone takes from pending. Before a
// handler runs, the rest is scheduled: the handler may begin another turn, and may panic.
func (b *signalBridge) deliver() {
	for range signalBatch {
		h := b.handler.Load()
		if h == nil || b.pending.Load() == 0 {
			return
		}
		if b.pending.Add(-1) > 0 {
			_ = b.bh.Schedule()
		}
		h.fn(SignalInfo{Signal: b.sig, Mode: SignalBridge})
	}
}

// stop leaves the signal to others that use os/signal, and if there are none to
// its default action. When it returns, nothing more is delivered.
func (b *signalBridge) stop() {
	signal.Stop(b.arrived) // when it returns, nothing is sent any more
	close(b.arrived)
	<-b.done
	b.bh.Close()
}
