package aio

import (
	"iter"
	"testing"
)

// A coroutine that locks itself to its thread, and is then left for the goroutine that has entered it,
// ends the process. A loop that would do so refuses before; others can live in one.
func TestTrap29_LoopInACoroutine(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		tryInACoroutine(t, newLoop())
	})
	for _, b := range []Backend{Ppoll, Epoll} { // which need no thread of their own
		t.Run("WithThread/"+b.String(), func(t *testing.T) {
			tryInACoroutine(t, newLoopOn(t, b, WithMode(ModeThread), WithThread(Thread{TimerSlack: 1})))
		})
	}
}

func tryInACoroutine(t *testing.T, c *Context) {
	next, stop := iter.Pull(func(yield func(error) bool) {
		_, err := c.TryPoll()
		for yield(err) {
			_, err = c.TryPoll()
		}
	})
	locks := c.port.binder() != nil || c.home.thread.Wanted()
	for range 2 {
		err, _ := next()
		if locks {
			wantError(t, err, ErrCoroutine)
		} else {
			must(t, err)
		}
	}
	stop() // it cannot be entered any more once this goroutine is locked
	_, err := c.TryPoll()
	if locks {
		must(t, err)
	} else { // the coroutine is at home
		wantError(t, err, ErrWrongGoroutine)
	}
}
