//go:build linux && !race && !(386 || arm || mips || mipsle)

package aio

import "sync/atomic"

// tally is a counter that one goroutine adds to, and any goroutine reads: a word of the machine,
// so that a reader sees one of its values (The Go Memory Model), and adding needs no locked
// instruction. The race detector asks for one all the same, see the other file.
type tally uint64

func (t *tally) add() { *t++ }

func (t *tally) load() uint64 { return atomic.LoadUint64((*uint64)(t)) }
