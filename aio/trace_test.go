package aio

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTracePoints(t *testing.T) {
	eachBackend(t, func(t *testing.T, newLoop maker) {
		var seen journal
		var last time.Duration
		c := newLoop(WithTrace(func(e TraceEvent) {
			if e.At < last {
				t.Errorf("%v: time went back", e.Point)
			}
			last = e.At
			name, _, _ := strings.Cut(e.Name, "/")
			seen.add(fmt.Sprint(e.Point, ":", name))
		}))
		var guard ReentrancyGuard
		held := c.NewBottomHalf(func() {}).Named("held").Guarded(&guard)
		must(t, c.NewBottomHalf(func() {}).Named("bottom").Schedule())
		must(t, c.NewTimer(Realtime, func() {}).Named("timer").Set(0))
		n := notifier(t)
		must(t, n.Set())
		h := watch(t, c, n.FD(), Callbacks{Read: func(*Handler) {}, Name: "handler"})
		turn(t, c)
		must(t, h.Close())
		must(t, guard.Do(func() { must(t, held.Schedule()); turn(t, c) }))
		settle(t, c)
		for d := time.Millisecond; !slices.Contains(seen, "sleep:") && d < time.Minute; d *= 2 { // on a slow machine the first is over too soon
			fired := false
			must(t, c.NewTimer(Host, func() { fired = true }).Reset(d))
			pollUntil(t, c, func() bool { return fired })
		}
		for _, want := range []string{"bottom-half:bottom", "timer:timer", "handler:handler", "reentrant:held", "bottom-half:held", "sleep:", "wake:"} {
			if !slices.Contains(seen, want) {
				t.Errorf("no %q in %q", want, []string(seen))
			}
		}
	})
}

func TestTracePointNames(t *testing.T) {
	seen := map[string]bool{}
	for p := TracePollBegin; p <= TraceUnwatched; p++ {
		if name := p.String(); name == "" || seen[name] {
			t.Errorf("point %d has the name %q", p, name)
		} else {
			seen[name] = true
		}
	}
	for p, want := range map[TracePoint]string{99: "TracePoint(99)", -1: "TracePoint(-1)"} {
		if p.String() != want {
			t.Errorf("%q, want %q", p.String(), want)
		}
	}
}
