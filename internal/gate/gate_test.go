package gate

import (
	"sync"
	"sync/atomic"
	"testing"
)

func notify(g *Gate) (end Sleep) {
	g.Count()
	return g.Kick()
}

func TestAnAwakeLoopIsNotWoken(t *testing.T) {
	var g Gate
	if end := notify(&g); end != Awake || !g.Pending() {
		t.Errorf("ends %v, pending %t", end, g.Pending())
	}
	if g.Accept(); g.Pending() || g.Accepted() != 1 || g.Notifies() != 1 {
		t.Errorf("pending after Accept: %+v", &g)
	}
}

func TestOneNotifierEndsASleep(t *testing.T) {
	for _, kind := range []Sleep{Asleep, Parked} {
		var g Gate
		g.Announce(kind)
		if end := g.Kick(); end != kind || !g.Kicked() || g.Pending() {
			t.Errorf("%v: ends %v, kicked %t, pending %t", kind, end, g.Kicked(), g.Pending())
		}
		if end := notify(&g); end != Awake {
			t.Errorf("%v: a second notifier ends %v", kind, end)
		}
	}
}

func TestARetractedSleepNeedsNoEnd(t *testing.T) {
	var g Gate
	g.Announce(Asleep)
	g.Retract()
	if end := notify(&g); end != Awake {
		t.Errorf("ends %v", end)
	}
}

func TestAReminderIsWithdrawnButNoOtherNotify(t *testing.T) {
	var g Gate
	if !g.Remind() || !g.Pending() || g.Remind() {
		t.Error("a reminder is one pending notify")
	}
	if !g.Withdraw() || g.Pending() {
		t.Error("it is taken back")
	}
	g.Remind()
	notify(&g)
	if g.Withdraw() || !g.Pending() {
		t.Error("the notify beside it stays")
	}
}

// Notifiers of a loop that sleeps again and again: each piece of work is seen, and no
// sleep is ended twice.
func TestNoWakeUpIsLost(t *testing.T) {
	const notifiers, each = 3, 20_000
	var g Gate
	var work atomic.Int64
	ends := make(chan struct{}, notifiers*each)
	var group sync.WaitGroup
	for range notifiers {
		group.Go(func() {
			for range each {
				work.Add(1)
				if notify(&g) != Awake {
					ends <- struct{}{}
				}
			}
		})
	}
	for seen := int64(0); seen < notifiers*each; {
		g.Announce(Asleep)
		if !g.Pending() {
			<-ends
		} else if !g.retractUnlessKicked() {
			<-ends // its end is under way
		}
		g.Retract()
		g.Accept()
		seen = work.Load()
	}
	group.Wait()
	if len(ends) > 0 {
		t.Errorf("%d sleeps were ended twice", len(ends))
	}
}

// retractUnlessKicked is Retract for a loop that must take each end.
func (g *Gate) retractUnlessKicked() bool {
	return g.sleep.CompareAndSwap(uint32(Asleep), uint32(Awake))
}
