//go:build linux

package aio

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
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
// another file now, while its handler is open: the error names the handler. Do and Call fail with
// ErrDeadlock if loops with this option would wait for each other.
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

// waits are the loops with WithDebug, and which of them waits for which in Do.
var waits struct {
	sync.Mutex
	loops []*Context
	until map[*Context]*Context
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
func (c *Context) awaits() (done func(), err error) {
	waits.Lock()
	defer waits.Unlock()
	var mine []*Context
	for _, loop := range waits.loops {
		if loop.home.mine() {
			mine = append(mine, loop)
		}
	}
	chain := []string{}
	for other := c; other != nil; other = waits.until[other] {
		if chain = append(chain, fmt.Sprintf("%q", other.name)); slices.Contains(mine, other) {
			return nil, fmt.Errorf("aio: Do: %w: a callback of %s waits for %s", ErrDeadlock, chain[len(chain)-1], strings.Join(chain, ", which waits for "))
		}
	}
	if waits.until == nil {
		waits.until = map[*Context]*Context{}
	}
	for _, loop := range mine {
		waits.until[loop] = c
	}
	return func() {
		waits.Lock()
		defer waits.Unlock()
		maps.DeleteFunc(waits.until, func(loop, _ *Context) bool { return slices.Contains(mine, loop) })
	}, nil
}
