package mainloop

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

// phasesOf returns the four phases of m as functions that can only fail.
func phasesOf(m *MainContext) []func() error {
	fds := []PollFD{{Fd: -1}}
	return []func() error{
		func() error { _, err := m.Prepare(); return err },
		func() (err error) {
			got, err := m.Query(nil)
			if err == nil {
				fds = got
			}
			return err
		},
		func() error { _, err := m.Check(fds); return err },
		func() error { _, err := m.Dispatch(); return err },
	}
}

func TestPhasesComeInOrder(t *testing.T) {
	m := openMain(t)
	must(t, m.Acquire())
	phases := phasesOf(m)
	for round := range 3 {
		for next := range phases {
			for wrong, phase := range phases {
				if wrong != next {
					if err := phase(); err != ErrPhase {
						t.Fatalf("round %d: phase %d instead of %d: %v", round, wrong, next, err)
					}
				}
			}
			if next > 0 {
				_, err := m.TryIterate()
				wantError(t, err, ErrPhase)
			}
			must(t, phases[next]())
		}
	}
	must(t, m.Release())
}

func TestPhasesBelongToTheOwner(t *testing.T) {
	m := openMain(t)
	for _, phase := range phasesOf(m) {
		wantError(t, phase(), ErrNotOwner)
	}
	must(t, m.Acquire())
	elsewhere(func() {
		for _, phase := range phasesOf(m) {
			if err := phase(); err != ErrNotOwner {
				t.Errorf("from another goroutine: %v", err)
			}
		}
	})
	must(t, m.Release())
	must(t, m.Close())
	for _, phase := range phasesOf(m) {
		wantError(t, phase(), ErrClosed)
	}
}

// A foreign loop has descriptors of its own around those of the MainContext.
func TestForeignLoop(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		must(t, NewAIOSource("aio", c).Attach(m))
		own, ran := openEvent(t), 0
		try(t, m) // takes notice of the new source
		must(t, m.Acquire())
		defer m.Release()
		for round := range 20 {
			timeout, err := m.Prepare()
			must(t, err)
			if timeout >= 0 {
				t.Fatalf("timeout %v with nothing to do", timeout)
			}
			fds, err := m.Query([]PollFD{{Fd: int32(own), Events: unix.POLLIN}})
			must(t, err)
			if fds[0].Fd != int32(own) {
				t.Fatal("Query did not append")
			}
			if round%2 == 0 {
				setEvent(t, own)
			} else {
				go c.ScheduleOnce(func() { ran++ })
			}
			n, err := sys.PpollFor(fds, patience)
			must(t, err)
			ready, err := m.Check(fds[1:])
			must(t, err)
			if isOwn := fds[0].Revents != 0; n != 1 || ready == isOwn || isOwn != (round%2 == 0) {
				t.Fatalf("round %d: n %d, ready %v, own %#x", round, n, ready, fds[0].Revents)
			}
			clearEvent(own)
			progress, err := m.Dispatch()
			must(t, err)
			if progress != ready || ran != (round+1)/2 {
				t.Fatalf("round %d: progress %v, %d ran", round, progress, ran)
			}
		}
	})
}

// Check finds the answers for the descriptors of a source, whatever Query was given.
func TestForeignLoopWithDescriptorsInFront(t *testing.T) {
	m, fd, ran := openMain(t), openEvent(t), 0
	s := openSource(t, m, "event", Funcs{Dispatch: func() bool { ran++; clearEvent(fd); return true }})
	f, err := s.AddFD(fd, unix.POLLIN)
	must(t, err)
	try(t, m)
	must(t, m.Acquire())
	defer m.Release()
	for front := range 4 {
		_, err := m.Prepare()
		must(t, err)
		fds, err := m.Query(slices.Repeat([]PollFD{{Fd: -1}}, front))
		must(t, err)
		setEvent(t, fd)
		_, err = sys.PpollFor(fds, 0)
		must(t, err)
		if ready, err := m.Check(fds[front:]); !ready || err != nil || f.Revents() != unix.POLLIN {
			t.Errorf("behind %d: ready %v, %v, revents %#x", front, ready, err, f.Revents())
		}
		if progress, err := m.Dispatch(); !progress || err != nil || ran != front+1 {
			t.Errorf("behind %d: progress %v, %v, %d ran", front, progress, err, ran)
		}
	}
}

