//go:build linux

package file

import "testing"

// The whole table: each kind of request on each engine, as chosen by EngineAuto and as asked for.
func TestWayOfARequest(t *testing.T) {
	cached, uncached := true, false
	ring, native, threads := EngineIOUring, EngineLinuxAIO, EngineThreads
	for _, c := range []struct {
		what        string
		s           situation
		first, next way
	}{
		{"cached read", situation{op: opRead, engine: ring, auto: true, now: cached, native: true}, inLoop, byRing},
		{"cached read, three pending", situation{op: opRead, engine: ring, auto: true, now: cached, native: true, pending: 3}, inLoop, byRing},
		{"cached read, four pending", situation{op: opRead, engine: ring, auto: true, now: cached, native: true, pending: 4}, byRing, byRing},
		{"uncached read", situation{op: opRead, engine: ring, auto: true, now: uncached, native: true}, byRing, byRing},
		{"read of 64 KiB", situation{op: opRead, engine: ring, auto: true, now: cached, native: true, size: 64 << 10}, inLoop, byRing},
		{"larger read", situation{op: opRead, engine: ring, auto: true, now: cached, native: true, size: 64<<10 + 1}, byRing, byRing},
		{"O_DIRECT read", situation{op: opRead, engine: ring, auto: true, now: cached, native: true, direct: true}, byRing, byRing},
		{"buffered write", situation{op: opWrite, engine: ring, auto: true, now: cached, native: true}, inLoop, byThread},
		{"buffered write that must wait", situation{op: opWrite, engine: ring, auto: true, now: uncached, native: true}, byThread, byThread},
		{"O_DIRECT write", situation{op: opWrite, engine: ring, auto: true, native: true, direct: true}, byRing, byRing},
		{"sync", situation{op: opSync, engine: ring, auto: true, native: true}, byRing, byRing},
		{"zero", situation{op: opZero, engine: ring, auto: true, native: true}, byRing, byRing},
		{"discard, old kernel", situation{op: opDiscard, engine: ring, auto: true}, byThread, byThread},
		{"extent", situation{op: opExtent, engine: ring, auto: true}, byThread, byThread},

		{"cached read by ring as asked for", situation{op: opRead, engine: ring, now: cached, native: true}, byRing, byRing},
		{"buffered write by ring as asked for", situation{op: opWrite, engine: ring, now: cached, native: true}, byRing, byRing},

		{"cached read without a ring", situation{op: opRead, engine: threads, auto: true, now: cached, pending: 100}, inLoop, byThread},
		{"uncached read without a ring", situation{op: opRead, engine: threads, auto: true, now: uncached}, byThread, byThread},
		{"O_DIRECT read without a ring", situation{op: opRead, engine: native, auto: true, direct: true}, byAIO, byAIO},
		{"O_DIRECT write without a ring", situation{op: opWrite, engine: native, auto: true, direct: true}, byAIO, byAIO},
		{"sync without a ring", situation{op: opSync, engine: native, auto: true, direct: true}, byThread, byThread},
		{"discard without a ring", situation{op: opDiscard, engine: native, auto: true, direct: true}, byThread, byThread},

		{"cached read by threads as asked for", situation{op: opRead, engine: threads, now: cached}, byThread, byThread},
		{"O_DIRECT read by Linux AIO as asked for", situation{op: opRead, engine: native, direct: true}, byAIO, byAIO},
	} {
		if first, next := c.s.first(), c.s.next(); first != c.first || next != c.next {
			t.Errorf("%s: begins by %d and goes on by %d, want %d and %d", c.what, first, next, c.first, c.next)
		}
	}
}

// A file that is not in memory is hardly ever tried in vain, and one that comes into memory is found
// out.
func TestLuck(t *testing.T) {
	var l luck
	tries := 0
	for range 10000 {
		if l.promising() {
			tries++
			l.miss()
		}
	}
	if tries > 200 {
		t.Errorf("%d of 10000 requests tried in vain", tries)
	}
	needed := 0
	for !l.promising() {
		needed++
	}
	if l.hit(); needed > 64 || !l.promising() || !l.promising() {
		t.Errorf("after %d requests it tries again; one hit is not enough", needed)
	}
	l.miss()
	if !l.promising() {
		t.Error("one miss is too many")
	}
	l.never()
	for range 1000 {
		if l.promising() {
			t.Fatal("what is impossible is tried")
		}
	}
}
