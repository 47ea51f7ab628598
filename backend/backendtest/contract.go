package backendtest

import (
	"math"
	"testing"
	"time"

	"github.com/aioloop/aioloop/backend"
)

var contractChecks = []check{
	{name: "has_a_name", run: hasAName},
	{name: "reports_what_holds_at_add", run: reportsWhatHoldsAtAdd},
	{name: "reports_what_happens_later", run: reportsWhatHappensLater},
	{name: "level_is_reported_by_each_wait", run: levelIsReportedByEachWait},
	{name: "reports_only_what_was_asked_for", run: reportsOnlyWhatWasAskedFor},
	{name: "reports_err_and_hup_unasked", run: reportsErrAndHupUnasked},
	{name: "modify_replaces_events_and_tag", run: modifyReplacesEventsAndTag},
	{name: "modify_drops_what_was_collected", run: modifyDropsWhatWasCollected},
	{name: "remove_ends_a_registration", run: removeEndsARegistration},
	{name: "add_after_remove", run: addAfterRemove},
	{name: "changes_before_the_first_wait", run: changesBeforeTheFirstWait},
	{name: "two_numbers_of_one_file", run: twoNumbersOfOneFile},
	{name: "tags_are_returned_as_given", run: tagsAreReturnedAsGiven},
	{name: "zero_timeout_does_not_block", run: zeroTimeoutDoesNotBlock},
	{name: "timeout_is_never_early", run: timeoutIsNeverEarly},
	{name: "timeout_holds_with_many_changes", run: timeoutHoldsWithManyChanges},
	{name: "negative_and_huge_timeouts_wait_for_an_event", run: longTimeoutsWaitForAnEvent},
	{name: "steady_state_allocates_nothing", run: steadyStateAllocatesNothing},
}

func hasAName(h *home) {
	if h.p.Name() == "" {
		h.Error("Name is empty")
	}
}

func reportsWhatHoldsAtAdd(h *home) {
	h.add(h.eventfd(1).fd, backend.In, 1)
	if got := h.expect(1); got != backend.In {
		h.Errorf("got %v, want in", got)
	}
}

func reportsWhatHappensLater(h *home) {
	e := h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	h.quiet()
	e.signal()
	if got := h.expect(1); got != backend.In {
		h.Errorf("got %v, want in", got)
	}
	e.drain()
	h.quiet()
}

func levelIsReportedByEachWait(h *home) {
	h.add(h.eventfd(1).fd, backend.In|backend.Out, 1)
	for i := range 10 {
		if got := h.wait(patience); len(got) != 1 || got[0] != (backend.Ready{Tag: 1, Events: backend.In | backend.Out}) {
			h.Fatalf("Wait %d: got %v, want one event in|out of tag 1", i, got)
		}
	}
}

func reportsOnlyWhatWasAskedFor(h *home) {
	e := h.eventfd(1) // readable and writable
	h.add(e.fd, 0, 1)
	h.quiet()
	h.modify(e.fd, backend.Pri, 1)
	h.quiet()
	h.modify(e.fd, backend.Out, 1)
	if got := h.expect(1); got != backend.Out {
		h.Errorf("got %v, want out", got)
	}
}

func reportsErrAndHupUnasked(h *home) {
	for _, asked := range []backend.Events{0, backend.In, backend.Out, backend.Pri} {
		r, w := h.pipe()
		h.add(r.fd, asked&^backend.Out, 1) // a pipe's reader cannot be written to
		h.quiet()
		w.close()
		h.expectAll(1, backend.Hup)
		h.expectAll(1, backend.Hup) // by level
		h.remove(r.fd)

		r, w = h.pipe()
		h.add(w.fd, asked&^backend.In, 2)
		r.close()
		h.expectAll(2, backend.Err)
		h.remove(w.fd)
	}
	a, b := h.socketpair()
	h.add(a.fd, backend.RdHup, 3)
	b.close()
	h.expectAll(3, backend.RdHup|backend.Hup)
}

func modifyReplacesEventsAndTag(h *home) {
	e := h.eventfd(1)
	h.add(e.fd, backend.In, 1)
	h.expect(1)
	h.modify(e.fd, backend.Out, 2)
	for range 3 {
		if got := h.wait(patience); len(got) != 1 || got[0] != (backend.Ready{Tag: 2, Events: backend.Out}) {
			h.Fatalf("got %v, want one event out of tag 2", got)
		}
	}
	h.modify(e.fd, 0, 3)
	h.quiet()
	h.modify(e.fd, backend.In, 4)
	h.expect(4)
}

// A Wait without room for both may have collected the second event already.
func modifyDropsWhatWasCollected(h *home) {
	for _, events := range []backend.Events{backend.In, 0} {
		a, b := h.eventfd(1), h.eventfd(1)
		h.add(a.fd, backend.In, 1)
		h.add(b.fd, backend.In, 2)
		other := map[backend.Tag]*descriptor{1: b, 2: a}
		first := h.waitFor(1, patience)[0].Tag
		h.modify(other[first].fd, events, 3)
		if events == 0 {
			h.never(3-first, 3)
		} else {
			h.never(3 - first)
			h.expect(3)
		}
		h.remove(a.fd)
		h.remove(b.fd)
	}
}

func removeEndsARegistration(h *home) {
	a, b := h.eventfd(1), h.eventfd(0)
	h.add(a.fd, backend.In, 1)
	h.add(b.fd, backend.In, 2)
	h.expect(1)
	h.remove(a.fd) // reported
	h.never(1)
	h.remove(b.fd) // waited for
	b.signal()
	h.never(2)
	h.quiet()
}

