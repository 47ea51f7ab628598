//go:build glib && cgo

package main

// #include <glib.h>
import "C"

import (
	"errors"
	"fmt"
	"time"

	"github.com/aioloop/aioloop/coroutine"
)

const sleeps = 30 // of the coroutine, 1 ms each

// startCoroutines starts a coroutine that sleeps, and one that is woken in a GLib iteration inside
// a callback: Go's runtime would end the process if it were entered there, one call from C deeper than
// where it was started. It runs when that iteration has ended.
func (t *trial) startCoroutines(to *C.GMainContext) {
	sleeper := func(co *coroutine.Co) error {
		for t.ran.sleeps < sleeps {
			if err := co.Sleep(time.Millisecond); err != nil {
				return err
			}
			t.ran.sleeps++
			t.called("a coroutine")
		}
		return t.iterate(co, to)
	}
	t.fail(t.loop.ScheduleOnce(func() {
		t.sleeper = coroutine.Go(t.loop, sleeper)
		inner := coroutine.Go(t.loop, func(co *coroutine.Co) error {
			err := co.Yield()
			t.ran.woken++
			t.called("a coroutine")
			return err
		})
		t.fail(t.loop.ScheduleOnce(func() {
			t.fail(inner.Wake())
			if t.ran.woken != 0 {
				t.fail(errors.New("a coroutine was entered in a nested call from C"))
			}
		}))
		C.g_main_context_iteration(to, C.FALSE)
	}))
}

// iterate lets a coroutine iterate GLib: what is called there cannot wait as the coroutine.
func (t *trial) iterate(co *coroutine.Co, to *C.GMainContext) error {
	var refused error
	t.fail(t.loop.ScheduleOnce(func() { refused = co.Sleep(0) }))
	for refused == nil {
		C.g_main_context_iteration(to, C.FALSE)
	}
	if !errors.Is(refused, coroutine.ErrNested) {
		return fmt.Errorf("a wait in a nested call from C: %w", refused)
	}
	err := co.Sleep(0)
	t.ran.ended++
	t.quitWhenDone()
	return err
}
