//go:build race || 386 || arm || mips || mipsle

package word

import "sync/atomic"

// Word is a number that one goroutine at a time writes, and any goroutine reads.
type Word struct{ n atomic.Uint64 }

// Load returns the number. Any goroutine may call it.
func (w *Word) Load() uint64 { return w.n.Load() }

// Own is Load by the writer.
func (w *Word) Own() uint64 { return w.n.Load() }

// Set changes the number.
func (w *Word) Set(n uint64) { w.n.Store(n) }

// Publish is Set, after which a reader of n sees all that was written before.
func (w *Word) Publish(n uint64) { w.n.Store(n) }
