// Package gate is the notify protocol: how goroutines that give work to a loop wake it,
// with at most one system call a sleep and none while it is awake.
package gate

import "sync/atomic"

// Gate stands between a loop and its notifiers. The zero value is that of a loop that is
// awake.
//
//	notifier                          loop
//	N1  make the work visible         L1  Announce
//	N2  count the notify              L2  if Pending, or if there is work:
//	N3  Kick: if the loop sleeps,         do not sleep
//	    clear that, and if it was     L3  wait
//	    this notifier that did:       L4  Retract
//	N4      end the wait              L5  Accept
//	                                  L6  look for work
//
// docs/model goes through all that can happen.
//
// No wake-up is lost: N2 comes before N3 and L1 before L2, and Go's atomics are
// sequentially consistent. So the notifier sees that the loop is about to sleep, or the
// loop sees that there was a notify. What L5 accepts was made visible before, so L6
// finds it.
//
// One sleep costs one wake-up however many notifiers race, because one of them clears the
// announcement. It costs none while the loop is awake, because only the loop announces,
// just before it sleeps. A notifier that is slow between N3 and N4 ends a later sleep for
// nothing, which does no harm.
//
// Any goroutine calls Count, Kick, Kicked and Notifies. The loop calls the others.
type Gate struct {
	notifies atomic.Uint64
	sleep    atomic.Uint32 // a Sleep; the notifier that sets it to Awake ends the wait
	accepted uint64        // the loop's: the value of notifies when it last looked
}

// Sleep says whether the loop sleeps, or is about to, and how a notifier ends that.
type Sleep uint32

// The kinds of sleep. What Asleep and Parked mean is the loop's affair.
const (
	Awake Sleep = iota
	Asleep
	Parked
)

// Count makes a notify pending. A Kick follows. Work that the loop finds before it sleeps
// needs no Count.
func (g *Gate) Count() { g.notifies.Add(1) } // N2

// Kick follows what makes the work visible. The caller ends the sleep that Kick returns;
// Awake means that there is none, or that another notifier ends it.
func (g *Gate) Kick() (end Sleep) {
	if g.Kicked() {
		return Awake
	}
	return Sleep(g.sleep.Swap(uint32(Awake))) // N3
}

// Announce says that the loop is about to sleep. Afterwards the loop looks for work once
// more.
func (g *Gate) Announce(s Sleep) { g.sleep.Store(uint32(s)) }

// Retract says that the loop is awake.
func (g *Gate) Retract() { g.sleep.Store(uint32(Awake)) }

// Kicked reports whether there is no sleep to end: the loop has announced none, or a notifier
// was faster.
func (g *Gate) Kicked() bool { return g.sleep.Load() == uint32(Awake) }

// Pending reports whether there was a notify that the loop has not accepted.
func (g *Gate) Pending() bool { return g.notifies.Load() != g.accepted }

// Accept takes all notifies so far. The loop looks for work afterwards.
func (g *Gate) Accept() {
	if n := g.notifies.Load(); n != g.accepted { // notifiers write to the same cache line
		g.accepted = n
	}
}

// Accepted returns how many notifies the loop has accepted.
func (g *Gate) Accepted() uint64 { return g.accepted }

// Remind makes a notify pending, unless one is. It reports whether it did.
func (g *Gate) Remind() bool { return g.notifies.CompareAndSwap(g.accepted, g.accepted+1) }

// Withdraw takes a reminder back, unless another notify is pending too. It reports whether
// it did.
func (g *Gate) Withdraw() bool {
	if g.notifies.Load() != g.accepted+1 {
		return false
	}
	g.accepted++
	return true
}

// Notifies returns how many notifies there were.
func (g *Gate) Notifies() uint64 { return g.notifies.Load() }
