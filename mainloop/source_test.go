package mainloop

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestManySourcesInOneContext(t *testing.T) {
	m := openMain(t)
	const n = 50
	ran := make([]int, n)
	fds := make([]int, n)
	for i := range n {
		s := openSource(t, m, fmt.Sprint("s", i), Funcs{Dispatch: func() bool {
			ran[i]++
			clearEvent(fds[i])
			return true
		}})
		fds[i] = openEvent(t)
		_, err := s.AddFD(fds[i], unix.POLLIN)
		must(t, err)
	}
	for i := 0; i < n; i += 3 {
		setEvent(t, fds[i])
	}
	if !block(t, m) {
		t.Error("no progress")
	}
	for i := range n {
		if want := map[bool]int{true: 1}[i%3 == 0]; ran[i] != want {
			t.Errorf("source %d ran %d times, want %d", i, ran[i], want)
		}
	}
	if try(t, m) {
		t.Error("progress without an event")
	}
}

func TestManyDescriptorsInOneSource(t *testing.T) {
	m := openMain(t)
	const n = 100
	var fds [n]*FD
	var events [n]int
	turns := 0
	s := openSource(t, m, "many", Funcs{Dispatch: func() bool {
		turns++
		for i, f := range fds {
			if got := f.Revents() == unix.POLLIN; got != (i%2 == turns%2) {
				t.Errorf("turn %d: fd %d has revents %#x", turns, i, f.Revents())
			}
			clearEvent(events[i])
		}
		return true
	}})
	for i := range n {
		events[i] = openEvent(t)
		var err error
		fds[i], err = s.AddFD(events[i], unix.POLLIN)
		must(t, err)
	}
	for turn := 1; turn <= 3; turn++ {
		for i := turn % 2; i < n; i += 2 {
			setEvent(t, events[i])
		}
		if block(t, m); turns != turn {
			t.Fatalf("dispatched %d times in %d turns", turns, turn)
		}
	}
	must(t, fds[0].Modify(unix.POLLOUT))
	for i := 1; i < n; i++ {
		must(t, fds[i].Close())
		setEvent(t, events[i])
	}
	fds = [n]*FD{fds[0]}
	s.funcs.Dispatch = func() bool { turns = int(fds[0].Revents()); return true }
	if block(t, m); turns != unix.POLLOUT {
		t.Errorf("revents %#x after Modify", turns)
	}
	must(t, fds[0].Modify(0))
	if try(t, m) {
		t.Error("a removed descriptor made the source ready")
	}
}

// The descriptors of Query may be others in each turn, and Check gets those of its
// own source, whatever stands around them.
func TestDynamicDescriptors(t *testing.T) {
	m := openMain(t)
	var ran journal
	for i, name := range []string{"a", "b", "c"} {
		fixed := openEvent(t)
		dynamic := openEvent(t)
		round := 0
		s := openSource(t, m, name, Funcs{
			Query: func(fds []PollFD) []PollFD {
				round++
				for range (round + i) % 3 {
					fds = append(fds, PollFD{Fd: int32(dynamic), Events: unix.POLLIN})
				}
				return fds
			},
			Check: func(fds []PollFD) (bool, error) {
				if len(fds) != (round+i)%3 {
					t.Errorf("%s: %d descriptors in round %d", name, len(fds), round)
				}
				for _, f := range fds {
					if f.Fd != int32(dynamic) || f.Revents != unix.POLLIN {
						t.Errorf("%s: got %+v", name, f)
					}
				}
				return len(fds) > 0, nil
			},
			Dispatch: ran.note(name),
		})
		_, err := s.AddFD(fixed, unix.POLLIN)
		must(t, err)
		setEvent(t, dynamic)
	}
	for _, want := range [][]string{{"a", "b"}, {"a", "c"}, {"b", "c"}} {
		block(t, m)
		ran.expect(t, want...)
	}
}

func TestHigherPriorityGoesFirst(t *testing.T) {
	m := openMain(t)
	var ran journal
	add := func(name string, priority int) *Source {
		s := openSource(t, nil, name, Funcs{Prepare: always, Dispatch: ran.note(name)})
		must(t, s.SetPriority(priority))
		must(t, s.Attach(m))
		return s
	}
	late := add("idle", PriorityIdle)
	add("default 1", PriorityDefault)
	add("high", PriorityHigh)
	add("default 2", PriorityDefault)
	try(t, m)
	ran.expect(t, "high", "default 1", "default 2", "idle")
	must(t, late.SetPriority(PriorityHigh-1))
	try(t, m)
	ran.expect(t, "idle", "high", "default 1", "default 2")
}

