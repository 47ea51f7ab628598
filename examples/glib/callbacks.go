//go:build glib && cgo

package main

// #include <stdint.h>
import "C"

import "runtime/cgo"

// These are what C calls. A file that exports functions can have declarations in
// its preamble, but no definitions; so the GSource is in source.go.

//export aioPrepare
func aioPrepare(handle C.uintptr_t) C.int { return source(handle).prepare() }

//export aioCheck
func aioCheck(handle C.uintptr_t) C.int { return gboolean(source(handle).check()) }

//export aioDispatch
func aioDispatch(handle C.uintptr_t) C.int { return gboolean(source(handle).dispatch()) }

//export aioFinalize
func aioFinalize(handle C.uintptr_t) { cgo.Handle(handle).Delete() }

//export glibTick
func glibTick(handle C.uintptr_t) C.int {
	return gboolean(cgo.Handle(handle).Value().(*trial).tick())
}

func source(handle C.uintptr_t) *Source { return cgo.Handle(handle).Value().(*Source) }

func gboolean(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
