//go:build linux

package aio

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"golang.org/x/sys/unix"
)

// debugger is what WithDebug remembers. Its lock guards all but report.
type debugger struct {
	report func(error)

	sync.Mutex
	halves     map[weak.Pointer[BottomHalf]]bool // of NewBottomHalf, as long as the program has them
	onces      map[*BottomHalf]string            // of ScheduleOnce, that have not run
	operations map[*Request]string               // under way, by slot
	files      map[*Handler]file                 // what each open handler watches
}

// file tells one open file from another, as well as fstat(2) can.
type file struct {
	dev, ino, rdev uint64
	kind           string // of an anonymous inode, which all have one number
}

// WithDebug makes the loop look for mistakes that are hard to find otherwise, and remember more
// for Snapshot. It calls report, on the home goroutine, when a descriptor was closed, or is
// another file now, while its handler is open: the error names the handler. Do, Call, WaitWhile and
// IOThread.Stop fail with ErrDeadlock if loops with this option would wait for each other.
//
// It costs one or two system calls for each handler in each iteration, and a lock for each
// bottom half. report must not block.
func WithDebug(report func(error)) Option {
	return func(o *options) error {
		if report == nil {
			return fmt.Errorf("aio: WithDebug: the function is nil")
		}
		o.observed = true
		o.debug = &debugger{
			report: report, halves: map[weak.Pointer[BottomHalf]]bool{}, onces: map[*BottomHalf]string{}, operations: map[*Request]string{}, files: map[*Handler]file{},
		}
		return o.once("WithDebug")
	}
}

func (o *observer) debugs() bool { return o != nil && o.debug != nil }

// made, scheduledOnce and ranOnce keep the lists of bottom halves.
func (o *observer) made(b *BottomHalf) {
	if o.debugs() {
		o.debug.Lock()
		defer o.debug.Unlock()
		o.debug.halves[weak.Make(b)] = true
	}
}

func (o *observer) scheduledOnce(b *BottomHalf) {
	if o.debugs() {
		o.debug.Lock()
		defer o.debug.Unlock()
		o.debug.onces[b] = nameOf("", b.fn)
	}
}

func (o *observer) ranOnce(b *BottomHalf) {
	if o.debugs() {
		o.debug.Lock()
		defer o.debug.Unlock()
		delete(o.debug.onces, b)
	}
}

// submitted and completed keep the list of operations.
func (o *observer) submitted(r *Request) {
	o.debug.Lock()
	defer o.debug.Unlock()
	o.debug.operations[r] = r.String()
}

func (o *observer) completed(r *Request) {
	if o.debugs() {
		o.debug.Lock()
		defer o.debug.Unlock()
		delete(o.debug.operations, r)
	}
}

// fileOf fails with EBADF if fd is not open.
func fileOf(fd int) (f file, err error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return file{}, err
	}
	f = file{dev: uint64(stat.Dev), ino: stat.Ino, rdev: uint64(stat.Rdev)}
	if link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && strings.HasPrefix(link, "anon_inode:") {
		f.kind = link
	}
	return f, nil
}

// checkDescriptors reports each handler whose descriptor was closed under it, once.
func (c *Context) checkDescriptors() {
	d := c.observer.debug
	handlers := c.table.open()
	known := map[*Handler]file{}
	var mistakes []error
	d.Lock()
	for _, h := range handlers {
		before, seen := d.files[h]
		now, err := fileOf(int(h.fd))
		switch {
		case !seen && err == nil:
			before = now
		case seen && (err != nil || now != before) && before != (file{}):
			mistakes = append(mistakes, c.closedUnder(h, err))
			before = file{} // reported
		}
		known[h] = before
	}
	d.files = known
	d.Unlock()
	for _, err := range mistakes {
		d.report(err)
	}
}

func (c *Context) closedUnder(h *Handler, err error) error {
	if err == nil {
		err = fmt.Errorf("it is another file now: %w", unix.EBADF)
	}
	return fmt.Errorf("aio: loop %q: handler %s: fd %d was closed while the handler is open: close the handler first, or close the descriptor in CloseThen: %w",
		c.name, h.name(), h.fd, err)
}

// waits are the loops with WithDebug, and which of them waits for which.
var waits struct {
	sync.Mutex
	loops []*Context
	all   []*loopWait
}

// loopWait is a callback of one loop that waits for another loop.
type loopWait struct {
	from, to *Context
	kind     waitKind
	begun    *atomic.Bool // of forCall: the function is being called
}

// waitKind is what a callback waits for. Only in forChange its loop goes on.
type waitKind uint8

const (
	forCall   waitKind = iota // Do: until the function has returned
	forEnd                    // IOThread.Stop
	forChange                 // WaitWhile: it polls its own loop
)

// blocks reports whether a wait of that kind cannot end before w does. A loop that polls serves Do,
// unless the wait is inside the function of that Do.
func (w *loopWait) blocks(kind waitKind) bool {
	switch kind {
	case forCall:
		return w.kind != forChange
	case forChange:
		return w.kind != forCall || w.begun.Load()
	}
	return true
}

func (o *observer) join(c *Context) {
	if o.debugs() {
		waits.Lock()
		defer waits.Unlock()
		waits.loops = append(waits.loops, c)
	}
}

func (o *observer) leave(c *Context) {
	if o.debugs() {
		waits.Lock()
		defer waits.Unlock()
		waits.loops = slices.DeleteFunc(waits.loops, func(other *Context) bool { return other == c })
	}
}

// awaits records that the calling goroutine waits for c, until done is called. It fails if c waits
// for a loop of that goroutine.
func (c *Context) awaits(op string, kind waitKind, begun *atomic.Bool) (done func(), err error) {
	waits.Lock()
	defer waits.Unlock()
	var mine []*Context
	for _, loop := range waits.loops {
		if loop.home.mine() {
			mine = append(mine, loop)
		}
	}
	if chain := chainOfWaits(c, mine, kind, nil); chain != nil {
		return nil, fmt.Errorf("aio: %s: %w: a callback of %s waits for %s", op, ErrDeadlock, chain[len(chain)-1], strings.Join(chain, ", which waits for "))
	}
	var added []*loopWait
	for _, loop := range mine {
		added = append(added, &loopWait{loop, c, kind, begun})
	}
	waits.all = append(waits.all, added...)
	return func() {
		waits.Lock()
		defer waits.Unlock()
		waits.all = slices.DeleteFunc(waits.all, func(w *loopWait) bool { return slices.Contains(added, w) })
	}, nil
}

// chainOfWaits returns the names on a way from c, over loops that wait for each other, to one of
// mine, nil if there is none. seen are the loops that it has been to.
func chainOfWaits(c *Context, mine []*Context, kind waitKind, seen []*Context) (names []string) {
	name := fmt.Sprintf("%q", c.name)
	if slices.Contains(mine, c) {
		return []string{name}
	}
	seen = append(seen, c)
	for _, w := range waits.all {
		if w.from != c || !w.blocks(kind) || slices.Contains(seen, w.to) {
			continue
		}
		if rest := chainOfWaits(w.to, mine, kind, seen); rest != nil {
			return append([]string{name}, rest...)
		}
	}
	return nil
}
