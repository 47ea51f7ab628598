package mainloop

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// PollFD is a descriptor that a loop waits for, as ppoll(2) knows it.
type PollFD = unix.PollFd

// Funcs are what a Source does in the four phases of a turn. They are called on
// the goroutine that owns the MainContext. All but Dispatch may be nil.
type Funcs struct {
	// Prepare is called before the loop waits. It returns true if the source is
	// ready without waiting, or else how long the loop may wait on its account;
	// negative means as long as it likes. One that says 0 in turn after turn, and is
	// not ready then, is reported with ErrRestless and asked a thousand times a
	// second from then on, until it is ready again.
	Prepare func() (timeout time.Duration, ready bool, err error)

	// Query appends descriptors that may be others in each turn. Those that stay
	// the same are given to AddFD instead.
	Query func(fds []PollFD) []PollFD

	// Check is called after the loop has waited, with the descriptors of Query and
	// their revents, and reports whether the source is ready. A source is also
	// ready if one of its FDs is, or if its ready time has come.
	Check func(fds []PollFD) (ready bool, err error)

	// Dispatch handles what has happened. If it returns false the source is
	// closed.
	Dispatch func() (keep bool)

	// Finalize is called once, when the source is closed and not running.
	Finalize func()
}

// Priorities, with GLib's values. A smaller number goes first.
const (
	PriorityHigh    = -100
	PriorityDefault = 0
	PriorityIdle    = 200
)

// Source is something that a MainContext waits for and dispatches: one of many,
// with any number of descriptors (GLib's GSource). Its methods may be called from
// any goroutine and from within any phase.
type Source struct {
	name  string
	funcs Funcs

	mu        sync.Mutex // guards these, and changes of the next group; taken before MainContext.mu
	priority  int
	finalized bool

	// The owner of the MainContext reads these in each phase, without the lock.
	ctx       atomic.Pointer[MainContext] // where it is attached
	fds       atomic.Pointer[[]*FD]       // replaced, never changed in place; nil: none
	readyTime atomic.Int64                // a time.Duration
	recurse   atomic.Bool
	isClosed  atomic.Bool
	fresh     atomic.Bool // attached since the last Prepare: what the owner knows of it is from before

	running atomic.Int32 // dispatches under way, counted by the owner

	// These belong to the owner of the MainContext.
	ready       bool  // found ready and not dispatched yet
	trusted     bool  // its Prepare may return 0 in any number of turns
	zeroTimeout bool  // its Prepare has returned 0, and did not say that it is ready
	zeroTurns   int   // in how many turns in a row it has returned 0 and was not ready
	queried     []*FD // fds, as of Query
	offset      int   // of the first of them in the turn's descriptors
	first, last int   // of its dynamic ones
}

// FD is one descriptor of a Source.
type FD struct {
	source *Source
	fd     int
	events atomic.Int32 // what to wait for
	bad    atomic.Bool  // fd has turned out to be closed

	revents int16 // belongs to the owner of the MainContext
}

// never is the ready time of a source that has none.
const never time.Duration = math.MaxInt64

// NewSource returns a source that is not attached yet. It fails with ErrNoDispatch.
func NewSource(name string, funcs Funcs) (*Source, error) {
	if funcs.Dispatch == nil {
		return nil, ErrNoDispatch
	}
	s := &Source{name: name, funcs: funcs}
	s.readyTime.Store(int64(never))
	return s, nil
}

// Name returns the source's name.
func (s *Source) Name() string { return s.name }

// AddFD makes the loop wait for events (POLLIN and so on) on fd, which stays the
// caller's and is open until Close of the FD or of the source has returned. It
// fails with EBADF for a negative fd, and with ErrClosed.
func (s *Source) AddFD(fd int, events int16) (*FD, error) {
	if fd < 0 {
		return nil, &SourceError{s.name, fd, unix.EBADF}
	}
	f := &FD{source: s, fd: fd}
	f.events.Store(int32(events))
	return f, s.change(func() {
		fds := append(slices.Clone(s.descriptors()), f)
		s.fds.Store(&fds)
	})
}

func (s *Source) descriptors() []*FD {
	if fds := s.fds.Load(); fds != nil {
		return *fds
	}
	return nil
}

// Revents returns what has happened in this turn. It is called from Check or Dispatch.
func (f *FD) Revents() int16 { return f.revents }

