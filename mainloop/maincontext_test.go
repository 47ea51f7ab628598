package mainloop

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/sys"
)

func TestWakeupEndsOneWait(t *testing.T) {
	m := openMain(t)
	for range 3 { // before the wait: it does not begin
		m.Wakeup()
		if block(t, m) {
			t.Error("a wake-up is progress")
		}
	}
	for range 20 { // during the wait
		whileWaiting(t, m, m.Wakeup, func() { block(t, m) })
	}
	m.Wakeup()
	m.Wakeup()
	block(t, m)
	must(t, m.Acquire())
	defer m.Release()
	if timeout, err := m.Prepare(); timeout >= 0 || err != nil {
		t.Errorf("two wake-ups ended a second wait: %v, %v", timeout, err)
	}
	finishTurn(t, m)
}

// One write per wait, and none if no one waits.
func TestWakeupWritesOnlyIfSomebodyWaits(t *testing.T) {
	m := openMain(t)
	written := func() uint64 { return clearEvent(m.notifier.FD()) }
	m.Wakeup()
	if n := written(); n != 0 {
		t.Errorf("%d writes before the first turn", n)
	}
	openSource(t, m, "s", Funcs{Prepare: always, Dispatch: func() bool { m.Wakeup(); return false }})
	try(t, m)
	if n := written(); n != 0 {
		t.Errorf("%d writes from Dispatch", n)
	}
	must(t, m.Acquire())
	defer m.Release()
	for range 3 {
		_, err := m.Prepare()
		must(t, err)
		for range 10 {
			elsewhere(m.Wakeup)
		}
		if n := written(); n != 1 {
			t.Errorf("%d writes for 10 wake-ups of one wait", n)
		}
		finishTurn(t, m)
	}
}

// Two loops that sleep forever until the other one wakes them up.
func TestWakeupIsNeverLost(t *testing.T) {
	const rounds = 20_000
	var m [2]*MainContext
	var flag [2]atomic.Int64
	for i := range m {
		m[i] = openMain(t)
	}
	run := func(me int) {
		defer bounded(t, m[me])()
		for i := int64(1); i <= rounds; i++ {
			if me == 0 {
				flag[1].Store(i)
				m[1].Wakeup()
			}
			for flag[me].Load() < i {
				if _, err := m[me].Iterate(); err != nil {
					t.Error(err)
					return
				}
			}
			if me == 1 {
				flag[0].Store(i)
				m[0].Wakeup()
			}
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); run(1) }()
	run(0)
	<-done
}

func TestOwnership(t *testing.T) {
	m := openMain(t)
	wantError(t, m.Release(), ErrNotOwner)
	must(t, m.Acquire())
	must(t, m.Acquire()) // once more
	elsewhere(func() {
		_, err := m.Iterate()
		_, tryErr := m.TryIterate()
		for what, got := range map[string][2]error{
			"Acquire": {m.Acquire(), ErrOwned}, "Release": {m.Release(), ErrNotOwner},
			"Iterate": {err, ErrOwned}, "TryIterate": {tryErr, ErrOwned}, "Close": {m.Close(), ErrOwned},
		} {
			if got[0] != got[1] {
				t.Errorf("%s from another goroutine: %v, want %v", what, got[0], got[1])
			}
		}
	})
	try(t, m) // the owner's own
	must(t, m.Release())
	wantError(t, m.Close(), ErrOwned) // by the caller
	elsewhere(func() { wantErrorElsewhere(t, m.Acquire(), ErrOwned) })
	must(t, m.Release())
	wantError(t, m.Release(), ErrNotOwner)
	elsewhere(func() {
		wantErrorElsewhere(t, m.Acquire(), nil)
		wantErrorElsewhere(t, m.Release(), nil)
	})
	try(t, m)
}

