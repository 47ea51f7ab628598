package bench

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var latenessScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "lateness",
		About:  "A timer is set for a while from now, nothing else happens, and its callback sets it again. Time from the moment at which it was due to its callback.",
		Params: []string{"polling", "after_us"},
		Typical: []map[string]string{
			{"polling": "off", "after_us": "50"},
			{"polling": "on", "after_us": "50"},
		},
	},
	Short:  "how late the callback of a timer runs",
	Varied: "set for 50 and 1,000 µs from now; polling off and on (100 µs)",
	groups: latenessGroups,
}

// exact is the variant whose thread asks the kernel for timers without a tolerance.
const exact = "exact"

const (
	// timerPolling is the limit of adaptive polling here: one that the shorter timers come within.
	timerPolling = 100 * time.Microsecond

	latenessNote = "polling on: up to 100 µs, and the loop learns for how long"

	exactNote = "exact: WithThread with a TimerSlack of 1 ns; a thread's default lets the kernel wake it up to 50 µs late. The timeouts of io_uring and, in park mode, a timerfd know no such tolerance"

	goTimerNote = "goroutine+channel: a time.Timer, whose channel is received from; while nothing else runs, Go's runtime sleeps for whole milliseconds, and at least one"

	timerfdNote = "netpoller: a goroutine reads a timerfd, which is armed again for each timer"

	// libuvIsEarly is why libuv takes no part.
	libuvIsEarly = "libuv is left out: its timers count whole milliseconds from the begin of an iteration, so that one is early by up to a millisecond"

	cLatenessNote = "ppoll+read (C): ppoll with a timeout and without a descriptor, with a timer slack of 1 ns"
)

func latenessGroups() []group {
	var groups []group
	for _, us := range []int{50, 1000} {
		after := param{"after_us", fmt.Sprint(us)}
		g := group{scenario: "lateness", label: "after_us=" + after.value, took: 450 * time.Millisecond}
		if us == 1000 {
			g.took *= 2 // there are fewer of them in the same time
		}
		d := time.Duration(us) * time.Microsecond
		for _, row := range goRows() {
			g.cases = append(g.cases, latenessCases(row, after, d)...)
		}
		g.cases = append(g.cases, latenessPeers(after)...)
		groups = append(groups, g)
	}
	return groups
}

// latenessCases are those of one row. What has no polling is listed under both settings.
func latenessCases(row string, after param, d time.Duration) []testCase {
	c := testCase{row: row, params: []param{{"polling", "off"}, after}}
	c.setup = func(s *fixture) (runFunc, error) { return latenessSetup(s, row, d) }
	if !isLocked(row) {
		c.notes = append(c.notes, unlockedNote)
	}
	switch row {
	case GoroutineChannel:
		c.notes = append(c.notes, goTimerNote, libuvIsEarly)
	case Netpoller:
		c.notes = append(c.notes, timerfdNote)
	}
	r, ok := loopRowOf(row)
	if !ok {
		c.again = [][]param{{{"polling", "on"}, after}}
		c.notes = append(c.notes, noPollingNote)
		return []testCase{c}
	}
	c.notes = append(c.notes, exactNote)
	if r.variant.name == exact {
		return []testCase{c}
	}
	c.notes = append(c.notes, latenessNote)
	on := c
	on.params = []param{{"polling", "on"}, after}
	on.setup = func(s *fixture) (runFunc, error) {
		return latenessSetup(s, row, d, aio.WithPolling(aio.Polling{Max: timerPolling}))
	}
	return []testCase{c, on}
}

func latenessPeers(after param) []testCase {
	rows := []string{"libev (C)", "glib (C)", "ppoll+read (C)"}
	cases := peerCases(rows, []param{{"polling", "off"}, after}, pinnedTogether, "-scenario", "lateness", "-gap_us", after.value)
	for i := range cases {
		c := &cases[i]
		c.again = [][]param{{{"polling", "on"}, after}}
		c.notes = append(c.notes, noPollingNote)
		if c.row == "ppoll+read (C)" {
			c.notes = append(c.notes, cLatenessNote)
		}
	}
	return cases
}

// latenessRun is a timer that sets itself again. Its fields belong to the callbacks while a
// run is under way, and to the driver otherwise.
type latenessRun struct {
	fixture *fixture
	after   time.Duration
	reset   func(time.Duration) error
	over    chan struct{}

	budget budget
	rec    *report.Recorder
	n      int64
	due    time.Duration
}

func latenessSetup(s *fixture, row string, after time.Duration, opts ...aio.Option) (runFunc, error) {
	l := &latenessRun{fixture: s, after: after, over: make(chan struct{}, 1)}
	if !isLocked(row) {
		s.confine()
	}
	var err error
	switch row {
	case GoroutineChannel:
		l.useGo()
	case Netpoller:
		err = l.useTimerfd()
	default:
		err = l.useLoop(row, opts)
	}
	return l.run, err
}

func (l *latenessRun) run(b budget, rec *report.Recorder) (int64, error) {
	l.budget, l.rec, l.n = b, rec, 0
	l.set()
	err := l.fixture.await(l.over)
	return l.n, err
}

// set sets the timer. It is due no earlier than said, because its clock is read later.
func (l *latenessRun) set() {
	l.due = now() + l.after
	if err := l.reset(l.after); err != nil {
		l.fixture.fail(err)
	}
}

// fired is the callback.
func (l *latenessRun) fired() {
	at := now()
	if at < l.due {
		l.fixture.fail(fmt.Errorf("a timer came %v before it was due", l.due-at))
		return
	}
	l.rec.Record(at - l.due)
	if l.n++; l.budget.spent(l.n, at) {
		l.over <- struct{}{}
		return
	}
	l.set()
}

func (l *latenessRun) useLoop(row string, opts []aio.Option) error {
	loop, err := openLoop(row, l.fixture.cpus, opts...)
	if err != nil {
		return err
	}
	l.reset = loop.NewTimer(aio.Realtime, l.fired).Reset
	l.fixture.runApart(row, atHome, loop)
	return nil
}

func (l *latenessRun) useGo() {
	timer, ended := time.NewTimer(distant), make(chan struct{})
	var stopped atomic.Bool
	go func() {
		defer close(ended)
		for range timer.C {
			if stopped.Load() {
				return
			}
			l.fired()
		}
	}()
	l.reset = func(d time.Duration) error { timer.Reset(d); return nil }
	l.fixture.atExit(func() error { stopped.Store(true); timer.Reset(0); <-ended; return nil })
}

func (l *latenessRun) useTimerfd() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	// The timerfd orders the two goroutines; armed lets the race detector know.
	var armed atomic.Int64
	l.reset = func(d time.Duration) error {
		armed.Store(int64(l.due))
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
		return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(fd, 0, &spec, nil))
	}
	l.fixture.readApart(os.NewFile(uintptr(fd), "timerfd"), func() {
		l.due = time.Duration(armed.Load())
		l.fired()
	})
	return nil
}
