package bench

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aioloop/aioloop/bench/report"
	"github.com/aioloop/aioloop/internal/testkit/guest"
)

// Each benchmark runs one scenario and has one sub-benchmark for each case; with -short
// for the first case only, because TestEveryCaseRuns has them all. The figures to look at
// are p50-ns and p99-ns, or p50-ns-mean100 of means: ns/op is what one event costs in time including the gap before it.

func BenchmarkWake(b *testing.B)         { benchmark(b, "wake") }
func BenchmarkOpenLoop(b *testing.B)     { benchmark(b, "open-loop") }
func BenchmarkLateness(b *testing.B)     { benchmark(b, "lateness") }
func BenchmarkPingpong(b *testing.B)     { benchmark(b, "pingpong") }
func BenchmarkMainloop(b *testing.B)     { benchmark(b, "mainloop") }
func BenchmarkSelfBH(b *testing.B)       { benchmark(b, "self-bh") }
func BenchmarkSelfNotifier(b *testing.B) { benchmark(b, "self-notifier") }
func BenchmarkSelfTimer(b *testing.B)    { benchmark(b, "self-timer") }
func BenchmarkCoroutine(b *testing.B)    { benchmark(b, "coroutine") }
func BenchmarkIdleFDs(b *testing.B)      { benchmark(b, "idle-fds") }
func BenchmarkProducers(b *testing.B)    { benchmark(b, "producers") }
func BenchmarkTimers(b *testing.B)       { benchmark(b, "timers") }
func BenchmarkContexts(b *testing.B)     { benchmark(b, "contexts") }
func BenchmarkBusy(b *testing.B)         { benchmark(b, "busy") }
func BenchmarkFileRead(b *testing.B)     { benchmark(b, fileRead) }
func BenchmarkFileWrite(b *testing.B)    { benchmark(b, fileWrite) }
func BenchmarkFileDirect(b *testing.B)   { benchmark(b, fileDirect) }

func benchmark(b *testing.B, scenario string) {
	fixProcs()
	where, err := chooseCPUs(nil)
	if err != nil {
		b.Fatal(err)
	}
	groups, err := plan([]string{scenario}, nil)
	if err != nil {
		b.Fatal(err)
	}
	files := newFileStore(b.TempDir())
	for _, g := range groups {
		for _, c := range g.cases {
			b.Run(c.name(), func(b *testing.B) { benchmarkCase(b, &g, &c, where, files) })
			if testing.Short() {
				return
			}
		}
	}
}

func benchmarkCase(b *testing.B, g *group, c *testCase, where cpus, files *fileStore) {
	if err := possible(g, c, files); err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	b.StopTimer()
	t := newTally(c)
	t.files = files
	p := phase{warm: 5 * time.Millisecond, ops: int64(b.N)}
	p.begin = func() { b.ResetTimer(); b.StartTimer() }
	p.end = b.StopTimer
	if err := t.round(c, where, p, report.NewRecorder()); err != nil {
		b.Fatal(err)
	}
	if t.ops != int64(b.N) && !(c.outside && t.ops > int64(b.N)) { // peers do whole batches
		b.Fatalf("%d operations instead of %d", t.ops, b.N)
	}
	of := ""
	if c.batch > 1 {
		of = fmt.Sprintf("-mean%d", c.batch)
	}
	b.ReportMetric(float64(t.rec.Percentile(50)), "p50-ns"+of)
	if t.rec.N() >= report.SamplesP99 {
		b.ReportMetric(float64(t.rec.Percentile(99)), "p99-ns"+of)
	}
}

// possible is why a case cannot run here, or nil.
func possible(g *group, c *testCase, files *fileStore) error {
	if err := Available(c.row); err != nil {
		return err
	}
	if g.needs == nil {
		return nil
	}
	return g.needs(files)
}

