//go:build linux

package aio

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aioloop/aioloop/backend"
)

// handlerTable finds the handler of an event. Index 0 is the Context's own
// notifier. An index that is used again gets a new generation.
//
// The home goroutine finds handlers without a lock. The lock guards all else, and
// two of a Handler's fields. Lock order: the table's, then the Poller's.
type handlerTable struct {
	sync.Mutex
	changed atomic.Bool                   // since the last view
	used    uint32                        // slots that have been used
	slots   atomic.Pointer[[]handlerSlot] // replaced by a longer one when all are used
	free    uint32                        // index of the first slot that is free again, 0 if none is
	count   int32                         // open handlers
	quiet   int32                         // those of them that cannot have an event, or are in the background
	ended   bool                          // abandon was called: no handler is added
	// polled are the handlers with a Poll callback; only the kernel knows about
	// the readiness of the others.
	polled []*Handler
}

type handlerSlot struct {
	handler    atomic.Pointer[Handler]
	generation uint32
	nextFree   uint32 // as free, while this one is
}

// noSlots is the beginning of every table.
var noSlots []handlerSlot

func (t *handlerTable) init() { t.slots.Store(&noSlots) }

// change makes the loop take a new view. Any goroutine may call it.
func (t *handlerTable) change() { t.changed.Store(true) }

// view returns the number of open handlers and those with a Poll callback.
func (t *handlerTable) view() (open int32, polled []*Handler) {
	t.changed.Store(false)
	t.Lock()
	defer t.Unlock()
	return t.count, slices.Clone(t.polled)
}

// watching returns the number of handlers that may have an event that RunUntilDone waits for.
func (t *handlerTable) watching() int32 {
	t.Lock()
	defer t.Unlock()
	return t.count - t.quiet
}

// stale reports whether there was a change since the last view.
func (t *handlerTable) stale() bool { return t.changed.Load() }

// add gives h a tag and makes it known if register succeeds. It can be found while
// register is still under way, since it may have an event by then.
func (t *handlerTable) add(h *Handler, register func() error) error {
	if t.ended {
		return ErrClosed
	}
	i := t.unused()
	s := &(*t.slots.Load())[i]
	s.generation++
	h.tag = backend.MakeTag(i, s.generation)
	s.handler.Store(h)
	if err := register(); err != nil {
		t.release(i)
		return err
	}
	t.count++
	t.file(h)
	return nil
}

// unused returns the index of a slot without a handler.
func (t *handlerTable) unused() uint32 {
	slots := *t.slots.Load()
	if i := t.free; i != 0 {
		t.free = slots[i].nextFree
		return i
	}
	if t.used++; int(t.used) >= len(slots) {
		t.grow()
	}
	return t.used
}

func (t *handlerTable) release(i uint32) {
	s := &(*t.slots.Load())[i]
	s.handler.Store(nil)
	s.nextFree, t.free = t.free, i
}

// grow makes room for a quarter more handlers. The home goroutine may still look into the
// shorter table: all handlers with an event so far are in it.
func (t *handlerTable) grow() {
	now := *t.slots.Load()
	longer := make([]handlerSlot, len(now)+len(now)/4+4)
	for i := range now {
		longer[i].handler.Store(now[i].handler.Load())
		longer[i].generation = now[i].generation
	}
	t.slots.Store(&longer)
}

// file lists h among those that are polled, or not, after its callbacks changed.
func (t *handlerTable) file(h *Handler) {
	cb := h.cb.Load()
	wanted := cb != nil && cb.poll != nil
	switch at := slices.Index(t.polled, h); {
	case wanted && at < 0:
		t.polled = append(t.polled, h)
	case !wanted && at >= 0:
		t.polled = slices.Delete(t.polled, at, at+1)
	}
}

func (t *handlerTable) remove(h *Handler) {
	t.file(h)
	t.release(h.tag.Index())
	t.count--
}

// find returns nil for a handler that is closed, even if another has its index. The home
// goroutine calls it.
func (t *handlerTable) find(tag backend.Tag) *Handler {
	slots := *t.slots.Load()
	if int(tag.Index()) >= len(slots) {
		return nil
	}
	h := slots[tag.Index()].handler.Load()
	if h == nil || h.tag != tag {
		return nil
	}
	return h
}

// gave reports whether a handler has, or had, this tag, or the alarm of a parked loop, which is
// the first after the notifier's: one batch may tell of that twice.
func (t *handlerTable) gave(tag backend.Tag) bool {
	if tag.Index() == 0 {
		return tag.Generation() <= 1
	}
	t.Lock()
	defer t.Unlock()
	slots, i := *t.slots.Load(), tag.Index()
	return int(i) < len(slots) && slots[i].generation-tag.Generation() < 1<<31 && tag.Generation() > 0
}

// abandon closes all handlers and names them. A Watch beside it comes before, and its handler
// is among those, or fails.
func (t *handlerTable) abandon() (names []string) {
	t.Lock()
	defer t.Unlock()
	t.ended = true
	for _, h := range t.all() {
		names = append(names, fmt.Sprintf("fd %d: %s", h.fd, h.cb.Load().title()))
		h.cb.Store(nil)
	}
	return names
}

// mark records whether the Poller knows h, and whether h is in the background. The caller holds
// the lock.
func (t *handlerTable) mark(h *Handler, unwatched, background bool) {
	if h.unwatched || h.background {
		t.quiet--
	}
	if h.unwatched, h.background = unwatched, background; unwatched || background {
		t.quiet++
	}
}

// unwatches reports whether fd has a handler that the Poller does not know.
func (t *handlerTable) unwatches(fd int) bool {
	return t.quiet > 0 && slices.ContainsFunc(t.all(), func(h *Handler) bool { return int(h.fd) == fd && h.unwatched })
}

// open returns the open handlers in the order of their descriptors.
func (t *handlerTable) open() []*Handler {
	t.Lock()
	defer t.Unlock()
	return t.all()
}

// all is open for who holds the lock.
func (t *handlerTable) all() []*Handler {
	var open []*Handler
	for slots, i := *t.slots.Load(), 0; i < len(slots); i++ {
		if h := slots[i].handler.Load(); h != nil {
			open = append(open, h)
		}
	}
	slices.SortFunc(open, func(a, b *Handler) int { return int(a.fd - b.fd) })
	return open
}
