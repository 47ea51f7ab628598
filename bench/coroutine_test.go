package bench

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// TestCoroutinesAllocateNothing where the package promises it: only Wait makes a function, and Go a
// part of an array of coroutines.
func TestCoroutinesAllocateNothing(t *testing.T) {
	if guest.Is() {
		t.Skip("TestEveryCaseRuns has them all, and the host is thorough")
	}
	fixProcs()
	where, err := chooseCPUs(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := newFileStore(t.TempDir())
	most := func(c *testCase) float64 {
		switch {
		case slices.Contains(c.params, param{"do", createFinish}):
			return 0.1
		case slices.Contains(c.params, param{"by", byWait}) && isBackend(c.row):
			return 3
		}
		return 0
	}
	for _, g := range coroutineGroups() {
		for _, c := range g.cases {
			if _, ok := anyLoopRow(c.row); !ok {
				continue // not ours
			}
			t.Run(c.name(), func(t *testing.T) {
				if err := possible(&g, &c, files); err != nil {
					t.Skip(err)
				}
				tl := newTally(&c)
				tl.files = files
				if err := tl.round(&c, where, phase{ops: 2000}, report.NewRecorder()); err != nil {
					t.Fatal(err)
				}
				// Each run starts its coroutines, and the runtime allocates now and then.
				const some = 0.1
				if got := float64(tl.allocs) / float64(tl.ops); got > most(&c)+some {
					t.Errorf("%v allocations for each operation, want at most %v", got, most(&c))
				}
			})
		}
	}
}

// TestFailedEventEndsItsRun: what cannot begin, or fails, is an error of the row, in each form, and
// no run waits for it.
func TestFailedEventEndsItsRun(t *testing.T) {
	boom := errors.New("boom")
	for name, form := range map[string]form{"wait": (*waitRun).byWait, "wake": (*waitRun).byWake, "callback": (*waitRun).inCallbacks} {
		for _, begins := range []bool{true, false} {
			events := func(_ *fixture, loop *aio.Context) ([]*event, error) {
				return []*event{failing(loop, begins, boom), newHalf(loop)[0]}, nil
			}
			c := onOneThread("ppoll", nil, func(s *fixture) (runFunc, error) { return waitSetup(s, "ppoll", events, form) })
			err := newTally(&c).round(&c, cpus{-1, -1}, phase{ops: 50}, report.NewRecorder())
			if !errors.Is(err, boom) {
				t.Errorf("%s: it begins: %v, and the error is %v", name, begins, err)
			}
		}
	}
}

// failing is an event that fails when it begins, or at its end.
func failing(loop *aio.Context, begins bool, err error) *event {
	e := newHalf(loop)[0]
	begin, await := e.begin, e.await
	e.begin = func() error {
		if !begins {
			return err
		}
		e.err = err
		return begin()
	}
	e.await = func(end func()) {
		if e.err = err; begins {
			await(end)
			return
		}
		end()
	}
	return e
}

// TestMeter: samples are means of a hundred, and of what is left of a number.
func TestMeter(t *testing.T) {
	count := func(b budget, underWay int) (begun int, samples int64) {
		var m meter
		rec := report.NewRecorder()
		rec.Reset()
		m.start(b, rec)
		for range underWay {
			if m.more() {
				begun++
			}
		}
		for m.done < m.begun {
			if m.over(); m.more() {
				begun++
			}
		}
		return begun, rec.N()
	}
	for _, c := range []struct {
		ops, samples int64
		underWay     int
	}{{1, 1, 1}, {1, 1, 16}, {100, 1, 16}, {101, 2, 1}, {250, 3, 16}} {
		if begun, samples := count(budget{ops: c.ops}, c.underWay); int64(begun) != c.ops || samples != c.samples {
			t.Errorf("%+v: %d begun, %d samples", c, begun, samples)
		}
	}
	past := budget{until: now() - time.Second, least: 150}
	if begun, samples := count(past, 16); begun < 150 || begun > 200+16 || samples != int64(begun/selfBatch) {
		t.Errorf("until a time: %d begun, %d samples", begun, samples)
	}
}

// TestCoroutineRows: each row that waits stands beside the same in a callback.
func TestCoroutineRows(t *testing.T) {
	for _, g := range coroutineGroups() {
		var rows []string
		for _, c := range g.cases {
			rows = append(rows, c.row)
		}
		for _, row := range rows {
			floors := coroutineScenario.Floors[row]
			if g.label != "do="+handOver && isBackend(row) && !slices.ContainsFunc(floors, func(f string) bool { return slices.Contains(rows, f) }) {
				t.Errorf("%v: %s has no floor of %q", g, row, floors)
			}
		}
	}
	for _, row := range coroutineRows() {
		if r := describeRow(row); r.Name != row || r.Colour == "" || r.Kind == report.Own {
			t.Errorf("%s: %+v", row, r)
		}
	}
}
