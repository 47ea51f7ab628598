package bench

import (
	"strings"

	"github.com/aioloop/aioloop/bench/report"
)

// DescriptionOn is the Description for results from a machine. Where the process could use
// one CPU, the texts do not speak of another.
func DescriptionOn(m report.Machine) report.Description {
	d := Description()
	if m.CPUs != 1 {
		return d
	}
	alone := strings.NewReplacer("A producer on another CPU keeps", "A producer on the same CPU keeps", "on another CPU", "on the same CPU")
	for i := range d.Scenarios {
		d.Scenarios[i].About = alone.Replace(d.Scenarios[i].About)
	}
	return d
}