// change is something that is done to a source from within a phase.
type change struct {
	name string
	make func(m *MainContext, s *Source)
}

var changes = []change{
	{"Detach", func(m *MainContext, s *Source) { _ = s.Detach() }},
	{"Destroy", func(m *MainContext, s *Source) { s.Close() }},
	{"Reattach", func(m *MainContext, s *Source) { _ = s.Detach(); _ = s.Attach(m) }},
	{"SetPriority", func(m *MainContext, s *Source) { _ = s.SetPriority(PriorityHigh) }},
}

// stage has three sources that are ready. In one phase of the middle one, a change
// is made to one of them.
type stage struct {
	m       *MainContext
	sources [3]*Source
	fds     [3]int
	ran     [3]int
	final   [3]int
	ended   *Source // nothing but Finalize is called on it from now on
	act     func()  // once
}

func (g *stage) source(t *testing.T, i int, phase string) {
	step := func(name string) {
		if g.ended != nil && g.ended == g.sources[i] {
			t.Errorf("%s was called on a source that is away", name)
		}
		if act := g.act; i == 1 && name == phase && act != nil {
			g.act = nil
			act()
		}
	}
	g.fds[i] = openEvent(t)
	g.sources[i] = openSource(t, g.m, "s", Funcs{
		Prepare:  func() (time.Duration, bool, error) { step("prepare"); return -1, false, nil },
		Query:    func(fds []PollFD) []PollFD { step("query"); return fds },
		Check:    func([]PollFD) (bool, error) { step("check"); return false, nil },
		Dispatch: func() bool { step("dispatch"); g.ran[i]++; clearEvent(g.fds[i]); return true },
		Finalize: func() { g.final[i]++ },
	})
	_, err := g.sources[i].AddFD(g.fds[i], unix.POLLIN)
	must(t, err)
	setEvent(t, g.fds[i])
}

func TestChangesFromWithinEachPhase(t *testing.T) {
	for _, phase := range []string{"prepare", "query", "check", "dispatch"} {
		for victim, whom := range []string{"before", "self", "after"} {
			for _, change := range changes {
				t.Run(phase+"/"+whom+"/"+change.name, func(t *testing.T) {
					changeFromWithin(t, phase, victim, change)
				})
			}
		}
	}
}

func changeFromWithin(t *testing.T, phase string, victim int, change change) {
	g := &stage{m: openMain(t)}
	away := change.name == "Detach" || change.name == "Destroy"
	g.act = func() {
		change.make(g.m, g.sources[victim])
		if away {
			g.ended = g.sources[victim]
		}
	}
	for i := range g.sources {
		g.source(t, i, phase)
	}
	for range 3 {
		try(t, g.m)
	}
	for i := range g.sources {
		// It has run if the change came in Dispatch, after its own had begun.
		want := 1
		if away && i == victim && (phase != "dispatch" || victim == 2) {
			want = 0
		}
		if g.ran[i] != want {
			t.Errorf("source %d ran %d times, want %d", i, g.ran[i], want)
		}
		if want := map[bool]int{true: 1}[change.name == "Destroy" && i == victim]; g.final[i] != want {
			t.Errorf("source %d was finalized %d times, want %d", i, g.final[i], want)
		}
	}
}

// A source that is attached in the middle of a turn takes part in the next one,
// which does not wait for anything else.
func TestAttachFromWithinEachPhase(t *testing.T) {
	for _, phase := range []string{"prepare", "query", "check", "dispatch"} {
		t.Run(phase, func(t *testing.T) {
			g := &stage{m: openMain(t)}
			ran := 0
			g.act = func() {
				openSource(t, g.m, "new", Funcs{Dispatch: func() bool { ran++; return false }}).SetReadyTime(0)
			}
			for i := range g.sources {
				g.source(t, i, phase)
			}
			for range 2 {
				block(t, g.m)
			}
			if ran != 1 {
				t.Errorf("the new source ran %d times", ran)
			}
		})
	}
}

