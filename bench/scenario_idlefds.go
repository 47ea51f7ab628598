package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var idleFDsScenario = Scenario{
	Scenario: report.Scenario{
		Name:       "idle-fds",
		About:      "One busy file descriptor among many on which nothing happens. Time from making it ready to the end of its handler.",
		Params:     []string{"idle_fds"},
		Sweep:      "idle_fds",
		SweepLabel: "idle file descriptors",
		Typical: []map[string]string{
			{"idle_fds": "8192"},
		},
	},
	Short:  "self-notifier beside descriptors on which nothing happens",
	Varied: "1 to 100,000 idle descriptors",
	groups: idleFDsGroups,
}

var idleCounts = []int{1, 8, 64, 512, 1024, 4096, 8192, 100_000}

// quickIdle are those of a quick run.
var quickIdle = []int{1, 64, 8192}

// idleSpare is how many descriptors a process needs beside the idle ones.
const idleSpare = 64

// manyIdle is from how many descriptors on an operation that looks at each of them
// takes so long that rows of that kind would take minutes.
const manyIdle = 100_000

// bytesPerFD is the figure of how much memory a registered descriptor takes in the
// program, the kernel's share not counted.
const bytesPerFD = "bytes/fd"

func idleParam(n int) param { return param{"idle_fds", fmt.Sprint(n)} }

func idleFDsGroups() []group {
	var groups []group
	for _, n := range idleCounts {
		p := idleParam(n)
		if why := fewFiles(n); why != "" {
			return append(groups, group{scenario: "idle-fds", label: "idle_fds=" + p.value + " and more", refused: why, full: n > slices.Max(quickIdle)})
		}
		g := group{scenario: "idle-fds", label: "idle_fds=" + p.value, took: 600 * time.Millisecond}
		g.full = !slices.Contains(quickIdle, n)
		for _, row := range append(Backends(), Netpoller) {
			g.cases = append(g.cases, idleCase(row, p, n))
		}
		g.cases = append(g.cases, idlePeers(p, n)...)
		groups = append(groups, g)
	}
	return groups
}

func idleCase(row string, p param, n int) testCase {
	c := testCase{row: row, params: []param{p}, driver: driverOf(row)}
	c.setup = func(s *fixture) (runFunc, error) { return selfNotifier(s, row, n) }
	if !isLocked(row) {
		c.notes = append(c.notes, unlockedNote)
	}
	if row == Netpoller {
		c.notes = append(c.notes, netpollerNote+"; the idle descriptors are in the poller as well")
	}
	return c
}

// idlePeers leaves out those that look at every descriptor where there are very many;
// ppoll, which is a backend of the library, stays.
func idlePeers(p param, n int) []testCase {
	rows := append(loopPeers(), "ppoll+read (C)", "epoll-et (C)", "io_uring (C)")
	if n >= manyIdle {
		rows = slices.DeleteFunc(rows, func(row string) bool { return row == "glib (C)" })
	}
	cases := peerCases(rows, []param{p}, pinnedTogether, "-scenario", "self-notifier", "-idle", p.value)
	for i := range cases {
		cases[i].notes = append(cases[i].notes, idlePeerNote)
	}
	return cases
}

const idlePeerNote = "GLib, which looks at every descriptor, is left out from 100000 on"

// lowFiles is a limit of open files that was set on purpose.
const lowFiles = 1024

// raiseFiles asks for as many open files as the scenario needs, which root may get.
var raiseFiles = sync.OnceFunc(func() {
	var limit unix.Rlimit
	want := uint64(idleCounts[len(idleCounts)-1] + idleSpare)
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur >= lowFiles && limit.Cur < want {
		limit.Cur, limit.Max = want, max(limit.Max, want)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) // fewFiles sees what came of it
	}
})

// fewFiles is why so many descriptors cannot be opened, or empty.
func fewFiles(n int) string {
	raiseFiles()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || uint64(n+idleSpare) <= limit.Cur {
		return ""
	}
	return fmt.Sprintf("the limit of open files (RLIMIT_NOFILE) is %d; raise it with `ulimit -n` (LimitNOFILE= in systemd)", limit.Cur)
}

// selfNotifier sets an event notifier and polls until its handler has run, beside
// a number of idle descriptors.
func selfNotifier(s *fixture, row string, idle int) (runFunc, error) {
	if row == Netpoller {
		return selfNetpoller(s, idle)
	}
	loop, err := s.loopHere(row)
	if err != nil {
		return nil, err
	}
	if err := s.idleHandlers(loop, idle); err != nil {
		return nil, err
	}
	var runs, sets int64
	bell, err := aio.NewEventNotifier()
	if err != nil {
		return nil, err
	}
	s.atExit(bell.Close)
	h, err := loop.WatchNotifier(bell, aio.Callbacks{Read: func(*aio.Handler) { runs++ }})
	if err != nil {
		return nil, err
	}
	s.atExit(h.Close)
	return batched(1, &runs, func() error {
		sets++
		err := bell.Set()
		for runs < sets && err == nil {
			_, err = loop.Poll()
		}
		return err
	}), nil
}

// idleHandlers watches n descriptors on which nothing happens, and says what memory
// that takes.
func (s *fixture) idleHandlers(loop *aio.Context, n int) error {
	fds, handlers := make([]int, 0, n), make([]*aio.Handler, 0, n)
	s.atExit(func() (err error) {
		for i, h := range slices.Backward(handlers) {
			err = errors.Join(err, h.Close(), unix.Close(fds[i]))
		}
		return err
	})
	cb := aio.Callbacks{Read: func(*aio.Handler) { s.fail(errors.New("an idle descriptor became ready")) }}
	before := heapInUse()
	for range n {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("idle descriptor: %w", err)
		}
		h, err := loop.Watch(fd, cb)
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		fds, handlers = append(fds, fd), append(handlers, h)
	}
	if n >= enoughForMemory {
		s.figure(bytesPerFD, float64(heapInUse()-before)/float64(n))
	}
	return nil
}

// enoughForMemory is from how many on the rest of the process does not weigh.
const enoughForMemory = 512

// heapInUse is what lives on the heap after a collection, in bytes.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// selfNetpoller does the same with a goroutine that is parked in the poller of the
// runtime. A read on the writing goroutine would find the eventfd readable and
// never come to the poller.
func selfNetpoller(s *fixture, idle int) (runFunc, error) {
	s.confine()
	for range idle {
		file, _, err := eventfdFile()
		if err != nil {
			return nil, fmt.Errorf("idle descriptor: %w", err)
		}
		s.atExit(file.Close)
	}
	var runs int64
	ran := make(chan struct{}, 1)
	fd, err := s.reader(func() { runs++; ran <- struct{}{} })
	return batched(1, &runs, func() error {
		setEventfd(fd)
		return s.await(ran)
	}), err
}
