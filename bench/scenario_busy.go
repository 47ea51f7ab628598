package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/bench/report"
)

var busyScenario = Scenario{
	Scenario: report.Scenario{
		Name:   "busy",
		About:  "Another loop, a goroutine or another process wakes a loop and is answered, while goroutines compute without a break, or the garbage collector works. Time of a round trip.",
		Params: []string{"from", "gomaxprocs", "computing"},
		Typical: []map[string]string{
			{"from": "loop", "gomaxprocs": "4", "computing": "2"},
			{"from": "goroutine", "gomaxprocs": "4", "computing": "2"},
			{"from": "process", "gomaxprocs": "4", "computing": "2"},
		},
	},
	Short:  "round trip to a loop from another loop, a goroutine or a process, while others compute",
	Varied: "GOMAXPROCS 1, 2, 4; 0, 1, 2 goroutines that compute, or the garbage collector",
	groups: busyGroups,
}

const busyNote = "nice: the loop's thread has the nice value -20 and stays on one CPU (WithThread), which two loops share; computing gc: nothing computes, but the garbage collector runs all the time; nothing else is pinned; CPU time is not shown, because the others use all of it"

// Who wakes the loop, and waits for its answer.
const (
	fromLoop      = "loop"      // another loop
	fromGoroutine = "goroutine" // an ordinary goroutine, and a channel back
	fromProcess   = "process"   // another process: cat(1) with two pipes
)

// busySettings are the numbers of Ps and of goroutines that compute beside it.
var busySettings = []struct{ procs, computing string }{
	{"1", "0"}, {"2", "0"}, {"2", "1"}, {"2", "2"}, {"4", "2"}, {"4", "gc"},
}

func busyGroups() []group {
	var groups []group
	for _, from := range []string{fromLoop, fromGoroutine, fromProcess} {
		for _, b := range busySettings {
			params := []param{{"from", from}, {"gomaxprocs", b.procs}, {"computing", b.computing}}
			g := group{scenario: "busy", label: fmt.Sprintf("from=%s gomaxprocs=%s computing=%s", from, b.procs, b.computing), took: 300 * time.Millisecond}
			g.full = b.procs != "4" || b.computing != "2" // a round trip may take many milliseconds
			for _, row := range busyRows(from) {
				c := testCase{row: row, params: params, othersCompute: true, notes: []string{busyNote}}
				c.setup = func(s *fixture) (runFunc, error) { return busySetup(s, row, from, b.procs, b.computing) }
				g.cases = append(g.cases, c)
			}
			groups = append(groups, g)
		}
	}
	return groups
}

func busyRows(from string) []string {
	if from == fromLoop {
		return goRows()
	}
	return Backends()
}

func busySetup(s *fixture, row, from, procs, computing string) (runFunc, error) {
	var n int
	if _, err := fmt.Sscan(procs, &n); err != nil {
		return nil, err
	}
	before := runtime.GOMAXPROCS(n)
	s.atExit(func() error { runtime.GOMAXPROCS(before); return nil })
	s.keepBusy(computing)
	switch from {
	case fromGoroutine:
		return s.question(row)
	case fromProcess:
		return s.echo(row)
	}
	return s.roundTrips(func(handle func(int)) (func(int), error) { return s.waker(row, anywhere, 1, handle) })
}

// keepBusy starts what computes beside it.
func (s *fixture) keepBusy(computing string) {
	var over atomic.Bool
	var computers sync.WaitGroup
	switch computing {
	case "gc":
		computers.Go(func() { collect(&over) })
	case "1":
		computers.Go(func() { compute(&over) })
	case "2":
		computers.Go(func() { compute(&over) })
		computers.Go(func() { compute(&over) })
	}
	s.atExit(func() error { over.Store(true); computers.Wait(); return nil })
}

// compute does not stop by itself, and calls nothing that would give the CPU away.
func compute(over *atomic.Bool) {
	for x := uint64(1); !over.Load(); {
		for range 1000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if x == 0 { // never: keeps the compiler from dropping the loop
			panic("impossible")
		}
	}
}

