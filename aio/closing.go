//go:build linux

package aio

import (
	"sync"
	"sync/atomic"
)

// closings are functions that wait until the loop does not use the descriptor of a handler
// that was closed. That is so when an iteration begins inside no other.
//
//	CloseThen ───────▶ waiting ─────────▶ due ─────────────▶ called
//	                      │    refresh     │    bottom half    ▲
//	                      └────────────────┴───────────────────┘
//	                               Close of the Context
//
// Few Contexts have any: the list is made for the first.
type closings struct{ list atomic.Pointer[closingList] }

// closingList guards what it holds with its lock. Lock order: the table's, then this one.
type closingList struct {
	sync.Mutex
	functions []func() // in the order in which their handlers were closed
	due       int      // how many of the first ones need not wait any more
}

// add makes f wait. The caller holds the table's lock.
func (c *closings) add(f func()) {
	s := c.list.Load()
	if s == nil {
		s = new(closingList)
		c.list.Store(s)
	}
	s.Lock()
	defer s.Unlock()
	s.functions = append(s.functions, f)
}

// waiting returns how many functions are not due.
func (c *closings) waiting() int {
	s := c.list.Load()
	if s == nil {
		return 0
	}
	s.Lock()
	defer s.Unlock()
	return len(s.functions) - s.due
}

// empty reports whether no function is left to be called.
func (c *closings) empty() bool {
	s := c.list.Load()
	if s == nil {
		return true
	}
	s.Lock()
	defer s.Unlock()
	return len(s.functions) == 0
}

// makeDue ends the waiting of the first n that wait.
func (c *closings) makeDue(n int) {
	s := c.list.Load()
	s.Lock()
	defer s.Unlock()
	s.due += n
}

// next calls one function.
func (c *closings) next() {
	if f := c.take(); f != nil {
		f()
	}
}

func (c *closings) take() (f func()) {
	s := c.list.Load()
	if s == nil {
		return nil
	}
	s.Lock()
	defer s.Unlock()
	if len(s.functions) == 0 {
		return nil
	}
	f, s.functions = s.functions[0], s.functions[1:]
	s.due = max(s.due-1, 0)
	return f
}

// abandon calls all that is left, even if one panics.
func (c *closings) abandon() {
	f := c.take()
	if f == nil {
		return
	}
	defer c.abandon()
	f()
}

// scheduleClosings lets the functions of CloseThen run in this iteration, one in each bottom
// half. Inside a callback, which may be that of a closed handler, and while a foreign loop
// waits, they go on waiting.
func (c *Context) scheduleClosings() {
	n := c.closings.waiting()
	switch {
	case n == 0:
		return
	case c.home.nested() || c.turn.foreign():
		c.table.change() // a later refresh comes back to them
		return
	}
	c.closings.makeDue(n)
	for range n {
		b := c.NewBottomHalf(c.closings.next)
		b.awaited = true
		_ = b.Schedule() // it fails if the Context is closed, which calls them itself
	}
}
