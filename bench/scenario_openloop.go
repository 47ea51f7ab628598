package bench

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/bench/report"
)

var openLoopScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "open-loop",
		About:  "Events come at fixed times, whether or not the loop has handled the ones before. Time from the moment at which each was due to its callback, so that a stall counts for every event that it delays.",
		Params: []string{"period_us"},
	},
	Short:  "from when an event was due to its callback; events come at fixed times",
	Varied: "one event every 100 µs",
	groups: openLoopGroups,
}

const (
	openLoopPeriod = 100 * time.Microsecond

	// openLoopSlots is how many events may wait for their callbacks: those of 0.4 s. A longer
	// stall delays the producer, and the latency still counts from when each event was due.
	openLoopSlots = 4096

	openLoopNote = "the producer has a CPU of its own where there are two, and looks at the clock until an event is due; CPU per event is that of the process without the producer's thread"
)

func openLoopGroups() []group {
	params := []param{{"period_us", "100"}}
	g := group{scenario: "open-loop", label: "period_us=100", took: 600 * time.Millisecond}
	for _, row := range goRows() {
		c := testCase{row: row, params: params, driver: elsewhere, aside: true, notes: []string{openLoopNote}}
		c.setup = func(s *fixture) (runFunc, error) { return openLoopSetup(s, row, nil) }
		if !isLocked(row) {
			c.notes = append(c.notes, unlockedNote)
		}
		g.cases = append(g.cases, c)
	}
	return []group{g}
}

// openLoopRun is one producer and its consumer.
type openLoopRun struct {
	fixture *fixture
	yield   bool
	wake    func(slot int)
	slots   []openSlot
	handled atomic.Int64
	rec     *report.Recorder // belongs to the consumer while a run is under way
}

// openSlot is an event under way. The producer writes due while busy is false.
type openSlot struct {
	due  time.Duration
	busy atomic.Bool
}

// openLoopSetup calls stall, if it is not nil, at the begin of each callback.
func openLoopSetup(s *fixture, row string, stall func()) (runFunc, error) {
	if !isLocked(row) {
		s.confine()
	}
	o := &openLoopRun{fixture: s, slots: make([]openSlot, openLoopSlots), yield: s.shareCPU()}
	var err error
	o.wake, err = s.waker(row, atHome, openLoopSlots, func(slot int) {
		call(stall)
		o.handle(slot)
	})
	return o.run, err
}

// shareCPU reports whether a producer shares its CPU with the loop, and notes it.
func (s *fixture) shareCPU() bool {
	if s.cpus.other >= 0 && runtime.GOMAXPROCS(0) >= 2 {
		return false
	}
	s.note("the producer shares its CPU with the loop, and yields while it waits")
	return true
}

func (o *openLoopRun) handle(slot int) {
	event := &o.slots[slot]
	o.rec.Record(now() - event.due)
	event.busy.Store(false)
	o.handled.Add(1)
}

// run is the producer. It returns when the last event was handled.
func (o *openLoopRun) run(b budget, rec *report.Recorder) (n int64, err error) {
	o.rec = rec
	o.handled.Store(0)
	for due := now() + openLoopPeriod; !b.spent(n, due); due += openLoopPeriod {
		event := &o.slots[n%openLoopSlots]
		if err := o.wait(func() bool { return now() >= due && !event.busy.Load() }); err != nil {
			return n, err
		}
		event.due = due
		event.busy.Store(true)
		o.wake(int(n % openLoopSlots))
		n++
	}
	return n, o.wait(func() bool { return o.handled.Load() == n })
}

func (o *openLoopRun) wait(over func() bool) error {
	for turns := 1; !over(); turns++ {
		if o.yield {
			yield()
		}
		if turns%(1<<10) == 0 {
			if err := o.fixture.failure(); err != nil {
				return err
			}
		}
	}
	return nil
}

// yield lets other goroutines and other threads run.
func yield() {
	runtime.Gosched()
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
