//go:build linux

package file

import "golang.org/x/sys/unix"

// ringDepth is how many requests of all Files of a loop its io_uring has at a time. Their
// completions fill at most half of its queue: a full one would end the polls of the loop's
// descriptors, which would then be late by as much as the disk is.
const ringDepth = 128

// ring is the share of the loop's io_uring that files have. It belongs to the home goroutine.
type ring struct {
	busy    int
	waiting requests // for room, in order
}

// enter reports whether there is room for r, which waits otherwise.
func (g *ring) enter(r *Request) bool {
	if g.busy >= ringDepth {
		r.waits = true
		g.waiting.push(r)
		return false
	}
	g.busy++
	return true
}

// leave makes room, for the one that waits longest.
func (g *ring) leave() {
	g.busy--
	for g.busy < ringDepth && !g.waiting.empty() {
		r := g.waiting.pop()
		r.waits = false
		if r.cancelled {
			r.file.answer(r, -int32(unix.ECANCELED))
			continue
		}
		g.busy++
		r.file.submitToRing(r)
	}
}

// names returns those that wait.
func (g *ring) names() (names []string) {
	for r := g.waiting.first; r != nil; r = r.next {
		names = append(names, r.file.titles[r.op])
	}
	return names
}
