//go:build linux

package aio

import (
	"reflect"
	"runtime"
)

// nameOf returns the user's name for something that calls fn or, if there is
// none, where fn was written. It is slow and only used to report.
func nameOf(name string, fn any) string {
	if name != "" {
		return name
	}
	if f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()); f != nil {
		return f.Name()
	}
	return "?"
}
