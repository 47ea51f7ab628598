// Package report holds the results of a benchmark run and shows them: as JSON
// that a program can read back, as an aligned table, and as single pictures. Package page
// makes a page of it.
//
// It does not know what was measured. The caller fills a [Recorder] with durations,
// turns it into a [Result], and collects the results of one run in a [Report] together
// with the [Machine] they were taken on. A [Description] gives scenarios and rows their
// order and their words.
//
// Three rules hold for everything this package prints. Latencies are
// percentiles, never a mean alone. Axes start at zero, or are logarithmic and say so.
// The order of rows is fixed and does not depend on who won.
//
// The same report always gives the same bytes.
package report
