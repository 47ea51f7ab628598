//go:build linux && (race || 386 || arm || mips || mipsle)

package aio

import "sync/atomic"

// tally is a counter that one goroutine adds to, and any goroutine reads.
type tally struct{ n atomic.Uint64 }

func (t *tally) add() { t.n.Add(1) }

func (t *tally) load() uint64 { return t.n.Load() }
