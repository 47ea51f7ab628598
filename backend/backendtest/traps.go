package backendtest

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

// The traps that one thread can walk into. Numbers are the rows of the table in
// doc.go.
var trapChecks = []check{
	{name: "trap06_partial_read_is_reported_again", run: partialRead},
	{name: "trap07_one_write_one_event", run: oneWriteOneEvent},
	{name: "trap08_event_taken_by_another_reader", run: eventTakenByAnother},
	{name: "trap09_flags_are_left_alone", run: flagsLeftAlone},
	{name: "trap10_dup_and_close_gives_no_event", run: dupAndClose},
	{name: "trap10_dup_and_close_before_remove", run: dupAndCloseBeforeRemove},
	{name: "trap11_peer_sees_end_of_file_at_once", run: peerSeesEnd},
	{name: "trap11_peer_sees_end_of_file_after_remove_elsewhere", run: peerSeesEndElsewhere},
	{name: "trap12_number_reused_in_the_middle_of_a_batch", run: numberReused},
	{name: "trap12_remove_in_the_middle_of_a_batch", run: removedInTheMiddle},
	{name: "trap17_many_more_events_than_queues_hold", run: manyMoreEvents},
	{name: "trap24_no_polling_kernel_thread", run: noPollingThread},
}

// partialRead takes one byte of 100 per event.
func partialRead(h *home) {
	for _, kind := range []string{"pipe", "socket"} {
		r, w := h.pipe()
		if kind == "socket" {
			r, w = h.socketpair()
		}
		h.add(r.fd, backend.In, 1)
		h.quiet()
		w.write(strings.Repeat("x", 100))
		for range 100 {
			h.expect(1)
			r.read(1)
		}
		h.quiet()
		h.remove(r.fd)
	}
}

// oneWriteOneEvent reads the eventfd by level, and does not by edge.
func oneWriteOneEvent(h *home) {
	e := h.eventfd(0)
	events := backend.In
	if h.edge() {
		events |= backend.Edge
	}
	h.add(e.fd, events, 1)
	h.wait(0)
	for i := range 20 {
		e.signal()
		h.expect(1)
		if !h.edge() {
			e.drain()
		}
		if i%5 == 0 {
			h.strictlyQuiet()
		}
	}
}

// strictlyQuiet is quiet without a Wait to get over the past.
func (h *home) strictlyQuiet() {
	h.Helper()
	if got := h.wait(nap); len(got) != 0 {
		h.Fatalf("unexpected %v", got)
	}
	h.quiet()
}

// eventTakenByAnother makes spurious events: the byte is gone when the event
// arrives. The descriptors are blocking ones; the Poller must not block on them.
func eventTakenByAnother(h *home) {
	for _, flags := range []int{0, unix.O_NONBLOCK} {
		r, w := h.pipeWith(flags)
		for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
			h.add(r.fd, events, 1)
			for range 10 {
				h.wait(0)
				w.write("x")
				r.read(1) // before the Wait
				h.wait(0)
			}
			w.write("x")
			h.expect(1)
			r.read(1)
			h.quiet()
			h.remove(r.fd)
		}
	}
}

func flagsLeftAlone(h *home) {
	blocking, _ := h.pipeWith(0)
	nonblocking, _ := h.pipe()
	socket, _ := h.socketpair()
	for _, d := range []*descriptor{blocking, nonblocking, socket, h.file(""), h.opens("/dev/null", unix.O_RDWR)} {
		before := h.flags(d)
		same := func(step string) {
			if now := h.flags(d); now != before {
				h.Errorf("after %s: flags %v, before %v", step, now, before)
			}
		}
		h.add(d.fd, backend.In|backend.Edge, 1)
		same("Add")
		h.wait(0)
		same("Wait")
		h.modify(d.fd, backend.In, 2)
		h.wait(0)
		same("Modify")
		h.remove(d.fd)
		h.wait(0)
		same("Remove")
	}
}

// flags are those of the open file and those of the number.
func (h *home) flags(d *descriptor) (both [2]int) {
	h.Helper()
	for i, command := range []int{unix.F_GETFL, unix.F_GETFD} {
		got, err := unix.FcntlInt(uintptr(d.fd), command, 0)
		h.must("fcntl", err)
		both[i] = got
	}
	return both
}

func dupAndClose(h *home) {
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
		r, w := h.pipe()
		kept := r.dup()
		h.add(r.fd, events, 1)
		h.wait(0)
		h.remove(r.fd)
		r.close()
		w.write("x")
		h.never(1)
		h.quiet()
		h.add(kept.fd, events, 2)
		h.expect(2)
		h.remove(kept.fd)
	}
}

