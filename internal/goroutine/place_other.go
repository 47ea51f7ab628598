//go:build !amd64

package goroutine

import "runtime"

// CallerPC returns where the function that calls it was called. It costs about 100 ns; the other
// file is the fast one.
func CallerPC() Place {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	return Place(pc[0])
}

// CallerPCAndCurrent is both. Like that of CallerPC, its caller must not be inlined.
func CallerPCAndCurrent() (at Place, id ID) {
	var pc [1]uintptr
	runtime.Callers(3, pc[:])
	return Place(pc[0]), Current()
}
