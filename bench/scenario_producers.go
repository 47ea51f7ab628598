package bench

import (
	"fmt"
	"sync"
	"time"

	"github.com/aioloop/aioloop/bench/report"
)

var producersScenario = Scenario{
	Scenario: report.Scenario{
		Name:       "producers",
		About:      "Several goroutines schedule bottom halves on one loop at the same time. Time from scheduling to the callback.",
		Params:     []string{"pinned", "producers"},
		Sweep:      "producers",
		SweepLabel: "producers (goroutines)",
		Typical: []map[string]string{
			{"pinned": "yes", "producers": "8"},
		},
	},
	Short:  "from scheduling to the callback, several goroutines in parallel",
	Varied: "1, 2, 4, 8 goroutines; all on one CPU, and free",
	groups: producersGroups,
}

func producersGroups() []group {
	var groups []group
	for _, pinned := range []string{"yes", "no"} {
		for _, n := range []int{1, 2, 4, 8} {
			pin, count := param{"pinned", pinned}, param{"producers", fmt.Sprint(n)}
			g := group{scenario: "producers", label: "pinned=" + pinned + " producers=" + count.value, took: 500 * time.Millisecond}
			g.full = n == 4 || n == 2
			for _, row := range goRows() {
				g.cases = append(g.cases, producersCase(row, []param{pin, count}, n, pinned == "yes"))
			}
			groups = append(groups, g)
		}
	}
	return groups
}

func producersCase(row string, params []param, n int, pinned bool) testCase {
	c := testCase{row: row, params: params, notes: append(freeNotes(), producersNote)}
	c.setup = func(s *fixture) (runFunc, error) {
		if pinned {
			s.confine()
			return producersSetup(s, row, atHome, n)
		}
		return producersSetup(s, row, anywhere, n)
	}
	return c
}

const producersNote = "each goroutine waits on a channel until its callback has run, then schedules again; with pinned=yes all threads of the process are on one CPU"

// producers are producers and their one consumer.
type producers struct {
	fixture *fixture
	wake    func(slot int)
	callers []caller
	ended   sync.WaitGroup
	rec     *report.Recorder // belongs to the consumer while a run is under way
}

// caller is one producer. The callback reads at, which no one writes until it has
// answered.
type caller struct {
	at     time.Duration
	answer chan struct{}
	begin  chan budget // to the goroutine, and back what it has done
	done   chan int64
	_      [64]byte
}

func producersSetup(s *fixture, row string, at pinning, n int) (runFunc, error) {
	c := &producers{fixture: s, callers: make([]caller, n)}
	for i := range c.callers {
		c.callers[i] = caller{answer: make(chan struct{}, 1), begin: make(chan budget, 1), done: make(chan int64, 1)}
	}
	var err error
	if c.wake, err = s.waker(row, at, n, c.handle); err != nil {
		return nil, err
	}
	for i := range c.callers {
		c.ended.Go(func() { c.work(i) })
	}
	s.atExit(c.dismiss)
	return c.run, nil
}

func (c *producers) dismiss() error {
	for i := range c.callers {
		close(c.callers[i].begin)
	}
	c.ended.Wait()
	return nil
}

func (c *producers) handle(slot int) {
	from := &c.callers[slot]
	c.rec.Record(now() - from.at)
	from.answer <- struct{}{}
}

// run divides the budget among the producers.
func (c *producers) run(b budget, rec *report.Recorder) (total int64, err error) {
	c.rec = rec
	n := int64(len(c.callers))
	share := func(whole, i int64) int64 { return whole*(i+1)/n - whole*i/n }
	for i := range n {
		own := b
		own.ops, own.least = share(b.ops, i), share(b.least, i)
		own.none = b.ops > 0 && own.ops == 0 // fewer operations than producers
		c.callers[i].begin <- own
	}
	for i := range c.callers {
		total += <-c.callers[i].done
	}
	return total, c.fixture.failure()
}

// work is the goroutine of a producer.
func (c *producers) work(slot int) {
	for b := range c.callers[slot].begin {
		c.callers[slot].done <- c.produce(slot, b)
	}
}

func (c *producers) produce(slot int, b budget) (n int64) {
	me := &c.callers[slot]
	for me.at = now(); !b.spent(n, me.at); n++ {
		me.at = now()
		c.wake(slot)
		if c.fixture.await(me.answer) != nil {
			return n
		}
	}
	return n
}
