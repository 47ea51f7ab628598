//go:build linux

package aio

// glance is a short look for work, before the loop announces that it is about to sleep: in memory, or
// in the kernel by a call that does not sleep. Between events that come back to back it spares the
// sleep, and the Go scheduler being told of it. Where it finds nothing, because the ones who wake the
// loop run on its CPU for example, it stops, but for a try now and then. It belongs to the home
// goroutine.
type glance struct {
	credit  uint8 // so many glances in vain before it stops
	skipped uint8 // wraps
}

const (
	glanceLooks  = 100 // about 0.1 µs
	glanceCredit = 4
	kernelCredit = 1   // a call in vain costs more than one that finds something spares
	glancePeriod = 128 // sleeps for one try
)

// wanted reports whether it is time for a glance.
func (g *glance) wanted() bool {
	if g.credit > 0 {
		return true
	}
	g.skipped++
	return g.skipped%glancePeriod == 0
}

// learn takes notice of a glance. One that has found something is good for more.
func (g *glance) learn(found bool, credit uint8) {
	switch {
	case found:
		g.credit = credit
	case g.credit > 0:
		g.credit--
	}
}

// glanceAsks asks the kernel whether it has something after all, if it is time for that. In vain, it is
// all that the iteration does: no iteration makes two calls.
func (c *Context) glanceAsks() (asked bool, err error) {
	if c.port.shows() && !c.operations.underWay() || c.port.parks() || c.spin.polls() || !c.kernelGlance.wanted() {
		return false, nil
	}
	err = c.ask()
	c.kernelGlance.learn(c.busy(), kernelCredit)
	return true, err
}

// glanceFinds reports whether memory shows work after all.
func (c *Context) glanceFinds() (found bool) {
	if !c.glance.wanted() {
		return false
	}
	for looks := 0; looks < glanceLooks && !found; looks++ {
		found = !c.halves.quiet() || c.gate.Pending()
	}
	c.glance.learn(found, glanceCredit)
	return found
}
