//go:build !race && !(386 || arm || mips || mipsle)

package word

import "sync/atomic"

// Word is a number that one goroutine at a time writes, and any goroutine reads: a word of the
// machine, so that a reader sees one of its values (The Go Memory Model), and Set needs no locked
// instruction. The race detector asks for one all the same, see the other file.
type Word uint64

// Load returns the number. Any goroutine may call it.
func (w *Word) Load() uint64 { return atomic.LoadUint64((*uint64)(w)) }

// Own is Load by the writer.
func (w *Word) Own() uint64 { return uint64(*w) }

// Set changes the number.
func (w *Word) Set(n uint64) { *w = Word(n) }

// Publish is Set, after which a reader of n sees all that was written before.
func (w *Word) Publish(n uint64) { atomic.StoreUint64((*uint64)(w), n) }
