//go:build linux

package aio

// ReentrancyGuard keeps a device from being entered again while its code runs,
// for example by a device that writes to its own registers. One guard protects one device: its bottom halves are made
// with Guarded, its other entries go through Do.
//
// A guard belongs to the home goroutine of its bottom halves. The zero value is
// ready to use.
type ReentrancyGuard struct {
	// Report, if set, is called with the name of what was held back.
	Report func(name string)

	engaged bool
	held    bhList
}

// Do runs f under the guard. If guarded code is running already it does not call
// f and returns ErrReentrant.
func (g *ReentrancyGuard) Do(f func()) error {
	if f == nil {
		panic("aio: ReentrancyGuard.Do: the function is nil")
	}
	if !g.enter() {
		return ErrReentrant
	}
	defer g.leave()
	f()
	return nil
}

// Engaged reports whether guarded code is running.
func (g *ReentrancyGuard) Engaged() bool { return g.engaged }

func (g *ReentrancyGuard) enter() bool {
	if g.engaged {
		return false
	}
	g.engaged = true
	return true
}

// leave lets what was held back run in the next iteration.
func (g *ReentrancyGuard) leave() {
	g.engaged = false
	for b := g.held.pop(); b != nil; b = g.held.pop() {
		b.ctx.enqueue(b) // it has kept its queued bit
	}
}

// holdBack keeps b, which stays scheduled, until the guard is free. Left in the
// queue it would keep a nested Poll busy with nothing it may run.
func (g *ReentrancyGuard) holdBack(b *BottomHalf) {
	g.held.append(b)
	name := nameOf(b.name, b.fn)
	b.ctx.observer.emit(TraceReentrant, name, 0)
	if g.Report != nil {
		g.Report(name)
	}
}
