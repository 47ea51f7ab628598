package mainloop

import (
	"time"

	"github.com/aioloop/aioloop/aio"
)

// NewAIOSource returns a source that steps c, whatever its backend: Prepare lets
// notifiers know that they have to write, and computes the timeout; Check accepts
// their notification and collects events; Dispatch runs bottom halves,
// completions, handlers and timers. The goroutine that owns the MainContext is c's
// home goroutine. c is closed by its owner, after the source is closed.
func NewAIOSource(name string, c *aio.Context) *Source {
	var prepared bool
	s, _ := NewSource(name, Funcs{
		Prepare: func() (timeout time.Duration, ready bool, err error) {
			timeout, err = c.Prepare()
			prepared = err == nil
			return timeout, false, err
		},
		Query: func(fds []PollFD) []PollFD {
			if !prepared {
				return fds
			}
			return c.Query(fds)
		},
		Check: func(fds []PollFD) (bool, error) {
			if !prepared {
				return false, nil
			}
			return c.Check(fds)
		},
		Dispatch: func() bool {
			_, _ = c.Dispatch() // the errors that it can have, Prepare has had before
			return true
		},
	})
	s.trusted = true       // each Notify makes its timeout 0, and there may be many
	_ = s.SetRecurse(true) // an aio.Context knows how to be polled from its own callbacks
	return s
}
