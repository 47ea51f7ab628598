//go:build linux

package aio

// glance is a short look for work, before the loop announces that it is about to sleep. Between
// events that come back to back it spares the sleep. Where it finds nothing, because the ones who
// wake the loop run on its CPU for example, it stops, but for a try now and then. It belongs to the
// home goroutine.
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

// glanceFinds reports whether there is work after all.
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