// What MainContext guarantees: each source that was ready runs in the turn, and
// one that becomes ready in the meantime is preceded by one callback of each lower one.
func TestNoneIsStarved(t *testing.T) {
	m := openMain(t)
	var ran journal
	wanted := false
	low := func(name string) {
		s := openSource(t, m, name, Funcs{Prepare: always, Dispatch: func() bool {
			ran.add(name)
			wanted = true
			return true
		}})
		must(t, s.SetPriority(PriorityIdle))
	}
	low("x")
	low("y")
	high := openSource(t, m, "high", Funcs{
		Prepare:  func() (time.Duration, bool, error) { return -1, wanted, nil },
		Dispatch: func() bool { ran.add("high"); wanted = false; return true },
	})
	must(t, high.SetPriority(PriorityHigh))
	busy := openSource(t, m, "busy", Funcs{Prepare: always, Dispatch: ran.note("busy")})
	must(t, busy.SetPriority(PriorityHigh-1)) // always ready, and yet all others run
	try(t, m)
	ran.expect(t, "busy", "x", "y")
	for range 10 {
		try(t, m)
		ran.expect(t, "busy", "high", "x", "y")
	}
}

func TestReadyTime(t *testing.T) {
	m := openMain(t)
	ran := 0
	s := openSource(t, m, "clock", Funcs{Dispatch: func() bool { ran++; return true }})
	if try(t, m) {
		t.Error("ready without a ready time")
	}
	must(t, s.SetReadyTime(0)) // long over
	for want := 1; want <= 3; want++ {
		if !block(t, m) || ran != want { // it stays ready until another time is set
			t.Fatalf("ran %d times, want %d", ran, want)
		}
	}
	at := sys.Monotonic() + 3*time.Millisecond + 123456
	must(t, s.SetReadyTime(at))
	if try(t, m) && sys.Monotonic() < at { // else the machine was slow
		t.Error("early")
	}
	for ran == 3 {
		block(t, m)
	}
	if now := sys.Monotonic(); now < at {
		t.Errorf("%v early", at-now)
	}
	must(t, s.SetReadyTime(-1))
	if try(t, m) {
		t.Error("ready though its time is never")
	}
	must(t, s.SetReadyTime(sys.Monotonic()+time.Hour))
	go func() { _ = s.SetReadyTime(0) }() // the wait has begun, or not
	for want := ran + 1; ran < want; {
		block(t, m)
	}
}

// A source that sets its own ready time in each Prepare does not keep the loop
// from waiting, and the time holds for this very turn.
func TestReadyTimeSetInPrepare(t *testing.T) {
	m := openMain(t)
	var s *Source
	turns, ran := 0, 0
	next := sys.Monotonic() + 2*time.Millisecond
	s = openSource(t, nil, "periodic", Funcs{
		Prepare: func() (time.Duration, bool, error) {
			turns++
			return -1, false, s.SetReadyTime(next)
		},
		Dispatch: func() bool { ran++; next += 2 * time.Millisecond; return true },
	})
	must(t, s.Attach(m))
	turns = 0
	for ran < 5 {
		block(t, m)
	}
	if turns > 2*ran+1 { // one more for each, should ppoll(2) return early
		t.Errorf("%d turns for %d dispatches", turns, ran)
	}
}

// Changes that the owner makes from Dispatch do not cost another turn; those
// between Prepare and Check, when the loop is about to wait, do.
func TestOwnerWakesOnlyALoopThatIsAboutToWait(t *testing.T) {
	m := openMain(t)
	fd := openEvent(t)
	var s *Source
	s = openSource(t, m, "self", Funcs{Dispatch: func() bool {
		clearEvent(fd)
		must(t, s.SetReadyTime(sys.Monotonic()+time.Hour))
		return true
	}})
	_, err := s.AddFD(fd, unix.POLLIN)
	must(t, err)
	setEvent(t, fd)
	block(t, m)
	must(t, m.Acquire())
	timeout, err := m.Prepare()
	must(t, err)
	if timeout < time.Minute {
		t.Errorf("the next turn does not wait: %v", timeout)
	}
	must(t, s.SetReadyTime(0))
	if n := clearEvent(m.notifier.FD()); n != 1 {
		t.Errorf("%d writes for a change between Prepare and Check", n)
	}
	finishTurn(t, m)
	must(t, m.Release())
}

