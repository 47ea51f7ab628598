package bench

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var wakeScenario = Scenario{
	Scenario: report.Scenario{
		Name:       "wake",
		About:      "A producer on another CPU keeps busy for a gap, then notifies the loop. Time from the notification to the callback.",
		Params:     []string{"polling", "gap_us"},
		Sweep:      "gap_us",
		SweepLabel: "gap between events (µs)",
		Typical: []map[string]string{
			{"polling": "off", "gap_us": "20"},
			{"polling": "on", "gap_us": "20"},
		},
	},
	Short:  "from a notification on one CPU to the callback on another",
	Varied: "gap between events 0 to 10,000 µs; polling off and on (32 µs)",
	groups: wakeGroups,
}

// pollingMax is QEMU's default limit of adaptive polling.
const pollingMax = 32 * time.Microsecond

// gaps of the scenario wake, in microseconds.
var gaps = []int{0, 5, 20, 30, 200, 1000, 10000}

// quickGaps are those of a quick run.
var quickGaps = []int{0, 20, 1000}

const (
	noPollingNote = "has no polling: one measurement, listed under off and on"

	pollingNote = "polling on: up to 32 µs, and the loop learns for how long from when events arrive; polling qemu: the same limit, with QEMU's rule"

	// channelNote: with a timer slack of 1 ns for all threads, the same takes 40 µs where it
	// takes 97 otherwise.
	channelNote = "goroutine+channel: the sender goes on computing, so another thread has to take the receiver from it; the runtime lets that thread sleep for 3 µs first, in case the sender is about to block, and the kernel's timer slack makes at least 50 µs of them"

	blockingNote = "goroutine+channel blocking: neither pinned nor locked; the sender blocks after it has sent, and the runtime runs the receiver on the same thread; CPU time is not shown, because the sender uses it too"

	wakeNote = "CPU per event is that of the process without the producer's thread, which computes all the time"

	// sysmonNote: measured thread by thread, the loop's own share at a gap of 1 ms would
	// else be less than a tenth.
	sysmonNote = "thread mode: the producer computes, the loop has a P while it sleeps, and a third one is idle: without that one the Go runtime's monitor thread looks about ten times per millisecond after the thread that sleeps"
)

func wakeGroups() []group {
	var groups []group
	for _, us := range gaps {
		gap := param{"gap_us", fmt.Sprint(us)}
		g := group{scenario: "wake", label: "gap_us=" + gap.value, took: 600 * time.Millisecond}
		g.full = !slices.Contains(quickGaps, us)
		d := time.Duration(us) * time.Microsecond
		for _, row := range goRows() {
			g.cases = append(g.cases, wakeCases(row, gap, d)...)
		}
		g.cases = append(g.cases, blockingCase(gap, d))
		g.cases = append(g.cases, wakePeers(gap)...)
		groups = append(groups, g)
	}
	return groups
}

// wakePeers are listed under polling off and on, which they do not have. One-shot
// polls and level-triggered epoll differ by a system call, which does not show across CPUs.
func wakePeers(gap param) []testCase {
	rows := slices.Concat([]string{"gnet (Go)"}, loopPeers(),
		[]string{"futex (C)", "spin (C)", "ppoll+read (C)", "epoll-et (C)", "io_uring (C)"})
	cases := peerCases(rows, []param{{"polling", "off"}, gap}, pinnedApart, "-scenario", "wake", "-gap_us", gap.value)
	for i := range cases {
		c := &cases[i]
		c.again = [][]param{{{"polling", "on"}, gap}}
		c.notes = append(c.notes, wakeNote, noPollingNote)
	}
	return cases
}

