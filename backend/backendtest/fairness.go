package backendtest

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/backend"
)

var fairnessChecks = []check{
	{name: "short_slice_starves_nobody", run: shortSliceStarvesNobody},
	{name: "short_slice_reports_no_more_than_fits", run: shortSliceReportsNoMore},
	{name: "busy_descriptors_do_not_starve_a_late_one", run: busyDoNotStarveALateOne},
}

// mixtures of descriptors that are ready and stay so: eventfds, and files that
// are always ready.
var mixtures = []struct{ eventfds, files int }{{40, 0}, {0, 40}, {20, 20}, {1, 3}, {3, 1}, {1, 1}}

func shortSliceStarvesNobody(h *home) {
	for _, m := range mixtures {
		for _, room := range []int{1, 2, 3, 7} {
			h.takesTurns(m.eventfds, m.files, room)
		}
	}
}

// takesTurns waits for as long as a Poller that takes turns, and is three times
// as slow about it as it could be, needs to report everything.
func (h *home) takesTurns(eventfds, files, room int) {
	h.Helper()
	fds := h.readyDescriptors(eventfds, files)
	for tag, fd := range fds {
		h.add(fd, backend.In, backend.Tag(tag))
	}
	seen := make([]int, len(fds))
	for range 3 * (len(fds) + room - 1) / room {
		for _, r := range h.waitFor(room, patience) {
			seen[r.Tag]++
		}
	}
	for tag, n := range seen {
		if n == 0 {
			h.Errorf("%d eventfds, %d files, room for %d: number %d was never reported: %v", eventfds, files, room, tag, seen)
			break
		}
	}
	for _, fd := range fds {
		h.remove(fd)
	}
}

func (h *home) readyDescriptors(eventfds, files int) []int {
	h.Helper()
	var fds []int
	for range eventfds {
		fds = append(fds, h.eventfd(1).fd)
	}
	for range files {
		fds = append(fds, h.opens("/dev/null", unix.O_RDWR).fd)
	}
	return fds
}

func shortSliceReportsNoMore(h *home) {
	for _, fd := range h.readyDescriptors(10, 10) {
		h.add(fd, backend.In, backend.Tag(fd))
	}
	guard := backend.Ready{Tag: 1 << 40, Events: backend.Pri}
	for room := 1; room < 20; room++ {
		h.ready[room] = guard
		if got := h.waitFor(room, patience); len(got) == 0 {
			h.Errorf("no events, though 20 descriptors are ready")
		}
		if h.ready[room] != guard {
			h.Fatalf("Wait wrote beyond the %d events that it had room for", room)
		}
	}
}

func busyDoNotStarveALateOne(h *home) {
	for _, fd := range h.readyDescriptors(10, 10) {
		h.add(fd, backend.In, 1)
	}
	late := h.eventfd(0)
	h.add(late.fd, backend.In, 2)
	for range 50 {
		h.waitFor(2, 0)
	}
	late.signal()
	for start := time.Now(); ; h.deadline(start, "the late descriptor") {
		for _, r := range h.waitFor(2, time.Second) {
			if r.Tag == 2 {
				return
			}
		}
	}
}

var scaleChecks = []check{
	{name: "7000_descriptors", run: sevenThousand},
}

// sevenThousand watches that many descriptors of 70 files. Few are ready at first,
// then all.
func sevenThousand(h *home) {
	const count, files = 7000, 70
	h.raiseFileLimit(count + 1000)
	var sources []*descriptor
	for i := range count {
		if i < files {
			sources = append(sources, h.eventfd(0))
		} else {
			sources = append(sources, sources[i%files].dup())
		}
		h.add(sources[i].fd, backend.In, backend.Tag(i))
	}
	h.wait(0)
	sources[7].signal()
	h.collectAll("every hundredth", count/files, func(tag backend.Tag) bool { return tag%files == 7 })
	for _, s := range sources[:files] {
		s.signal()
	}
	h.collectAll("all", count, func(backend.Tag) bool { return true })
	for _, s := range sources {
		h.remove(s.fd)
	}
	h.quiet()
}

// collectAll waits until n different tags have been reported; each must be valid.
func (h *home) collectAll(what string, n int, valid func(backend.Tag) bool) {
	h.Helper()
	seen := make(map[backend.Tag]bool)
	for start := time.Now(); len(seen) < n; h.deadline(start, fmt.Sprintf("%s of %d, seen %d", what, n, len(seen))) {
		for _, r := range h.wait(time.Second) {
			if !valid(r.Tag) {
				h.Fatalf("%s: tag %d was reported", what, r.Tag)
			}
			seen[r.Tag] = true
		}
	}
}

// raiseFileLimit makes room for n descriptors, if the process may.
func (h *home) raiseFileLimit(n uint64) {
	h.Helper()
	var limit unix.Rlimit
	h.must("getrlimit", unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur >= n {
		return
	}
	if limit.Max < n {
		h.Skipf("skipped: needs %d descriptors, RLIMIT_NOFILE allows %d at most", n, limit.Max)
	}
	old := limit
	limit.Cur = n
	h.must("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	h.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
}