// finishTurn goes on after Prepare.
func finishTurn(t testing.TB, m *MainContext) (ready, progress bool) {
	t.Helper()
	fds, err := m.Query(nil)
	must(t, err)
	_, err = sys.PpollFor(fds, 0)
	must(t, err)
	ready, err = m.Check(fds)
	must(t, err)
	progress, err = m.Dispatch()
	must(t, err)
	return ready, progress
}

func TestDispatchThatReturnsFalseDestroys(t *testing.T) {
	m := openMain(t)
	var ran journal
	s := openSource(t, m, "once", Funcs{
		Prepare:  always,
		Dispatch: func() bool { ran.add("dispatch"); return false },
		Finalize: func() { ran.add("finalize") },
	})
	try(t, m)
	ran.expect(t, "dispatch", "finalize")
	try(t, m)
	s.Close()
	must(t, m.Close())
	ran.expect(t)
}

func TestBadSources(t *testing.T) {
	m, other := openMain(t), openMain(t)
	_, err := NewSource("nothing", Funcs{})
	wantError(t, err, ErrNoDispatch)
	s := openSource(t, m, "disk", Funcs{})
	if s.Name() != "disk" {
		t.Errorf("Name: %q", s.Name())
	}
	wantError(t, s.Attach(m), ErrAttached)
	wantError(t, s.Attach(other), ErrAttached)
	_, err = s.AddFD(-1, unix.POLLIN)
	wantError(t, err, unix.EBADF)
	var failure *SourceError
	if !errors.As(err, &failure) || failure.Source != "disk" || failure.FD != -1 {
		t.Errorf("AddFD(-1): %#v", err)
	}
	must(t, s.Detach())
	must(t, s.Detach()) // it is away: nothing to do
	must(t, s.Attach(other))
	must(t, other.Close())
	wantError(t, s.Attach(m), ErrClosed) // by Close
	wantError(t, openSource(t, nil, "late", Funcs{}).Attach(other), ErrClosed)
}

// What made a source ready is over when it is detached: attached again, here or elsewhere,
// it is asked again.
func TestDetachedSourceIsNotReadyAnyMore(t *testing.T) {
	for name, move := range map[string]func(s *Source, here, there *MainContext){
		"within the turn": func(s *Source, here, _ *MainContext) { must(t, s.Attach(here)) },
		"into an inner turn of another": func(s *Source, _, there *MainContext) {
			must(t, s.Attach(there))
			try(t, there)
		},
		"after a panic": func(*Source, *MainContext, *MainContext) { panic("bad") },
	} {
		t.Run(name, func(t *testing.T) {
			here, there := openMain(t), openMain(t)
			var ran journal
			fd := openEvent(t)
			s := openSource(t, here, "s", Funcs{Dispatch: ran.note("s")})
			_, err := s.AddFD(fd, unix.POLLIN)
			must(t, err)
			mover := openSource(t, nil, "mover", Funcs{Prepare: always, Dispatch: func() bool {
				clearEvent(fd)
				must(t, s.Detach())
				move(s, here, there)
				return false
			}})
			must(t, mover.SetPriority(PriorityHigh))
			must(t, mover.Attach(here))
			setEvent(t, fd)
			func() {
				defer func() {
					if recover() != nil {
						mover.Close()
						must(t, s.Attach(there))
					}
				}()
				try(t, here)
			}()
			try(t, here)
			try(t, there)
			ran.expect(t)
			setEvent(t, fd)
			try(t, here)
			try(t, there)
			ran.expect(t, "s")
		})
	}
}

