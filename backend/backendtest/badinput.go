package backendtest

import (
	"errors"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var errorChecks = []check{
	{name: "ebadf", run: badDescriptors},
	{name: "eexist", run: existing},
	{name: "enoent", run: missing},
	{name: "einval", run: impossibleEvents},
	{name: "einval_wait_without_room", run: waitWithoutRoom},
	{name: "failed_add_leaves_nothing", run: failedAddLeavesNothing},
	{name: "failed_modify_changes_nothing", run: failedModifyChangesNothing},
	{name: "closed_while_registered", run: closedWhileRegistered},
	{name: "reopened_while_registered", run: reopenedWhileRegistered},
	{name: "closed_beside_a_duplicate", run: closedBesideADuplicate},
}

// fails checks that err is a *backend.FDError about fd that wraps errno.
func (h *home) fails(what string, err error, errno unix.Errno, fd int) {
	h.Helper()
	var fdError *backend.FDError
	switch {
	case !errors.Is(err, errno):
		h.Errorf("%s of fd %d: got error %v, want %v", what, fd, err, error(errno))
	case !errors.As(err, &fdError):
		h.Errorf("%s of fd %d: error %v is a %T, want a *backend.FDError", what, fd, err, err)
	case fdError.FD != fd || fdError.Backend != h.p.Name() || fdError.Op == "":
		h.Errorf("%s of fd %d: the error does not tell: %+v", what, fd, *fdError)
	}
}

func badDescriptors(h *home) {
	closed := h.eventfd(0)
	closed.close()
	path := h.opens("/", unix.O_PATH)
	beyond := math.MaxInt32
	beyond++ // negative where an int has 32 bits
	for _, fd := range []int{-1, math.MinInt32, closed.fd, path.fd, 1 << 30, math.MaxInt32, beyond, math.MaxInt} {
		h.fails("Add", h.p.Add(fd, backend.In, 1), unix.EBADF, fd)
		h.fails("Modify", h.p.Modify(fd, backend.In, 1), unix.EBADF, fd)
		h.fails("Remove", h.p.Remove(fd), unix.ENOENT, fd)
	}
	h.quiet()
}

func existing(h *home) {
	e := h.eventfd(1)
	h.add(e.fd, backend.In, 1)
	h.fails("second Add", h.p.Add(e.fd, backend.Out, 2), unix.EEXIST, e.fd)
	if got := h.wait(patience); len(got) != 1 || got[0] != (backend.Ready{Tag: 1, Events: backend.In}) {
		h.Errorf("after a failed Add: got %v, want the first registration's in of tag 1", got)
	}
	h.fails("third Add", h.p.Add(e.fd, backend.In, 2), unix.EEXIST, e.fd)
}

func missing(h *home) {
	e := h.eventfd(1)
	h.fails("Modify", h.p.Modify(e.fd, backend.In, 1), unix.ENOENT, e.fd)
	h.fails("Remove", h.p.Remove(e.fd), unix.ENOENT, e.fd)
	h.add(e.fd, backend.In, 1)
	h.remove(e.fd)
	h.fails("Modify after Remove", h.p.Modify(e.fd, backend.In, 1), unix.ENOENT, e.fd)
	h.fails("second Remove", h.p.Remove(e.fd), unix.ENOENT, e.fd)
	h.quiet()
}

func impossibleEvents(h *home) {
	e := h.eventfd(1)
	for _, events := range []backend.Events{backend.Err, backend.Hup, backend.Nval, backend.In | backend.Hup, 1 << 20, 1 << 30, math.MaxUint32} {
		h.fails("Add", h.p.Add(e.fd, events, 1), unix.EINVAL, e.fd)
	}
	h.add(e.fd, 0, 1)
	h.fails("Modify", h.p.Modify(e.fd, backend.In|backend.Err, 1), unix.EINVAL, e.fd)
	h.quiet()
}

func waitWithoutRoom(h *home) {
	h.add(h.eventfd(1).fd, backend.In, 1)
	h.add(h.file("").fd, backend.In, 2)
	for _, timeout := range []time.Duration{0, nap, backend.Forever} {
		if n, err := h.p.Wait(nil, timeout); n != 0 || !errors.Is(err, unix.EINVAL) {
			h.Errorf("Wait(nil, %v): got %d, %v, want EINVAL", timeout, n, err)
		}
	}
	h.expect(1)
}

func failedAddLeavesNothing(h *home) {
	e := h.eventfd(1)
	closed := h.eventfd(0)
	closed.close()
	for range 100 {
		_ = h.p.Add(e.fd, backend.Err, 1)
		_ = h.p.Add(closed.fd, backend.In, 2)
		_ = h.p.Add(-1, backend.In, 3)
	}
	h.quiet()
	closed.takes(e)
	h.add(closed.fd, backend.In, 4)
	h.add(e.fd, backend.In, 5)
	if got := h.wait(patience); len(got) != 2 {
		h.Errorf("got %v, want tags 4 and 5", got)
	}
}

func failedModifyChangesNothing(h *home) {
	e := h.eventfd(1)
	h.add(e.fd, backend.In, 1)
	h.expect(1)
	h.fails("Modify", h.p.Modify(e.fd, backend.Hup, 2), unix.EINVAL, e.fd)
	for range 3 {
		if got := h.wait(patience); len(got) != 1 || got[0] != (backend.Ready{Tag: 1, Events: backend.In}) {
			h.Fatalf("got %v, want one event in of tag 1", got)
		}
	}
}

// The contract forbids it, programs do it: the descriptor is closed first. The
// Poller may say Nval, once; it must not spin, or fail, or disturb the others.
func closedWhileRegistered(h *home) {
	e, other := h.eventfd(0), h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	h.add(other.fd, backend.In, 2)
	h.quiet()
	e.close()
	for range 3 {
		for _, r := range h.wait(0) {
			if r.Tag != 1 || r.Events != backend.Nval {
				h.Errorf("got %v, want nothing or nval of tag 1", r)
			}
		}
	}
	h.quiet()
	h.fails("Modify", h.p.Modify(e.fd, backend.In, 1), unix.EBADF, e.fd)
	h.remove(e.fd)
	other.signal()
	h.expect(2)
}

// The same, and the number has come to mean another file. A caller of Modify
// then gets that file.
func reopenedWhileRegistered(h *home) {
	for name, other := range map[string]*descriptor{"eventfd": h.eventfd(1), "file": h.file("")} {
		old := h.eventfd(0)
		kept := old.dup() // keeps the first file open
		h.add(old.fd, backend.In, 1)
		h.quiet()
		old.close()
		old.takes(other)
		h.fails("Add", h.p.Add(old.fd, backend.In, 2), unix.EEXIST, old.fd)
		h.must("Modify to "+name, h.p.Modify(old.fd, backend.In, 3))
		h.expect(3)
		h.remove(old.fd)
		kept.signal()
		h.never(1)
		h.never(3)
		h.quiet()
	}
}

// The same, and a duplicate keeps the file open and ready, so that the Poller may go on
// to report it, for a while: it has to find out by itself.
func closedBesideADuplicate(h *home) {
	for name, reopened := range map[string]bool{"closed": false, "reopened": true} {
		e, other, stranger := h.eventfd(1), h.eventfd(0), h.eventfd(0)
		e.dup()
		h.add(e.fd, backend.In, 1)
		h.add(other.fd, backend.In, 2)
		h.expect(1)
		e.close()
		if reopened {
			e.takes(stranger)
		}
		for n := 0; len(h.wait(0)) > 0; n++ {
			if n == 100_000 {
				h.Fatalf("%s: the Poller spins", name)
			}
		}
		h.quiet()
		if p, ok := h.p.(backend.Pollable); ok && p.PollFD() == e.fd { // the program that closed it may do so again
			h.Errorf("%s: the Poller took the number", name)
		}
		other.signal()
		h.expect(2)
		h.remove(e.fd)
		h.remove(other.fd)
		h.quiet()
	}
}
