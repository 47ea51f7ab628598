// Package goroutine tells goroutines apart, so that a loop can report that it was
// entered from a goroutine other than its own.
package goroutine

// ID is a number that differs between all goroutines alive at the same time. A
// goroutine started later may get the number of one that has ended. It is only
// ever compared, never turned back into a pointer.
type ID uintptr
