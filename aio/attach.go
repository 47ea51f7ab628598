//go:build linux

package aio

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/internal/lend"
)

// Attachment is what another package keeps for one loop: its workers, or an engine for files.
type Attachment interface {
	// End is called once, by Close of the Context on its goroutine, when nothing polls any
	// more. What the attachment has on the loop can be closed; nothing new can be begun. End
	// returns the names of what it leaves undone, for the LeakError.
	End() (left []string)
	// Work names what is under way, for Snapshot. Any goroutine may call it.
	Work() []string
}

// Attach returns the attachment that the loop has under key. If there is none, it calls create
// on the caller's goroutine, and the loop owns what that returns until Close. Like a key of
// context.Context, key is a value of a type that its package does not export.
//
// Any goroutine may call Attach. Two that come at the same time may both create: one gets that of the
// other, and its own is ended. Attach fails with ErrClosed and with the error of create.
func (c *Context) Attach(key any, create func() (Attachment, error)) (Attachment, error) {
	list := c.attached.made()
	if a, err := list.find(key); a != nil || err != nil {
		return a, err
	}
	a, err := create()
	if err != nil {
		return nil, err
	}
	first, err := list.add(key, a)
	if first != a {
		a.End()
	}
	return first, err
}

// Hold keeps RunUntilDone from ending until Release: for work that the loop itself does not know,
// of a worker thread for example. Any goroutine may call both; they count.
func (c *Context) Hold() { c.holds.Add(1) }

// Release takes one Hold back.
func (c *Context) Release() {
	if c.holds.Add(-1) == 0 && c.drains.Load() > 0 && !c.home.mine() {
		c.Notify()
	}
}

// attachments are those of a loop. Few Contexts have any: the list is made for the first.
type attachments struct {
	list atomic.Pointer[attachmentList]
}

type attachmentList struct {
	sync.Mutex
	keys  []any
	all   []Attachment // in the order in which they were made
	ended bool
}

// noAttachments is the list of a Context that was closed without any.
var noAttachments = attachmentList{ended: true}

func (a *attachments) made() *attachmentList {
	if list := a.list.Load(); list != nil {
		return list
	}
	a.list.CompareAndSwap(nil, new(attachmentList))
	return a.list.Load()
}

func (l *attachmentList) find(key any) (Attachment, error) {
	l.Lock()
	defer l.Unlock()
	if l.ended {
		return nil, ErrClosed
	}
	if i := slices.Index(l.keys, key); i >= 0 {
		return l.all[i], nil
	}
	return nil, nil
}

// add returns the attachment that was first.
func (l *attachmentList) add(key any, a Attachment) (first Attachment, err error) {
	l.Lock()
	defer l.Unlock()
	if l.ended {
		return nil, ErrClosed
	}
	if i := slices.Index(l.keys, key); i >= 0 {
		return l.all[i], nil
	}
	l.keys, l.all = append(l.keys, key), append(l.all, a)
	return a, nil
}

// work names what is under way.
func (a *attachments) work() (names []string) {
	list := a.list.Load()
	if list == nil {
		return nil
	}
	list.Lock()
	all := slices.Clone(list.all)
	list.Unlock()
	for _, a := range all {
		names = append(names, a.Work()...)
	}
	return names
}

// end ends all, the last one first, and names what they leave.
func (a *attachments) end() (left []string) {
	if a.list.CompareAndSwap(nil, &noAttachments) {
		return nil
	}
	list := a.list.Load()
	list.Lock()
	list.ended = true
	all := list.all
	list.keys, list.all = nil, nil
	list.Unlock()
	for _, a := range slices.Backward(all) {
		left = append(left, a.End()...)
	}
	return left
}

// Package coroutine lends the home goroutine, which is not for others to do.
func init() {
	lend.Loop.Home = func(loop any) *lend.Home { return loop.(*Context).home.lender() }
	lend.Loop.Clock = func(loop any) *time.Duration { return loop.(*Context).watch.reading() }
	lend.Loop.Now = func(loop any) time.Duration { return loop.(*Context).watch.read() }
}