func addAfterRemove(h *home) {
	e := h.eventfd(1)
	for tag := backend.Tag(1); tag < 20; tag++ {
		h.add(e.fd, backend.In, tag)
		if tag%3 == 0 {
			h.expect(tag)
		}
		h.remove(e.fd)
		if tag%4 == 0 {
			h.never(tag)
		}
	}
	h.quiet()
}

func changesBeforeTheFirstWait(h *home) {
	a, b := h.eventfd(1), h.eventfd(1)
	h.add(a.fd, backend.In, 1)
	h.add(b.fd, backend.In, 2)
	h.modify(a.fd, backend.Out, 3)
	h.remove(b.fd)
	for range 3 {
		if got := h.wait(patience); len(got) != 1 || got[0] != (backend.Ready{Tag: 3, Events: backend.Out}) {
			h.Fatalf("got %v, want one event out of tag 3", got)
		}
	}
}

func twoNumbersOfOneFile(h *home) {
	e := h.eventfd(1)
	d := e.dup()
	h.add(e.fd, backend.In, 1)
	h.add(d.fd, backend.In, 2)
	if got := h.wait(patience); len(got) != 2 {
		h.Errorf("got %v, want tags 1 and 2", got)
	}
	h.remove(e.fd)
	h.never(1)
	h.expect(2)
}

func tagsAreReturnedAsGiven(h *home) {
	for _, tag := range []backend.Tag{0, 1, math.MaxUint32, math.MaxUint32 + 1, 1 << 63, math.MaxUint64, backend.MakeTag(7, 9)} {
		e := h.eventfd(1)
		h.add(e.fd, backend.In, tag)
		if got := h.wait(patience); len(got) != 1 || got[0].Tag != tag {
			h.Errorf("got %v, want tag %d", got, tag)
		}
		h.remove(e.fd)
	}
}

func zeroTimeoutDoesNotBlock(h *home) {
	e := h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	start := time.Now()
	for range 1000 {
		if got := h.wait(0); len(got) != 0 {
			h.Fatalf("unexpected %v", got)
		}
	}
	if d := time.Since(start); d > patience {
		h.Errorf("1000 Waits with timeout 0 took %v", d)
	}
}

// A Wait may return early with nothing (see backend.Poller), but not often, and a
// caller that waits for the rest must not find that time has stood still.
func timeoutIsNeverEarly(h *home) {
	e := h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	h.wait(0) // whatever registering takes is over
	for _, timeout := range []time.Duration{1, 100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 10300 * time.Microsecond} {
		early := 0
		for range 5 {
			start := time.Now()
			if got := h.wait(timeout); len(got) != 0 {
				h.Fatalf("unexpected %v", got)
			}
			if time.Since(start) < timeout {
				early++
			}
		}
		if early > 0 {
			h.Errorf("%d of 5 Waits of %v were over early", early, timeout)
		}
	}
}

// timeoutHoldsWithManyChanges tries numbers of changes that fill a queue exactly.
func timeoutHoldsWithManyChanges(h *home) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 64, 127, 128, 129, 256, 1024} {
		e := h.eventfd(0)
		all := []*descriptor{e}
		for len(all) < n {
			all = append(all, e.dup())
		}
		h.settle() // nothing is left that could end the Wait
		for _, d := range all {
			h.add(d.fd, backend.In, 1)
		}
		start := time.Now()
		if got := h.wait(nap); len(got) != 0 {
			h.Fatalf("unexpected %v", got)
		}
		if d := time.Since(start); d > patience {
			h.Errorf("with %d changes a Wait of %v took %v", n, nap, d)
		}
		for _, d := range all {
			h.remove(d.fd)
			d.close()
		}
	}
}

func longTimeoutsWaitForAnEvent(h *home) {
	e := h.eventfd(0)
	h.add(e.fd, backend.In, 1)
	for _, timeout := range []time.Duration{backend.Forever, -5 * time.Hour, math.MinInt64, time.Hour, math.MaxInt64} {
		start := time.Now()
		written := inThread(func() { time.Sleep(nap); e.signal() })
		for waits := 0; ; waits++ {
			if got := h.wait(timeout); len(got) == 1 {
				break
			}
			if waits > 10 {
				h.Fatalf("Wait(%v) came back %d times with nothing", timeout, waits)
			}
		}
		if d := time.Since(start); d < nap {
			h.Errorf("Wait(%v) reported an event after %v, before there was one", timeout, d)
		}
		<-written
		e.drain()
	}
}

func steadyStateAllocatesNothing(h *home) {
	idle, busy := h.eventfd(0), h.eventfd(1)
	h.add(idle.fd, backend.In, 1)
	h.allocatesNothing("Wait(0) without an event", func() { h.wait(0) })
	h.allocatesNothing("Wait(20µs) without an event", func() { h.wait(20 * time.Microsecond) })
	h.add(busy.fd, backend.In, 4)
	h.allocatesNothing("Wait(0) with an event", func() { h.wait(0) })
	h.allocatesNothing("Wait(for ever) with an event", func() { h.wait(backend.Forever) })
}

// allocatesNothing lets f warm up: slices grow to their size.
func (h *home) allocatesNothing(name string, f func()) {
	h.Helper()
	for range 10 {
		f()
	}
	if n := testing.AllocsPerRun(200, f); n != 0 {
		h.Errorf("%s: %v allocations, want 0", name, n)
	}
}