// wantErrorElsewhere is for goroutines other than the test's.
func wantErrorElsewhere(t *testing.T, err, want error) {
	t.Helper()
	if err != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestOnlyOneGoroutineIterates(t *testing.T) {
	m := openMain(t)
	running, turns := 0, 0 // the race detector watches them
	openSource(t, m, "s", Funcs{Prepare: always, Dispatch: func() bool {
		if running++; running != 1 {
			t.Error("two owners")
		}
		turns++
		running--
		return true
	}})
	done := make(chan int)
	for range 4 {
		go func() {
			owned := 0
			for owned < 200 {
				if _, err := m.TryIterate(); err == nil {
					owned++
				} else if err != ErrOwned {
					t.Error(err)
					break
				}
				runtime.Gosched()
			}
			done <- owned
		}()
	}
	sum := 0
	for range 4 {
		sum += <-done
	}
	if sum != turns {
		t.Errorf("%d turns, %d dispatches", sum, turns)
	}
}

// A timeout is never early and takes its nanoseconds along.
func TestTimeouts(t *testing.T) {
	m := openMain(t)
	timeout := time.Duration(-1)
	openSource(t, m, "s", Funcs{Prepare: func() (time.Duration, bool, error) { return timeout, false, nil }})
	openSource(t, m, "patient", Funcs{Prepare: func() (time.Duration, bool, error) { return time.Hour, false, nil }})
	start := time.Now()
	for _, timeout = range []time.Duration{1, 999, 50_001, 1_000_001, 3_456_789} {
		// What is rounded up to a millisecond is never over before it.
		for took, rounded := time.Hour, timeout.Truncate(time.Millisecond)+time.Millisecond; took >= rounded; {
			begin := sys.Monotonic()
			if block(t, m) {
				t.Error("a timeout is progress")
			}
			took = sys.Monotonic() - begin
			if took < timeout {
				t.Errorf("waited %v of %v", took, timeout)
			}
			if time.Since(start) > patience {
				t.Fatalf("it never takes less than %v to wait for %v", rounded, timeout)
			}
		}
	}
	begin := sys.Monotonic()
	if try(t, m); sys.Monotonic()-begin > patience {
		t.Error("TryIterate waits")
	}
	must(t, m.Acquire())
	defer m.Release()
	if got, err := m.Prepare(); got != timeout || err != nil {
		t.Errorf("Prepare: %v, %v; want the shortest, %v", got, err, timeout)
	}
	finishTurn(t, m)
}

func TestCloseDestroysTheSources(t *testing.T) {
	m := openMain(t)
	var ran journal
	for _, name := range []string{"a", "b"} {
		openSource(t, m, name, Funcs{Finalize: func() { ran.add(name) }})
	}
	openSource(t, m, "closes", Funcs{Prepare: always, Dispatch: func() bool {
		wantError(t, m.Close(), ErrOwned)
		return true
	}})
	try(t, m)
	must(t, m.Close())
	ran.expect(t, "a", "b")
	wantError(t, m.Close(), ErrClosed)
	wantError(t, m.Acquire(), ErrClosed)
	_, err := m.Iterate()
	wantError(t, err, ErrClosed)
	m.Wakeup() // does nothing
}

// An aio.Context that is closed under its source is an error in each turn, and
// the other sources go on.
func TestAIOSourceOfAClosedContext(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		ran := 0
		s := NewAIOSource("closed", c)
		must(t, s.Attach(m))
		openSource(t, m, "other", Funcs{Prepare: always, Dispatch: func() bool { ran++; return true }})
		block(t, m)
		must(t, c.Close())
		for range 3 {
			_, err := m.Iterate()
			wantError(t, err, aio.ErrClosed)
		}
		s.Close()
		if block(t, m); ran != 5 {
			t.Errorf("the other source ran %d times", ran)
		}
	})
}

// Polling a Context from its own callback, and turning the MainContext, are the
// same to what it has collected: each runs once.
func TestAIOSourceNests(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		must(t, NewAIOSource("aio", c).Attach(m))
		var ran journal
		must(t, c.ScheduleOnce(func() { try(t, m); ran.add("turn") }))
		must(t, c.ScheduleOnce(func() { _, _ = c.TryPoll(); ran.add("poll") }))
		must(t, c.ScheduleOnce(func() { ran.add("last") }))
		try(t, m)
		ran.expect(t, "last", "poll", "turn")
	})
}

// A bottom half that is taken back is no progress, whether or not the turn has begun.
func TestAIOSourceOfWhatWasTakenBack(t *testing.T) {
	eachBackend(t, func(t *testing.T, b aio.Backend) {
		m, c := openMain(t), openAIO(t, b)
		must(t, NewAIOSource("aio", c).Attach(m))
		for try(t, m) { // a source that is new makes turns
		}
		forbidden := c.NewBottomHalf(func() { t.Error("it runs") })
		for _, undo := range []func(){forbidden.Cancel, func() { forbidden.Close() }} {
			must(t, forbidden.Schedule())
			undo()
			progress, err := m.TryIterate()
			if progress || err != nil {
				t.Errorf("progress %v, %v", progress, err)
			}
		}
	})
}
