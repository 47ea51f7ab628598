// Package plot draws lines as SVG: durations over a few values, in panels that share a
// vertical axis. Each line has its name at its end.
//
// Axes start at zero, or are logarithmic and say so. The same picture always gives the
// same bytes.
package plot
