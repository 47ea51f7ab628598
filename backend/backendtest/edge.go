package backendtest

import (
	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var edgeChecks = []check{
	{name: "edge_reports_changes", run: edgeReportsChanges},
	{name: "edge_reports_what_holds_at_add_and_modify", run: edgeAtAddAndModify},
	{name: "edge_on_always_ready_files", run: edgeOnAlwaysReadyFiles},
	{name: "edge_and_back", run: edgeAndBack},
	{name: "edge_hangup", run: edgeHangup},
}

// edge reports whether the Poller honours backend.Edge.
func (h *home) edge() bool {
	e, ok := h.p.(backend.EdgeTriggered)
	return ok && e.EdgeTriggered()
}

// needsEdge says so if it does not.
func (h *home) needsEdge() bool {
	if !h.edge() {
		h.Logf("%s reports by level, as it may", h.p.Name())
	}
	return h.edge()
}

// edgeReportsChanges holds for each Poller; that the same is not reported twice,
// for those with the capability.
func edgeReportsChanges(h *home) {
	r, w := h.pipe()
	h.add(r.fd, backend.In|backend.Edge, 1)
	h.quiet()
	for range 5 {
		w.write("x")
		h.expect(1)
		if h.needsEdge() {
			h.strictlyQuiet()
		}
	}
	r.read(100)
	if h.edge() {
		h.strictlyQuiet()
	}
	w.write("x")
	h.expect(1)
}

func edgeAtAddAndModify(h *home) {
	e := h.eventfd(1)
	h.add(e.fd, backend.In|backend.Edge, 1)
	h.expect(1)
	if h.needsEdge() {
		h.strictlyQuiet()
	}
	for tag := backend.Tag(2); tag < 5; tag++ {
		h.modify(e.fd, backend.In|backend.Out|backend.Edge, tag)
		h.expectAll(tag, backend.In|backend.Out)
		if h.edge() {
			h.strictlyQuiet()
		}
	}
}

func edgeOnAlwaysReadyFiles(h *home) {
	for _, d := range []*descriptor{h.file("content"), h.opens("/dev/null", unix.O_RDWR)} {
		h.add(d.fd, backend.In|backend.Out|backend.Edge, 1)
		for range 5 {
			h.expectAll(1, backend.In|backend.Out)
		}
		h.remove(d.fd)
		h.quiet()
	}
}

func edgeAndBack(h *home) {
	e := h.eventfd(1)
	h.add(e.fd, backend.In|backend.Edge, 1)
	h.expect(1)
	for tag := backend.Tag(2); tag < 6; tag += 2 {
		h.modify(e.fd, backend.In, tag)
		for range 3 {
			h.expect(tag)
		}
		h.modify(e.fd, backend.In|backend.Edge, tag+1)
		h.expect(tag + 1)
		if h.needsEdge() {
			h.strictlyQuiet()
		}
	}
}

func edgeHangup(h *home) {
	a, b := h.socketpair()
	h.add(a.fd, backend.In|backend.RdHup|backend.Edge, 1)
	h.quiet()
	h.must("shutdown", unix.Shutdown(b.fd, unix.SHUT_WR))
	h.expectAll(1, backend.In|backend.RdHup)
	b.close()
	h.expectAll(1, backend.Hup)
}
