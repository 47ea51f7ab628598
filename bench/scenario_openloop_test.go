package bench

import (
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

// TestStallShows: a callback that takes long delays the events behind it. In an open loop
// each of them counts, in a closed one the stall counts once.
func TestStallShows(t *testing.T) {
	fixProcs()
	where, err := chooseCPUs(nil)
	if err != nil {
		t.Fatal(err)
	}
	const stall, ops = 50 * time.Millisecond, 1000
	for _, row := range goRows() {
		t.Run(row, func(t *testing.T) {
			if err := Available(row); err != nil {
				t.Skip(err)
			}
			calls := 0
			c := testCase{row: row, driver: elsewhere, setup: func(s *fixture) (runFunc, error) {
				return openLoopSetup(s, row, func() {
					if calls++; calls == warmLeast+100 {
						time.Sleep(stall)
					}
				})
			}}
			tl := newTally(&c)
			if err := tl.round(&c, where, phase{ops: ops}, report.NewRecorder()); err != nil {
				t.Fatal(err)
			}
			var late int64
			for _, b := range tl.rec.Buckets() {
				if b.Value() >= stall/2 {
					late += b.Count()
				}
			}
			// What was due in the first half of the stall waits for its second half.
			if want := int64(stall / 2 / openLoopPeriod); late < want {
				t.Errorf("%d events are later than %v, want %d", late, stall/2, want)
			}
		})
	}
}

// TestOpenLoopIsOnTime: events do not wait for each other, and none is made before its time.
func TestOpenLoopIsOnTime(t *testing.T) {
	var due []time.Duration
	o := &openLoopRun{fixture: newFixture(cpus{-1, -1}), slots: make([]openSlot, openLoopSlots), yield: true}
	o.wake = func(slot int) {
		if at := now(); at < o.slots[slot].due {
			t.Errorf("event %d came %v too early", slot, o.slots[slot].due-at)
		}
		due = append(due, o.slots[slot].due)
		o.handle(slot)
	}
	rec := report.NewRecorder()
	if n, err := o.run(budget{ops: 100}, rec); n != 100 || err != nil || rec.N() != 100 {
		t.Fatal(n, err, rec.N())
	}
	for i := 1; i < len(due); i++ {
		if gap := due[i] - due[i-1]; gap != openLoopPeriod {
			t.Errorf("event %d was due %v after the one before", i, gap)
		}
	}
}
