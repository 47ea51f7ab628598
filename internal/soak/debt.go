//go:build linux

package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// debt is what the loop owes: everything that was sent has to be seen. One goroutine
// at a time sees; any may send.
type debt struct {
	name       string
	sent, seen atomic.Uint64
	since      atomic.Int64 // when the oldest that was not seen was sent, 0 if not known
	latest     *longest
}

var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }

// publish comes before the event that is to bring it to the loop.
func (d *debt) publish() (seq uint64) {
	d.since.CompareAndSwap(0, int64(now()))
	return d.sent.Add(1)
}

// arrive pays for all that was published so far, for events that may be one call.
func (d *debt) arrive() {
	d.clock()
	d.seen.Store(d.sent.Load())
}

// pay is for events that are counted one by one. It returns how many were seen.
func (d *debt) pay(n int) uint64 {
	d.clock()
	return d.seen.Add(uint64(n))
}

func (d *debt) clock() {
	if since := d.since.Swap(0); since != 0 {
		d.latest.note(now() - time.Duration(since))
	}
}

func (d *debt) settled() bool { return d.seen.Load() == d.sent.Load() }

func (d *debt) String() string {
	return fmt.Sprintf("%s: %d sent, %d seen", d.name, d.sent.Load(), d.seen.Load())
}

// longest is a maximum that any goroutine may raise.
type longest struct{ ns atomic.Int64 }

func (l *longest) note(d time.Duration) {
	for old := l.ns.Load(); int64(d) > old && !l.ns.CompareAndSwap(old, int64(d)); old = l.ns.Load() {
	}
}

func (l *longest) get() time.Duration { return time.Duration(l.ns.Load()) }
