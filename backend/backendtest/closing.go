package backendtest

import (
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var closeChecks = []check{
	{name: "close_twice", run: closeTwice, bare: true},
	{name: "use_after_close", run: useAfterClose, bare: true},
	{name: "use_after_close_on_another_goroutine", run: useAfterCloseElsewhere, bare: true},
	{name: "close_lets_go_of_files", run: closeLetsGoOfFiles, bare: true},
	{name: "close_on_another_goroutine", run: closeElsewhere, bare: true},
	{name: "open_and_close_1000_times", run: openAndClose, bare: true},
}

func closeTwice(h *home) {
	p := h.opened()
	for range 3 {
		h.must("Close", p.Close())
	}
}

// useAfterClose closes a Poller that was never used, one that was bound only, and
// one that has waited.
func useAfterClose(h *home) {
	e := h.eventfd(1)
	for _, use := range []func(backend.Poller){
		func(backend.Poller) {},
		func(p backend.Poller) { h.bind(p) },
		func(p backend.Poller) {
			h.bind(p)
			h.must("Add", p.Add(e.fd, backend.In, 1))
			_, err := p.Wait(h.ready, nap)
			h.must("Wait", err)
		},
	} {
		p := h.opened()
		use(p)
		h.must("Close", p.Close())
		h.everythingFails(p, e.fd)
	}
}

// everythingFails also makes sure that nothing is done to a stranger's descriptor
// that has got the number of one of the Poller's.
func (h *home) everythingFails(p backend.Poller, fd int) {
	h.Helper()
	closed := func(what string, err error) {
		h.Helper()
		if !errors.Is(err, backend.ErrClosed) {
			h.Errorf("%s after Close: got %v, want ErrClosed", what, err)
		}
	}
	closed("Add", p.Add(fd, backend.In, 1))
	closed("Modify", p.Modify(fd, backend.In, 1))
	closed("Remove", p.Remove(fd))
	for _, timeout := range []time.Duration{0, nap, backend.Forever} {
		n, err := p.Wait(h.ready, timeout)
		closed("Wait", err)
		if n != 0 {
			h.Errorf("Wait after Close returned %d events", n)
		}
	}
	if b, ok := p.(backend.Binder); ok {
		closed("Bind", b.Bind())
	}
	if q, ok := p.(backend.Peeker); ok && q.Peek() {
		h.Error("Peek after Close: true")
	}
	if q, ok := p.(backend.Pollable); ok {
		closed("Flush", q.Flush())
		if fd := q.PollFD(); fd != -1 {
			h.Errorf("PollFD after Close: %d, want -1", fd)
		}
	}
	if s, ok := p.(backend.Submitter); ok {
		closed("Submit", s.Submit(new(backend.Request)))
		closed("Cancel", s.Cancel(new(backend.Request)))
		var done backend.Requests
		if s.Completions(&done); !done.Empty() {
			h.Errorf("completions after Close")
		}
	}
	h.must("Close again", p.Close())
}

func useAfterCloseElsewhere(h *home) {
	p := h.opened()
	h.bind(p)
	h.must("Close", p.Close())
	e := h.eventfd(1)
	h.elsewhere(func() {
		if err := p.Add(e.fd, backend.In, 1); !errors.Is(err, backend.ErrClosed) {
			h.Errorf("Add: got %v, want ErrClosed", err)
		}
	})
}

// closeLetsGoOfFiles: what was registered may be let go of a moment later.
func closeLetsGoOfFiles(h *home) {
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
		p := h.opened()
		h.bind(p)
		a, b := h.socketpair()
		h.must("Add", p.Add(a.fd, events, 1))
		_, err := p.Wait(h.ready, 0)
		h.must("Wait", err)
		h.must("Close", p.Close())
		a.close()
		h.eventually("the peer to see the end of the file", func() bool {
			_, err := b.tryRead(1)
			return err == nil
		})
	}
}

func closeElsewhere(h *home) {
	p := h.opened()
	h.bind(p)
	h.must("Add", p.Add(h.eventfd(1).fd, backend.In, 1))
	_, err := p.Wait(h.ready, nap)
	h.must("Wait", err)
	h.elsewhere(func() {
		if err := p.Close(); err != nil {
			h.Errorf("Close: %v", err)
		}
	})
	if _, err := p.Wait(h.ready, nap); !errors.Is(err, backend.ErrClosed) {
		h.Errorf("Wait: got %v, want ErrClosed", err)
	}
}

func openAndClose(h *home) {
	e, f, idle := h.eventfd(1), h.file(""), h.eventfd(0)
	cycle := func() {
		p := h.opened()
		h.bind(p)
		h.must("Add", p.Add(e.fd, backend.In, 1))
		h.must("Add", p.Add(f.fd, backend.In, 2))
		h.must("Add", p.Add(idle.fd, backend.In|backend.Edge, 3))
		if n, err := p.Wait(h.ready, 0); err != nil || n == 0 {
			h.Fatalf("Wait: %d, %v", n, err)
		}
		h.must("Close", p.Close())
	}
	cycle()
	files, goroutines := h.openFiles(), runtime.NumGoroutine()
	for range h.rounds(1000) {
		cycle()
	}
	if now := h.openFiles(); now > files {
		h.Errorf("%d descriptors open, %d before", now, files)
	}
	// The runtime's count takes a moment to be right.
	h.eventually("goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if _, err := unix.FcntlInt(uintptr(e.fd), unix.F_GETFD, 0); err != nil {
		h.Errorf("a registered descriptor was closed: %v", err)
	}
}
