//go:build race

package lend

import "sync/atomic"

// word is the same as in the other file, for the race detector.
type word struct{ n atomic.Uintptr }

func (w *word) load() uintptr     { return w.n.Load() }
func (w *word) own() uintptr      { return w.n.Load() }
func (w *word) set(n uintptr)     { w.n.Store(n) }
func (w *word) publish(n uintptr) { w.n.Store(n) }
