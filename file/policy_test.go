//go:build linux

package file

import "testing"

// The whole table: each kind of request on each engine, as chosen by EngineAuto and as asked for.
func TestWayOfARequest(t *testing.T) {
	lucky, unlucky := luck{}, luck{skip: 1}
	ring, native, threads := EngineIOUring, EngineLinuxAIO, EngineThreads
	for _, c := range []struct {
		what        string
		s           situation
		luck        luck
		size        int64
		pending     int
		first, next way
	}{
		{"cached read", situation{op: opRead, engine: ring, auto: true, native: true}, lucky, 0, 0, inLoop, byRing},
		{"cached read, three pending", situation{op: opRead, engine: ring, auto: true, native: true}, lucky, 0, 3, inLoop, byRing},
		{"cached read, four pending", situation{op: opRead, engine: ring, auto: true, native: true}, lucky, 0, 4, byRing, byRing},
		{"uncached read", situation{op: opRead, engine: ring, auto: true, native: true}, unlucky, 0, 0, byRing, byRing},
		{"read of 64 KiB", situation{op: opRead, engine: ring, auto: true, native: true}, lucky, 64 << 10, 0, inLoop, byRing},
		{"larger read", situation{op: opRead, engine: ring, auto: true, native: true}, lucky, 64<<10 + 1, 0, byRing, byRing},
		{"O_DIRECT read", situation{op: opRead, engine: ring, auto: true, native: true, direct: true}, lucky, 0, 0, byRing, byRing},
		{"buffered write", situation{op: opWrite, engine: ring, auto: true, native: true}, lucky, 0, 0, inLoop, inLine},
		{"buffered write that must wait", situation{op: opWrite, engine: ring, auto: true, native: true}, unlucky, 0, 0, inLine, inLine},
		{"O_DIRECT write", situation{op: opWrite, engine: ring, auto: true, native: true, direct: true}, lucky, 0, 0, byRing, byRing},
		{"sync", situation{op: opSync, engine: ring, auto: true, native: true}, lucky, 0, 0, byRing, byRing},
		{"zero", situation{op: opZero, engine: ring, auto: true, native: true}, lucky, 0, 0, byRing, byRing},
		{"discard, old kernel", situation{op: opDiscard, engine: ring, auto: true}, lucky, 0, 0, byThread, byThread},
		{"extent", situation{op: opExtent, engine: ring, auto: true}, lucky, 0, 0, byThread, byThread},
		{"cached read by ring as asked for", situation{op: opRead, engine: ring, native: true}, lucky, 0, 0, byRing, byRing},
		{"buffered write by ring as asked for", situation{op: opWrite, engine: ring, native: true}, lucky, 0, 0, byRing, byRing},
		{"cached read without a ring", situation{op: opRead, engine: threads, auto: true}, lucky, 0, 100, inLoop, byThread},
		{"uncached read without a ring", situation{op: opRead, engine: threads, auto: true}, unlucky, 0, 0, byThread, byThread},
		{"O_DIRECT read without a ring", situation{op: opRead, engine: native, auto: true, direct: true}, lucky, 0, 0, byAIO, byAIO},
		{"O_DIRECT write without a ring", situation{op: opWrite, engine: native, auto: true, direct: true}, lucky, 0, 0, byAIO, byAIO},
		{"sync without a ring", situation{op: opSync, engine: native, auto: true, direct: true}, lucky, 0, 0, byThread, byThread},
		{"discard without a ring", situation{op: opDiscard, engine: native, auto: true, direct: true}, lucky, 0, 0, byThread, byThread},
		{"cached read by threads as asked for", situation{op: opRead, engine: threads}, lucky, 0, 0, byThread, byThread},
		{"O_DIRECT read by Linux AIO as asked for", situation{op: opRead, engine: native, direct: true}, lucky, 0, 0, byAIO, byAIO},
		{"buffered write of a device", situation{op: opWrite, engine: threads, auto: true, device: true}, unlucky, 0, 0, byThread, byThread},
		{"buffered write by threads as asked for", situation{op: opWrite, engine: threads}, lucky, 0, 0, inLine, inLine},
		{"buffered write that may wait", situation{op: opWrite, engine: ring, auto: true, native: true, waits: true}, lucky, 64 << 10, 100, inLoop, inLine},
		{"write that waits for the device", situation{op: opWrite, engine: ring, auto: true, native: true, synced: true, waits: true}, lucky, 0, 0, inLine, inLine},
		{"read of a file whose writes do", situation{op: opRead, engine: ring, auto: true, native: true, synced: true}, lucky, 0, 0, inLoop, byRing},
		{"larger write that may wait", situation{op: opWrite, engine: ring, auto: true, native: true, waits: true}, lucky, 64<<10 + 1, 0, inLine, inLine},
		{"O_DIRECT write that may wait", situation{op: opWrite, engine: ring, auto: true, native: true, waits: true, direct: true}, lucky, 0, 0, byRing, byRing},
	} {
		route := c.s.route()
		if first := route.first(&c.luck, c.size, c.pending); first != c.first || route.next != c.next {
			t.Errorf("%s: begins by %d and goes on by %d, want %d and %d", c.what, first, route.next, c.first, c.next)
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