// collect has the garbage collector mark 20 MB of pointers again and again.
func collect(over *atomic.Bool) {
	type node struct{ left, right *node }
	var grow func(depth int) *node
	grow = func(depth int) *node {
		if depth == 0 {
			return &node{}
		}
		return &node{grow(depth - 1), grow(depth - 1)}
	}
	heap := grow(19)
	for !over.Load() {
		runtime.GC()
	}
	runtime.KeepAlive(heap)
}

// question is a goroutine that wakes the loop and waits for its answer.
func (s *fixture) question(row string) (runFunc, error) {
	answer := make(chan struct{}, 1)
	wake, err := s.waker(row, anywhere, 1, func(int) { answer <- struct{}{} })
	if err != nil {
		return nil, err
	}
	return func(b budget, rec *report.Recorder) (n int64, err error) {
		for last := now(); !b.spent(n, last); n++ {
			wake(0)
			if err := s.await(answer); err != nil {
				return n, err
			}
			at := now()
			rec.Record(at - last)
			last = at
		}
		return n, nil
	}, nil
}

// echo is a loop that sends a byte to another process and gets it back.
func (s *fixture) echo(row string) (runFunc, error) {
	cat := exec.Command("cat")
	theirs, ours, err := pipes()
	if err != nil {
		return nil, err
	}
	cat.Stdin, cat.Stdout = theirs[0], theirs[1]
	err = cat.Start()
	_ = errors.Join(theirs[0].Close(), theirs[1].Close())
	if err != nil {
		return nil, errors.Join(err, unix.Close(ours[0]), unix.Close(ours[1]))
	}
	s.atExit(func() error { return errors.Join(cat.Wait(), unix.Close(ours[0])) })
	s.atExit(func() error { return unix.Close(ours[1]) }) // first: cat sees the end
	e := &echo{in: ours[0], out: ours[1], over: make(chan struct{}, 1)}
	wake, err := s.echoWaker(row, e)
	if err != nil {
		return nil, err
	}
	return func(b budget, rec *report.Recorder) (int64, error) {
		e.budget, e.rec, e.n, e.started = b, rec, 0, false
		wake()
		err := s.await(e.over)
		return e.n, err
	}, nil
}

// pipes returns the ends of two pipes for a child, and the other ends of them.
func pipes() (theirs [2]*os.File, ours [2]int, err error) {
	var to, from [2]int
	if err = unix.Pipe2(to[:], unix.O_CLOEXEC); err != nil {
		return theirs, ours, os.NewSyscallError("pipe2", err)
	}
	if err = unix.Pipe2(from[:], unix.O_CLOEXEC); err != nil {
		return theirs, ours, errors.Join(os.NewSyscallError("pipe2", err), unix.Close(to[0]), unix.Close(to[1]))
	}
	theirs = [2]*os.File{os.NewFile(uintptr(to[0]), "stdin"), os.NewFile(uintptr(from[1]), "stdout")}
	return theirs, [2]int{from[0], to[1]}, nil
}

// echo counts round trips. Its fields belong to the loop while a run is under way,
// and to the driver otherwise.
type echo struct {
	in, out int
	over    chan struct{}

	budget  budget
	rec     *report.Recorder
	n       int64
	started bool
	last    time.Duration
}

func (e *echo) throw() {
	e.started, e.last = true, now()
	_, _ = unix.Write(e.out, []byte{1})
}

func (e *echo) caught(*aio.Handler) {
	var b [8]byte
	_, _ = unix.Read(e.in, b[:])
	at := now()
	e.rec.Record(at - e.last)
	if e.n++; e.budget.spent(e.n, at) {
		e.over <- struct{}{}
		return
	}
	e.throw()
}

// echoWaker runs a loop that throws when it is woken, and whenever it has caught.
func (s *fixture) echoWaker(row string, e *echo) (wake func(), err error) {
	loop, err := openLoop(row, s.cpus)
	if err != nil {
		return nil, err
	}
	handler, err := loop.Watch(e.in, aio.Callbacks{Read: e.caught})
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	throw := loop.NewBottomHalf(e.throw)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s.start(anywhere, func() { ended <- s.runLoop(ctx, loop) })
	s.atExit(func() error { err := handler.Close(); cancel(); return errors.Join(err, <-ended) })
	return func() { _ = throw.Schedule() }, nil
}