// Finalize may do as it likes, too.
func TestChangesFromWithinFinalize(t *testing.T) {
	m := openMain(t)
	var ran journal
	victim := openSource(t, m, "victim", Funcs{Prepare: always, Dispatch: ran.note("victim"),
		Finalize: func() { ran.add("victim finalized") }})
	var self *Source
	self = openSource(t, nil, "self", Funcs{Prepare: always,
		Dispatch: func() bool { ran.add("self"); return false },
		Finalize: func() {
			ran.add("self finalized")
			self.Close()
			victim.Close()
			wantError(t, self.Attach(m), ErrClosed)
			openSource(t, m, "heir", Funcs{Prepare: always, Dispatch: ran.note("heir")})
		}})
	must(t, self.SetPriority(PriorityHigh))
	must(t, self.Attach(m))
	try(t, m)
	ran.expect(t, "self", "self finalized", "victim finalized")
	try(t, m)
	ran.expect(t, "heir")
}

// Finalize waits for the dispatch that closed the source.
func TestFinalizeComesAfterDispatch(t *testing.T) {
	m := openMain(t)
	var ran journal
	var s *Source
	s = openSource(t, m, "s", Funcs{Prepare: always,
		Dispatch: func() bool { s.Close(); ran.add("dispatch"); return true },
		Finalize: func() { ran.add("finalize") }})
	try(t, m)
	ran.expect(t, "dispatch", "finalize")
}

func TestRecursion(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		m := openMain(t)
		depth, deepest := 0, 0
		s := openSource(t, m, "s", Funcs{Prepare: always, Dispatch: func() bool {
			depth++
			deepest = max(deepest, depth)
			if depth < 3 {
				try(t, m)
			}
			depth--
			return true
		}})
		must(t, s.SetRecurse(allowed))
		try(t, m)
		if want := map[bool]int{false: 1, true: 3}[allowed]; deepest != want {
			t.Errorf("recursion %v: %d deep, want %d", allowed, deepest, want)
		}
	}
}

// A source that is running and must not be entered is left out of the inner turn
// altogether: its descriptor, which is ready, does not make that turn spin.
func TestInnerTurnLeavesOutWhatIsRunning(t *testing.T) {
	m := openMain(t)
	fd := openEvent(t)
	setEvent(t, fd)
	turns, ran := 0, 0
	inner := openSource(t, m, "clock", Funcs{Dispatch: func() bool { return false }})
	s := openSource(t, m, "s", Funcs{Dispatch: func() bool {
		ran++
		must(t, inner.SetReadyTime(sys.Monotonic()+5*time.Millisecond))
		for !block(t, m) {
			turns++
		}
		clearEvent(fd)
		return true
	}})
	_, err := s.AddFD(fd, unix.POLLIN)
	must(t, err)
	try(t, m)
	if ran != 1 || turns > 2 {
		t.Errorf("ran %d times, %d turns for nothing", ran, turns)
	}
}

// What the outer turn has not reached runs in the inner one, and not twice.
func TestInnerTurnRunsTheRest(t *testing.T) {
	m := openMain(t)
	var ran journal
	once := func(name string, then func()) {
		s := openSource(t, m, name, Funcs{Dispatch: func() bool {
			ran.add(name)
			then()
			return false
		}})
		must(t, s.SetReadyTime(0))
	}
	nothing := func() {}
	once("a", nothing)
	once("outer", func() { try(t, m); ran.add("end") })
	once("b", nothing)
	once("c", nothing)
	try(t, m)
	ran.expect(t, "a", "outer", "b", "c", "end")
	if try(t, m) {
		t.Error("something ran twice")
	}
}

// checkWith does a turn as far as Check, with the change before it.
func checkWith(t *testing.T, m *MainContext, change func()) (ready bool) {
	t.Helper()
	must(t, m.Acquire())
	t.Cleanup(func() { must(t, m.Release()) })
	_, err := m.Prepare()
	must(t, err)
	fds, err := m.Query(nil)
	must(t, err)
	change()
	ready, err = m.Check(fds)
	must(t, err)
	return ready
}

// One source that is ready is enough, whichever it is.
func TestCheckReportsAnySource(t *testing.T) {
	for which := range 3 {
		m := openMain(t)
		for i := range 3 {
			openSource(t, m, "source", Funcs{Prepare: func() (time.Duration, bool, error) { return -1, i == which, nil }})
		}
		if !checkWith(t, m, func() {}) {
			t.Errorf("source %d is ready, and Check says no", which)
		}
	}
}

