//go:build !race

package lend

import "sync/atomic"

// word is a number that one goroutine at a time writes, and any goroutine reads. It is a word of
// the machine, so that a reader sees one of its values (The Go Memory Model), and set needs no
// locked instruction: a coroutine and its loop set it at each switch. The race detector asks for
// one all the same, see the other file.
type word uintptr

func (w *word) load() uintptr     { return atomic.LoadUintptr((*uintptr)(w)) }
func (w *word) own() uintptr      { return uintptr(*w) } // load by the writer
func (w *word) set(n uintptr)     { *w = word(n) }
func (w *word) publish(n uintptr) { atomic.StoreUintptr((*uintptr)(w), n) }
