package goroutine

import (
	"fmt"
	"path/filepath"
	"runtime"
)

// Place is where a function was called: an address in its caller, 0 if it is unknown.
type Place uintptr

// String returns file and line, "echo/main.go:12" for example.
func (p Place) String() string {
	if p == 0 {
		return "an unknown place"
	}
	frame, _ := runtime.CallersFrames([]uintptr{uintptr(p)}).Next()
	dir, file := filepath.Split(frame.File)
	return fmt.Sprintf("%s:%d", filepath.Join(filepath.Base(dir), file), frame.Line)
}
