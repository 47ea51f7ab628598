//go:build linux

package aio

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
)

// KickWaiters makes all calls of WaitWhile, for any loop, look at their conditions again. Any
// goroutine may call it at any time. It does not block, and costs a load from memory while there
// is no such call.
func KickWaiters() {
	if waiters.count.Load() != 0 { // K2
		waiters.kick() // K3
	}
}

// waiter is a call of WaitWhile.
//
//	KickWaiters                          WaitWhile
//	K1  the caller changes what          A1  register
//	    the condition reads              A2  if the condition is false: return
//	K2  if none is registered: return    A3  sleep, unless there was a kick since the
//	K3  kick each that is registered         last sleep; then go on with A2
//
// No kick is lost: K1 comes before K2 and A1 before A2. So KickWaiters sees that the waiter is
// registered, or the condition sees the change. A kick between A2 and A3 is kept: a token in a
// channel with room for one, or the notify that the loop finds before it sleeps.
type waiter struct {
	loop  *Context      // is waited for
	own   *Context      // is polled by the waiting goroutine, nil if that blocks
	token chan struct{} // a kick, if the goroutine blocks
	cond  func() bool
	on    bool // what cond returned last

	at    goroutine.Place // where WaitWhile was called
	since time.Duration   // on CLOCK_MONOTONIC
}

func (w *waiter) kick() {
	if w.own != nil {
		w.own.Notify()
		return
	}
	select {
	case w.token <- struct{}{}:
	default: // it has one already
	}
}

// name says where the call is, and what it does since when.
func (w *waiter) name(now time.Duration) string {
	how := "blocks"
	if w.own != nil {
		how = fmt.Sprintf("polls loop %q", w.own.name)
	}
	return fmt.Sprintf("WaitWhile at %v waits for loop %q and %s, for %v", w.at, w.loop.name, how, now-w.since)
}

// waiters are the calls of WaitWhile in the process. One list is for all loops: a condition may be
// about several, and the one that changes it need not know which of them is waited for.
var waiters waiterList

type waiterList struct {
	count      atomic.Int32
	sync.Mutex // guards all
	all        map[*waiter]bool
}

func (l *waiterList) add(w *waiter) {
	l.Lock()
	defer l.Unlock()
	if l.all == nil {
		l.all = map[*waiter]bool{}
	}
	l.all[w] = true
	l.count.Add(1)
}

func (l *waiterList) remove(w *waiter) {
	l.Lock()
	defer l.Unlock()
	delete(l.all, w)
	l.count.Add(-1)
}

func (l *waiterList) kick() {
	l.Lock()
	defer l.Unlock()
	for w := range l.all {
		w.kick()
	}
}

// about names the calls that wait for c, or poll it, the first one first.
func (l *waiterList) about(c *Context) (names []string) {
	if l.count.Load() == 0 {
		return nil
	}
	var found []*waiter
	l.Lock()
	for w := range l.all {
		if w.loop == c || w.own == c {
			found = append(found, w)
		}
	}
	l.Unlock()
	slices.SortFunc(found, func(a, b *waiter) int { return cmp.Compare(a.since, b.since) })
	now := sys.Monotonic()
	for _, w := range found {
		names = append(names, w.name(now))
	}
	return names
}

// loops are the Contexts that are not closed. A program that forgets one without Close does not
// keep its memory.
var loops loopList

type loopList struct {
	sync.Mutex
	made uint64
	all  map[weak.Pointer[Context]]uint64 // the number in the order of New
}

func (l *loopList) join(c *Context) {
	l.Lock()
	defer l.Unlock()
	if l.all == nil {
		l.all = map[weak.Pointer[Context]]uint64{}
	}
	l.made++
	l.all[weak.Make(c)] = l.made
}

func (l *loopList) leave(c *Context) {
	l.Lock()
	defer l.Unlock()
	delete(l.all, weak.Make(c))
}

// mine returns a loop whose home goroutine the caller is, nil if there is none.
func (l *loopList) mine() (own *Context) {
	l.Lock()
	defer l.Unlock()
	var first uint64
	for p, number := range l.all {
		switch c := p.Value(); {
		case c == nil:
			delete(l.all, p)
		case !c.home.mine():
		case own == nil, c.home.inside() && !own.home.inside(), c.home.inside() == own.home.inside() && number < first:
			own, first = c, number
		}
	}
	return own
}