// A source that has gone since Prepare is not ready.
func TestCheckIgnoresWhatHasGone(t *testing.T) {
	for _, c := range changes[:3] {
		m := openMain(t)
		s := openSource(t, m, "gone", Funcs{Prepare: always})
		if checkWith(t, m, func() { c.make(m, s) }) {
			t.Errorf("after %s the source is ready", c.name)
		}
	}
}

// What goes wrong in a turn that a Dispatch begins and leaves unfinished is not lost.
func TestErrorOfAnUnfinishedInnerTurn(t *testing.T) {
	m := openMain(t)
	var inner bool
	openSource(t, m, "outer", Funcs{Prepare: always, Dispatch: func() bool {
		inner = true
		_, err := m.Prepare()
		must(t, err)
		return false
	}})
	openSource(t, m, "fails", Funcs{Prepare: func() (time.Duration, bool, error) {
		if inner {
			return -1, false, errCause
		}
		return -1, false, nil
	}})
	_, err := m.TryIterate()
	wantError(t, err, errCause)
}

var errCause = errors.New("the cause")

// A panic goes to the caller; what has not run yet runs in the next turn.
func TestPanicInAPhase(t *testing.T) {
	for _, phase := range []string{"prepare", "query", "check", "dispatch"} {
		t.Run(phase, func(t *testing.T) {
			m := openMain(t)
			g := &stage{m: m, act: func() { panic(errCause) }}
			for i := range g.sources {
				g.source(t, i, phase)
			}
			told, ran := false, 0 // it finds its event once: a loop that forgets it waits forever
			openSource(t, m, "once", Funcs{
				Check:    func([]PollFD) (bool, error) { ready := !told; told = true; return ready, nil },
				Dispatch: func() bool { ran++; clearEvent(g.fds[1]); return true },
			})
			func() {
				defer func() {
					if r := recover(); r != errCause {
						t.Errorf("recovered %v", r)
					}
				}()
				try(t, m)
			}()
			if !m.gate.Kicked() {
				t.Error("a Wakeup would end a wait that is over")
			}
			if phase == "dispatch" { // nothing but the one that is left is ready
				clearEvent(g.fds[1])
				clearEvent(g.fds[2])
				m.turn[2].source.ready = false
			}
			if block(t, m); ran != 1 {
				t.Errorf("what was left ran %d times", ran)
			}
			must(t, m.Acquire()) // no one holds it
			must(t, m.Release())
		})
	}
}

// An error of one source is reported and the others run all the same.
func TestErrorsOfSources(t *testing.T) {
	m := openMain(t)
	var ran journal
	fails := openSource(t, m, "fails", Funcs{
		Prepare: func() (time.Duration, bool, error) { return -1, false, errCause },
		Check:   func([]PollFD) (bool, error) { return false, unix.EIO },
	})
	openSource(t, m, "works", Funcs{Prepare: always, Dispatch: ran.note("works")})
	progress, err := m.Iterate()
	wantError(t, err, errCause)
	wantError(t, err, unix.EIO)
	if want := "mainloop: source \"fails\": the cause\nmainloop: source \"fails\": input/output error"; err.Error() != want || !progress {
		t.Errorf("progress %v, %q", progress, err)
	}
	ran.expect(t, "works")
	fails.Close()
	try(t, m)
}

// A handler that another goroutine closes, and then its descriptor, while the loop waits
// leaves the loop in peace.
func TestHandlerAndDescriptorAreClosedWhileTheLoopWaits(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		must(t, NewAIOSource("aio", c).Attach(m))
		fd, err := sys.NewEventfd()
		must(t, err)
		h, err := c.Watch(fd, aio.Callbacks{Read: func(*aio.Handler) { t.Error("the handler is called") }})
		must(t, err)
		try(t, m)
		must(t, m.Acquire())
		defer m.Release()
		_, err = m.Prepare()
		must(t, err)
		fds, err := m.Query(nil)
		must(t, err)
		elsewhere(func() {
			must(t, h.Close())
			must(t, unix.Close(fd))
		})
		_, err = sys.PpollFor(fds, 0)
		must(t, err)
		_, err = m.Check(fds)
		must(t, err)
		_, err = m.Dispatch()
		must(t, err)
	})
}