func TestDestroyedSourceRefuses(t *testing.T) {
	m := openMain(t)
	finalized := 0
	s := openSource(t, m, "gone", Funcs{Prepare: always, Finalize: func() { finalized++ },
		Dispatch: func() bool { t.Error("dispatched after Destroy"); return true }})
	f, err := s.AddFD(openEvent(t), unix.POLLIN)
	must(t, err)
	s.Close()
	s.Close()
	_, addErr := s.AddFD(0, unix.POLLIN)
	for what, err := range map[string]error{
		"Attach": s.Attach(m), "Detach": s.Detach(), "SetPriority": s.SetPriority(1),
		"SetReadyTime": s.SetReadyTime(0), "SetRecurse": s.SetRecurse(true),
		"AddFD": addErr, "Modify": f.Modify(0), "FD.Close": f.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	if try(t, m); finalized != 1 {
		t.Errorf("finalized %d times", finalized)
	}
}

// A descriptor that is closed while it is waited for is named once, handed to
// Dispatch, and left out from then on; the others go on.
func TestDescriptorClosedWhileQueried(t *testing.T) {
	m := openMain(t)
	var ran journal
	fd, err := sys.NewEventfd()
	must(t, err)
	var f *FD
	s := openSource(t, m, "victim", Funcs{Dispatch: func() bool {
		ran.add(fmt.Sprintf("%#x", f.Revents()))
		return true
	}})
	f, err = s.AddFD(fd, unix.POLLIN)
	must(t, err)
	openSource(t, m, "other", Funcs{Prepare: always, Dispatch: ran.note("other")})
	must(t, unix.Close(fd))
	_, err = m.Iterate()
	wantError(t, err, unix.EBADF)
	var failure *SourceError
	if !errors.As(err, &failure) || failure.Source != "victim" || failure.FD != fd {
		t.Errorf("%v does not name the source and the descriptor", err)
	}
	ran.expect(t, fmt.Sprintf("%#x", unix.POLLNVAL), "other")
	for range 3 {
		try(t, m) // no error, and it is not ready
	}
	ran.expect(t, "other", "other", "other")
	fresh := openEvent(t) // mostly the same number again
	must(t, unix.Dup3(fresh, fd+100, unix.O_CLOEXEC))
	defer unix.Close(fd + 100)
	if fresh == fd {
		setEvent(t, fresh)
		must(t, f.Modify(unix.POLLIN)) // brings it back
		try(t, m)
		ran.expect(t, fmt.Sprintf("%#x", unix.POLLIN), "other")
	}
}

func TestDynamicDescriptorThatIsClosedIsNamed(t *testing.T) {
	m := openMain(t)
	const never = 1<<20 - 1 // no such descriptor
	openSource(t, m, "dynamic", Funcs{Query: func(fds []PollFD) []PollFD {
		return append(fds, PollFD{Fd: never, Events: unix.POLLIN})
	}})
	for range 3 {
		_, err := m.Iterate()
		var failure *SourceError
		if !errors.As(err, &failure) || failure.Source != "dynamic" || failure.FD != never || !errors.Is(err, unix.EBADF) {
			t.Fatalf("got %v", err)
		}
	}
}

// A Prepare that says 0 and a Check that finds nothing: reported once, slowed
// down, asked again, and no other suffers.
func TestPrepareThatLies(t *testing.T) {
	m := openMain(t)
	lies, truth, ran := true, false, 0
	s := openSource(t, m, "liar", Funcs{
		Prepare: func() (time.Duration, bool, error) {
			if lies {
				return 0, false, nil
			}
			return -1, false, nil
		},
		Check:    func([]PollFD) (bool, error) { return truth, nil },
		Dispatch: func() bool { ran++; return true },
	})
	fd := openEvent(t)
	events := 0
	honest := openSource(t, m, "honest", Funcs{Dispatch: func() bool { events++; clearEvent(fd); return true }})
	_, err := honest.AddFD(fd, unix.POLLIN)
	must(t, err)
	reports := 0
	for range maxRestless + 20 {
		if _, err := m.Iterate(); err != nil {
			wantError(t, err, ErrRestless)
			reports++
		}
	}
	if reports != 1 || s.zeroTurns < maxRestless {
		t.Errorf("%d reports in %d turns", reports, s.zeroTurns)
	}
	begin := sys.Monotonic()
	for range 5 {
		block(t, m)
	}
	if took := sys.Monotonic() - begin; took < 5*restPeriod {
		t.Errorf("5 turns of a restless source took %v", took)
	}
	setEvent(t, fd)
	if block(t, m); events != 1 {
		t.Error("an event of another source is late")
	}
	truth = true
	if block(t, m); ran != 1 || s.zeroTurns != 0 {
		t.Errorf("the source was ready, and ran %d times", ran)
	}
}

// A Prepare that says "ready" is taken at its word, once in each turn.
func TestPrepareThatIsReadyIsDispatched(t *testing.T) {
	m := openMain(t)
	ran := 0
	openSource(t, m, "eager", Funcs{Prepare: always, Dispatch: func() bool { ran++; return true },
		Check: func([]PollFD) (bool, error) { return false, nil }})
	for range 5 {
		block(t, m)
	}
	if ran != 5 {
		t.Errorf("ran %d times in 5 turns", ran)
	}
}

// A storm of notifies is not mistaken for a restless source.
func TestNotifiesAreNotRestless(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		must(t, NewAIOSource("aio", c).Attach(m))
		for range 2 * maxRestless {
			c.Notify()
			block(t, m)
		}
	})
}

// A program that has both loops compares their priorities.
func TestPrioritiesAreGLibs(t *testing.T) {
	if got, want := [...]int{PriorityHigh, PriorityDefault, PriorityIdle}, [...]int{-100, 0, 200}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