// wakeCases are one for each setting of polling, except for rows that have none.
func wakeCases(row string, gap param, d time.Duration) []testCase {
	c := testCase{row: row, driver: elsewhere, aside: true, notes: []string{wakeNote}}
	c.params = []param{{"polling", "off"}, gap}
	c.setup = func(s *fixture) (runFunc, error) { return wakeSetup(s, row, d) }
	if !isBackend(row) {
		c.again = [][]param{{{"polling", "on"}, gap}}
		c.notes = append(c.notes, unlockedNote, noPollingNote)
		if row == GoroutineChannel {
			c.notes = append(c.notes, channelNote)
		}
		return []testCase{c}
	}
	c.notes = append(c.notes, pollingNote)
	settings := pollings
	if !isLocked(row) {
		c.notes = append(c.notes, unlockedNote)
		settings = pollings[:1]
	}
	cases := []testCase{c}
	for _, p := range settings {
		c.params = []param{{"polling", p.name}, gap}
		c.setup = func(s *fixture) (runFunc, error) { return wakeSetup(s, row, d, aio.WithPolling(p.polling)) }
		cases = append(cases, c)
	}
	return cases
}

// blockingCase is the channel as most programs use it: the sender waits for its answer on
// another channel, so that the runtime runs the receiver on the sender's thread.
func blockingCase(gap param, d time.Duration) testCase {
	c := testCase{row: GoroutineBlocking, params: []param{{"polling", "off"}, gap}, othersCompute: true}
	c.again = [][]param{{{"polling", "on"}, gap}}
	c.notes = []string{blockingNote, noPollingNote}
	c.setup = func(s *fixture) (runFunc, error) {
		a := &wakeRun{fixture: s, gap: d}
		answer := make(chan struct{}, 1)
		a.wake = s.channelWaker(1, func(int) { a.heard.Store(int64(now())); answer <- struct{}{} })
		a.listen = func() error { return s.await(answer) }
		return a.run, nil
	}
	return c
}

// pollings are the settings other than off. The rules differ in nothing that the mode of the
// loop has an influence on, so the second one is for thread mode only.
var pollings = []struct {
	name    string
	polling aio.Polling
}{
	{"on", aio.Polling{Max: pollingMax}},
	{"qemu", aio.Polling{Max: pollingMax, Rule: aio.PollQEMU}},
}

// wakeRun is what the producer and the loop share. Each writes lines of its own.
type wakeRun struct {
	fixture *fixture
	gap     time.Duration
	yield   bool
	wake    func(slot int)
	listen  func() error // waits for the callback
	_       [64]byte
	heard   atomic.Int64 // when the callback ran; 0: not yet
	_       [64]byte
}

func wakeSetup(s *fixture, row string, gap time.Duration, opts ...aio.Option) (runFunc, error) {
	if !isLocked(row) {
		s.confine()
	}
	a := &wakeRun{fixture: s, gap: gap}
	a.listen = a.look
	var err error
	a.wake, err = s.waker(row, atHome, 1, func(int) { a.heard.Store(int64(now())) }, opts...)
	switch a.yield = s.shareCPU(); {
	case !a.yield && isLocked(row):
		s.atLeastProcs(3)
		s.note(sysmonNote)
	case a.yield && row == Netpoller:
		s.note("netpoller: while any goroutine can run, here the producer, the runtime looks at its poller every 10 ms only")
	}
	return a.run, err
}

// run is the producer. It keeps its CPU busy for the gap, wakes the loop, and
// waits for the callback before the next gap begins.
func (a *wakeRun) run(b budget, rec *report.Recorder) (n int64, err error) {
	for at := now(); !b.spent(n, at); n++ {
		a.heard.Store(0)
		rang := at
		for rang-at < a.gap {
			rang = now()
		}
		a.wake(0)
		if err := a.listen(); err != nil {
			return n, err
		}
		rec.Record(time.Duration(a.heard.Load()) - rang)
		at = now()
	}
	return n, nil
}

// look reads what the callback writes until it has.
func (a *wakeRun) look() error {
	for turns := 1; a.heard.Load() == 0; turns++ {
		if a.yield {
			yield()
		}
		if turns%(1<<20) == 0 {
			if err := a.fixture.failure(); err != nil {
				return err
			}
		}
	}
	return nil
}
