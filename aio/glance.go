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

func (g *glance) learn(found bool) {
	switch {
	case found:
		g.credit = glanceCredit
	case g.credit > 0:
		g.credit--
	}
}

// glanceAsks finds out whether the kernel has something after all, and collects it.
func (c *Context) glanceAsks() (found bool, err error) {
	if c.port.shows() && !c.operations.underWay() || c.port.parks() || c.spin.polls() || !c.kernelGlance.wanted() {
		return false, nil
	}
	err = c.ask()
	found = err != nil || c.busy()
	c.kernelGlance.learn(found)
	return found, err
}

// glanceFinds reports whether memory shows work after all.
func (c *Context) glanceFinds() (found bool) {
	if !c.glance.wanted() {
		return false
	}
	for looks := 0; looks < glanceLooks && !found; looks++ {
		found = !c.halves.quiet() || c.gate.Pending()
	}
	c.glance.learn(found)
	return found
}