// Modify changes the events that are waited for.
func (f *FD) Modify(events int16) error {
	return f.source.change(func() {
		f.events.Store(int32(events))
		f.bad.Store(false)
	})
}

// Close ends the wait for f; the descriptor stays open. A second Close fails with ErrClosed.
func (f *FD) Close() error {
	s, open := f.source, false
	err := s.change(func() {
		fds := slices.DeleteFunc(slices.Clone(s.descriptors()), func(g *FD) bool {
			open = open || g == f
			return g == f
		})
		s.fds.Store(&fds)
	})
	if err == nil && !open {
		err = s.closed()
	}
	return err
}

// SetPriority changes the priority, which is PriorityDefault at first.
func (s *Source) SetPriority(p int) error {
	return s.change(func() {
		s.priority = p
		if m := s.ctx.Load(); m != nil {
			m.move(s, p)
		}
	})
}

// SetReadyTime makes the source ready once a point of package aio's Realtime clock
// is over, until Dispatch sets another one. A negative point is never.
func (s *Source) SetReadyTime(at time.Duration) error {
	if at < 0 {
		at = never
	}
	return s.change(func() { s.readyTime.Store(int64(at)) })
}

func (s *Source) readyAt() time.Duration { return time.Duration(s.readyTime.Load()) }

// A source that keeps the loop from waiting and is not ready then would use up a
// CPU in silence.
const (
	maxRestless = 1000             // turns in a row
	restPeriod  = time.Millisecond // what it has to wait from then on
)

// limited returns what the loop makes of the timeout that Prepare asks for.
func (s *Source) limited(timeout time.Duration) time.Duration {
	if s.zeroTimeout && s.zeroTurns >= maxRestless {
		return restPeriod
	}
	return timeout
}

// checkRestless ends Check. It fails once if the source has become restless.
func (s *Source) checkRestless() error {
	if s.ready || !s.zeroTimeout || s.trusted {
		s.zeroTurns = 0
		return nil
	}
	if s.zeroTurns++; s.zeroTurns == maxRestless {
		return ErrRestless
	}
	return nil
}

// SetRecurse lets the source be dispatched again by a turn that its own Dispatch
// begins. At first it is not.
func (s *Source) SetRecurse(allowed bool) error {
	return s.change(func() { s.recurse.Store(allowed) })
}

// Attach gives the source to m. It fails with ErrAttached if it has been given to
// one already, and with ErrClosed if m or the source is closed.
func (s *Source) Attach(m *MainContext) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isClosed.Load():
		return s.closed()
	case s.ctx.Load() != nil:
		return ErrAttached
	}
	if err := m.insert(s, s.priority); err != nil {
		return err
	}
	s.fresh.Store(true)
	s.ctx.Store(m)
	m.Wakeup()
	return nil
}

// Detach takes the source away from its MainContext. It can be attached again, and is
// asked again then whether it is ready.
func (s *Source) Detach() error { return s.change(s.detach) }

func (s *Source) detach() {
	if m := s.ctx.Load(); m != nil {
		m.remove(s)
		s.ctx.Store(nil)
	}
}

// Close detaches the source for good. If the caller owns the MainContext, no
// function of the source but Finalize is called afterwards; elsewhere one may be
// running at this moment. A second Close fails with ErrClosed.
func (s *Source) Close() error {
	err := s.change(s.end)
	s.finalize()
	return err
}

// closed is the error of what is called on a source that is closed.
func (s *Source) closed() error { return &SourceError{s.name, -1, ErrClosed} }

func (s *Source) end() {
	s.detach()
	s.isClosed.Store(true)
}

// closeIn is Close, unless the source has left m in the meantime.
func (s *Source) closeIn(m *MainContext) {
	_ = s.change(func() {
		if s.ctx.Load() == m {
			s.end()
		}
	})
	s.finalize()
}

// finalize calls Finalize once. If the source is running, the end of its dispatch
// comes here again.
func (s *Source) finalize() {
	s.mu.Lock()
	due := s.isClosed.Load() && !s.finalized && s.running.Load() == 0
	s.finalized = s.finalized || due
	s.mu.Unlock()
	if due && s.funcs.Finalize != nil {
		s.funcs.Finalize()
	}
}

// change applies f under the lock and lets the loop take notice.
func (s *Source) change(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed.Load() {
		return s.closed()
	}
	if m := s.ctx.Load(); m != nil {
		defer m.changed(s)
	}
	f()
	return nil
}
