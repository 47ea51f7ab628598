package iouring

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/sys"
)

// The kernel may leave the flag of deferred work set when there is none. Wait sleeps all the
// same, nothing shows, and the next event is reported.
func TestAStaleFlagOfDeferredWorkKeepsNoLoopAwake(t *testing.T) {
	p := openVariant(t, func(*config) {})
	event, err := sys.NewEventfd()
	must(t, err)
	defer unix.Close(event)
	must(t, p.Add(event, backend.In|backend.Edge, 1))
	ready := make([]backend.Ready, 4)
	if n, err := p.Wait(ready, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	p.ring.SetWorkPending()
	begin := time.Now()
	if n, err := p.Wait(ready, 30*time.Millisecond); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if slept := time.Since(begin); slept < 30*time.Millisecond {
		t.Errorf("Wait returned after %v", slept)
	}
	if p.ring.WorkPending() && p.Peek() {
		t.Error("the stale flag shows")
	}
	must(t, sys.WriteEventfd(event))
	if n, err := p.Wait(ready, backend.Forever); n != 1 || err != nil {
		t.Fatalf("%d events, %v", n, err)
	}
}
