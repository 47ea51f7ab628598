//go:build linux

// Package vmtest has tests only. They change settings of the whole machine, or watch
// it, so they run nowhere but in the virtual machines of make kernels: elsewhere
// they are skipped.
package vmtest