// TestEveryCaseRuns keeps every scenario, row and parameter from rotting. It checks
// what must hold at any size; at this one, no figure means anything.
func TestEveryCaseRuns(t *testing.T) {
	fixProcs()
	where, err := chooseCPUs(nil)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := plan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := newFileStore(t.TempDir())
	n := 0
	ran := map[string]bool{}
	for _, g := range groups {
		for _, c := range g.cases {
			if _, ok := fioOf(c.row); ok { // it takes a third of a second to start, and depths are numbers to it
				if ran[g.scenario+c.row] {
					continue
				}
				ran[g.scenario+c.row] = true
			}
			if n++; !guest.Runs(n, 6) {
				continue
			}
			if guest.Is() && slices.Contains(c.params, idleParam(manyIdle)) {
				continue // an emulated Linux 5.10 takes minutes to close so many on io_uring
			}
			t.Run(g.scenario+"/"+c.name(), func(t *testing.T) { smoke(t, &g, &c, where, files) })
		}
	}
}

func smoke(t *testing.T, g *group, c *testCase, where cpus, files *fileStore) {
	if err := possible(g, c, files); err != nil {
		t.Skip(err)
	}
	ops := int64(23) // not a multiple of any batch or number of producers
	if g.full || guest.Is() {
		ops = 3 // others of the scenario, or the host, are thorough
	}
	tl := newTally(c)
	tl.files = files
	if err := tl.round(c, where, phase{ops: ops}, report.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	r := &report.Report{Results: tl.results(g.scenario, c)}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	if tl.ops != ops && !(c.outside && tl.ops > ops) || tl.rec.N() == 0 || tl.rec.Clamped() > 0 {
		t.Errorf("%d operations, %d samples, %d outside the range", tl.ops, tl.rec.N(), tl.rec.Clamped())
	}
}

// A loop that fails ends the waiting for it.
func TestBrokenSiteIsAnError(t *testing.T) {
	boom := errors.New("boom")
	for _, setup := range map[string]func(*fixture) (runFunc, error){
		"wake": func(s *fixture) (runFunc, error) {
			a := &wakeRun{fixture: s, wake: func(int) { s.fail(boom) }}
			a.listen = a.look
			return a.run, nil
		},
		"pingpong": func(s *fixture) (runFunc, error) {
			r := &roundTrips{fixture: s, over: make(chan struct{}), serve: func(int) { s.fail(boom) }}
			return r.run, nil
		},
		"producers": func(s *fixture) (runFunc, error) {
			run, err := producersSetup(s, GoroutineChannel, anywhere, 2)
			s.fail(boom)
			return run, err
		},
	} {
		c := testCase{row: "test", setup: setup}
		err := newTally(&c).round(&c, cpus{-1, -1}, phase{ops: 1}, report.NewRecorder())
		if !errors.Is(err, boom) {
			t.Error(err)
		}
	}
}

// A timer that comes before it is due would make its row too good.
func TestEarlyTimerIsAnError(t *testing.T) {
	for _, early := range []bool{true, false} {
		c := testCase{row: "test", setup: func(s *fixture) (runFunc, error) {
			l := &latenessRun{fixture: s, after: time.Hour, over: make(chan struct{}, 1)}
			l.reset = func(time.Duration) error {
				if !early {
					l.due = now()
				}
				l.fired()
				return nil
			}
			return l.run, nil
		}}
		err := newTally(&c).round(&c, cpus{-1, -1}, phase{ops: 1}, report.NewRecorder())
		if early != (err != nil) {
			t.Errorf("early is %v, and the error %v", early, err)
		}
	}
}

// A callback that does not run once per operation makes the figures worthless.
func TestBatchesCountTheirRuns(t *testing.T) {
	var runs int64
	run := batched(10, &runs, func() error {
		if runs < 7 {
			runs++
		}
		return nil
	})
	if _, err := run(budget{ops: 10}, report.NewRecorder()); err == nil {
		t.Error("three missing runs were not noticed")
	}
}

func TestUnpinnedIsSaid(t *testing.T) {
	c := testCase{row: "test", driver: elsewhere, setup: func(*fixture) (runFunc, error) {
		return func(b budget, rec *report.Recorder) (int64, error) { rec.Record(1); return 1, nil }, nil
	}}
	tl := newTally(&c)
	if err := tl.round(&c, cpus{0, -1}, phase{ops: 1}, report.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	if want := "not pinned: this process may use one CPU only"; fmt.Sprint(tl.notes) != "["+want+"]" {
		t.Errorf("notes are %q, want %q", tl.notes, want)
	}
}