// dupAndCloseBeforeRemove is the wrong order: the Poller can't tell the kernel any
// more which registration it means. Others must live on.
func dupAndCloseBeforeRemove(h *home) {
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
		r, w := h.pipe()
		file := h.file("")
		level, edge := h.eventfd(0), h.eventfd(0)
		kept := r.dup()
		h.add(r.fd, events, 1)
		h.add(level.fd, backend.In, 2)
		h.add(edge.fd, backend.In|backend.Edge, 3)
		h.wait(0)
		r.close()
		h.remove(r.fd)
		w.write("x")
		h.never(1)
		h.quiet()
		h.add(file.fd, backend.In, 4)
		h.never(1)
		level.signal()
		h.expect(2)
		edge.signal()
		h.expect(3)
		h.add(kept.fd, events, 5)
		h.expect(5)
		for _, fd := range []int{kept.fd, level.fd, edge.fd, file.fd} {
			h.remove(fd)
		}
	}
}

func peerSeesEnd(h *home) {
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge, backend.In | backend.Out, 0} {
		a, b := h.socketpair()
		h.add(a.fd, events, 1)
		h.wait(0)
		h.wait(0)
		h.remove(a.fd)
		a.close()
		if s, err := b.tryRead(1); s != "" || err != nil {
			h.Errorf("registered for %v, after Remove and close the peer reads %q, %v; want the end of the file", events, s, err)
		}
	}
}

// On another goroutine Remove may leave the rest to the next Wait.
func peerSeesEndElsewhere(h *home) {
	for _, events := range []backend.Events{backend.In, backend.In | backend.Edge} {
		a, b := h.socketpair()
		h.add(a.fd, events, 1)
		h.wait(0)
		h.elsewhere(func() {
			if err := h.p.Remove(a.fd); err != nil {
				h.Errorf("Remove: %v", err)
			}
		})
		h.wait(0)
		a.close()
		if s, err := b.tryRead(1); s != "" || err != nil {
			h.Errorf("registered for %v, after Remove, Wait and close the peer reads %q, %v; want the end of the file", events, s, err)
		}
	}
}

// numberReused: ten sources are ready and the Poller may have collected all of
// them, but the Wait had room for one only.
func numberReused(h *home) {
	for _, edge := range []backend.Events{0, backend.Edge} {
		var sources [10]*descriptor
		for i := range sources {
			sources[i] = h.eventfd(1)
			h.add(sources[i].fd, backend.In|edge, backend.MakeTag(uint32(i), 1))
		}
		h.waitFor(1, patience)
		idle := h.eventfd(0)
		for i, s := range sources {
			h.remove(s.fd)
			s.close()
			s.takes(idle)
			h.add(s.fd, backend.In|edge, backend.MakeTag(uint32(i), 2))
		}
		h.strictlyQuiet()
		idle.signal()
		h.collectAll("the new registrations", len(sources), func(t backend.Tag) bool { return t.Generation() == 2 })
		for _, s := range sources {
			h.remove(s.fd)
		}
	}
}

func removedInTheMiddle(h *home) {
	for _, edge := range []backend.Events{0, backend.Edge} {
		removed := make(map[backend.Tag]bool)
		var sources [20]*descriptor
		for i := range sources {
			sources[i] = h.eventfd(1)
			h.add(sources[i].fd, backend.In|edge, backend.Tag(i))
		}
		for i, s := range sources {
			for _, r := range h.waitFor(3, 0) {
				if removed[r.Tag] {
					h.Fatalf("tag %d was reported after its removal", r.Tag)
				}
			}
			h.remove(s.fd)
			s.close()
			removed[backend.Tag(i)] = true
		}
		h.quiet()
	}
}

// manyMoreEvents are ten times what a ring of four entries has room for, and ten
// times what a Wait does.
func manyMoreEvents(h *home) {
	const count = 80
	for _, edge := range []backend.Events{0, backend.Edge} {
		var sources []*descriptor
		for i := range count {
			sources = append(sources, h.eventfd(0))
			h.add(sources[i].fd, backend.In|edge, backend.Tag(i))
		}
		h.wait(0)
		for range 3 {
			for _, s := range sources {
				s.signal()
			}
			h.collectAllBy(8, count)
			for _, s := range sources {
				s.drain()
			}
			h.settle()
		}
		for _, s := range sources {
			h.remove(s.fd)
		}
		h.quiet()
	}
}

// collectAllBy waits, with room for few events at a time, for count tags.
func (h *home) collectAllBy(room, count int) {
	h.Helper()
	seen := make(map[backend.Tag]bool)
	for waits := 0; len(seen) < count; waits++ {
		if waits > 10*count {
			h.Fatalf("after %d Waits only %d of %d were reported", waits, len(seen), count)
		}
		for _, r := range h.waitFor(room, patience) {
			seen[r.Tag] = true
		}
	}
}

func noPollingThread(h *home) {
	h.add(h.eventfd(1).fd, backend.In, 1)
	h.expect(1)
	if i := slices.IndexFunc(h.threadNames(), func(s string) bool { return strings.HasPrefix(s, "iou-sqp") }); i >= 0 {
		h.Error("a kernel thread polls a submission queue")
	}
}
