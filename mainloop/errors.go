package mainloop

import (
	"errors"
	"fmt"

	"github.com/aioloop/aioloop/aio"
)

// The errors of this package, for errors.Is.
var (
	ErrOwned       = errors.New("mainloop: another goroutine owns the MainContext")
	ErrNotOwner    = errors.New("mainloop: the MainContext is not owned by this goroutine: Acquire it first")
	ErrAttached    = errors.New("mainloop: the source is attached already")
	ErrNoDispatch  = errors.New("mainloop: a source needs a Dispatch function")
	ErrRestless    = errors.New("mainloop: Prepare keeps the loop from waiting, and Check finds nothing to do")
	ErrPhase       = errors.New("mainloop: the phases go Prepare, Query, Check, Dispatch, and only Dispatch may begin another turn")
	ErrClosed      = aio.ErrClosed
	ErrWaiting     = errors.New("mainloop: Wait was called from within Wait: return to it instead")
	ErrInitialized = errors.New("mainloop: the process has a main loop already: Close it before the next Init")
)

// SourceError is a failure of one source. The others go on.
type SourceError struct {
	Source string // its name
	FD     int    // the descriptor that it is about, -1 if none
	Err    error
}

func (e *SourceError) Error() string {
	if e.FD < 0 {
		return fmt.Sprintf("mainloop: source %q: %v", e.Source, e.Err)
	}
	return fmt.Sprintf("mainloop: source %q: fd %d: %v", e.Source, e.FD, e.Err)
}

// Unwrap returns what went wrong, an errno if the kernel said so.
func (e *SourceError) Unwrap() error { return e.Err }
