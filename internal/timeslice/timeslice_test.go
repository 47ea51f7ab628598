//go:build linux

package timeslice

import (
	"testing"
	"time"
)

// simulate goes to sleep every gap, for a second or a hundred sleeps. It returns how old the slice has become, but for
// the first tenth in which it learns how often to look, and how often it has looked and renewed.
func simulate(gap, took time.Duration) (oldest time.Duration, looks, renewals int) {
	var s Slice
	end := max(time.Second, 100*gap)
	begin := time.Hour // the process is not young
	now, scheduled := begin, begin
	for ; now < begin+end; now += gap {
		if now > begin+end/10 {
			oldest = max(oldest, now-scheduled)
		}
		if s.left > 0 {
			s.left--
			continue
		}
		if looks++; !s.isOld(now) {
			continue
		}
		renewals++
		s.renewed(now, took)
		now += took
		scheduled = now
	}
	return oldest, looks, renewals
}

// However often a loop sleeps, its slice does not become as old as the monitor thread waits for, unless the
// sleep itself takes as long.
func TestSliceStaysYoung(t *testing.T) {
	for gap := 2 * time.Microsecond; gap < 20*time.Millisecond; gap += gap / 7 {
		oldest, looks, renewals := simulate(gap, 20*time.Microsecond)
		if limit := max(length, gap+time.Millisecond); oldest > limit {
			t.Errorf("a sleep every %v: the slice is %v old", gap, oldest)
		}
		if renewals > 300 || looks > 1000 && looks > int(time.Second/gap)/maxSkip*9/8 {
			t.Errorf("a sleep every %v: %d looks, %d renewals in a second", gap, looks, renewals)
		}
	}
}

// What waits for a P for long does so for a twentieth of the time at most.
func TestRenewalsThatTakeLongAreRare(t *testing.T) {
	for took := 10 * time.Microsecond; took < 20*time.Millisecond; took *= 2 {
		_, _, renewals := simulate(100*time.Microsecond, took)
		if lost := time.Duration(renewals-1) * took; lost > time.Second/share {
			t.Errorf("renewals of %v take %v in a second", took, lost)
		}
	}
}

func TestOff(t *testing.T) {
	var s Slice
	s.Off()
	for range 1000 {
		s.Renew()
	}
	if s.looked != 0 {
		t.Error("it looks at the clock")
	}
}

func TestRenewAllocatesNothing(t *testing.T) {
	var s Slice
	if n := testing.AllocsPerRun(1000, s.Renew); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRenew(b *testing.B) {
	var s Slice
	for b.Loop() {
		s.Renew()
	}
}
