package backendtest

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var capabilityChecks = []check{
	{name: "trap18_peek_alone_sees_the_event", run: peekSeesTheEvent},
	{name: "poll_fd_tells_a_foreign_loop", run: pollFDTells},
	{name: "poll_fd_wakes_a_foreign_loop_that_sleeps", run: pollFDWakes},
	{name: "poll_fd_and_always_ready_files", run: pollFDAndFiles},
	{name: "flush_before_the_first_wait", run: flushFirst, bare: true},
}

func peekSeesTheEvent(h *home) {
	p, ok := h.p.(backend.Peeker)
	if !ok {
		h.Logf("%s is no Peeker", h.p.Name())
		return
	}
	for _, edge := range []backend.Events{0, backend.Edge} {
		e := h.eventfd(0)
		h.add(e.fd, backend.In|edge, 1)
		for range 20 {
			h.settle()
			if p.Peek() {
				h.Fatal("Peek is true and nothing has happened")
			}
			done := inThread(e.signal)
			h.eventually("Peek to see the event", p.Peek)
			<-done
			if got := h.wait(0); len(got) != 1 || got[0].Tag != 1 {
				h.Fatalf("Peek was true, Wait found %v", got)
			}
			e.drain()
		}
		h.remove(e.fd)
	}
}

// foreign is what a foreign loop sees of the Poller.
func (h *home) foreign(p backend.Pollable) bool {
	h.Helper()
	h.must("Flush", p.Flush())
	return h.poll2(p.PollFD(), backend.In)&backend.In != 0
}

func (h *home) pollable() backend.Pollable {
	p, ok := h.p.(backend.Pollable)
	if !ok {
		h.Logf("%s is not Pollable", h.p.Name())
	}
	return p
}

func pollFDTells(h *home) {
	p := h.pollable()
	if p == nil {
		return
	}
	r, w := h.pipe()
	h.add(r.fd, backend.In, 1)
	for range 10 {
		h.settle()
		if h.foreign(p) {
			h.Fatal("the descriptor is readable and nothing has happened")
		}
		w.write("xy")
		for range 2 { // level-triggered: a byte is left after the first
			h.eventually("the descriptor to be readable", func() bool { return h.foreign(p) })
			if got := h.wait(0); len(got) != 1 || got[0].Tag != 1 {
				h.Fatalf("the descriptor was readable, Wait found %v", got)
			}
			r.read(1)
		}
	}
	w.write("x")
	h.remove(r.fd)
	if h.settle(); h.foreign(p) {
		h.Error("the descriptor is readable and nothing is registered")
	}
}

// pollFDWakes: the foreign loop sleeps on the home thread, or on a thread of its
// own, before something happens.
func pollFDWakes(h *home) {
	p := h.pollable()
	if p == nil {
		return
	}
	for i := range 12 {
		e := h.eventfd(0)
		h.add(e.fd, backend.In|backend.Edge*backend.Events(i%2), 1)
		h.settle()
		h.must("Flush", p.Flush())
		done := inThread(func() {
			time.Sleep(time.Millisecond) // now the other one sleeps, most probably
			e.signal()
		})
		woken := false
		if i%4 < 2 {
			woken = sleepsUntilReadable(p.PollFD())
		} else {
			h.elsewhere(func() { woken = sleepsUntilReadable(p.PollFD()) })
		}
		<-done
		if !woken {
			h.Fatalf("round %d: the foreign loop was not woken up", i)
		}
		h.expect(1)
		h.remove(e.fd)
		e.close()
	}
}

func sleepsUntilReadable(fd int) bool {
	one := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for start := time.Now(); time.Since(start) < patience; {
		if n, _ := unix.Poll(one, int(patience/time.Millisecond)); n > 0 {
			return true
		}
	}
	return false
}

func pollFDAndFiles(h *home) {
	p := h.pollable()
	if p == nil {
		return
	}
	f := h.opens("/dev/null", unix.O_RDWR)
	for range 3 {
		h.add(f.fd, backend.In, 1)
		for range 3 {
			if !h.foreign(p) {
				h.Fatal("an always ready file is registered, the descriptor is not readable")
			}
			h.expect(1)
		}
		h.remove(f.fd)
		if h.settle(); h.foreign(p) {
			h.Fatal("the file is gone, the descriptor is still readable")
		}
	}
}

// flushFirst: a foreign loop waits before the first Wait.
func flushFirst(h *home) {
	h.p = h.opened()
	defer h.p.Close()
	p := h.pollable()
	if p == nil {
		return
	}
	h.add(h.eventfd(1).fd, backend.In, 1)
	h.eventually("the descriptor to be readable", func() bool { return h.foreign(p) })
	h.expect(1)
}
