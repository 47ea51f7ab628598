package mainloop

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio"
	"github.com/aioloop/aioloop/internal/gate"
	"github.com/aioloop/aioloop/internal/goroutine"
	"github.com/aioloop/aioloop/internal/sys"
	"github.com/aioloop/aioloop/internal/timeslice"
)

// MainContext is a set of sources and the loop that waits for all of them (GLib's
// GMainContext). A turn has four phases: Prepare asks each source how long the
// loop may wait, Query collects their descriptors, Check finds out which are
// ready, Dispatch runs those. Iterate does a whole turn; a foreign loop that waits
// by itself calls the phases one by one.
//
// Each turn dispatches every source that was ready in it, once, those of a higher
// priority first. So a source that becomes ready is kept waiting by at most one
// callback of each lower one, which belongs to the turn under way, and none is
// starved.
//
// One goroutine at a time owns a MainContext: Iterate and the phases are called by
// the owner only. Iterate acquires it for one turn if need be. Attach, Wakeup and
// the methods of Source may be called from any goroutine.
type MainContext struct {
	notifier *aio.EventNotifier
	gate     gate.Gate // announces a sleep from Prepare to Check

	mu      sync.Mutex // guards these
	sources []attached // in the order of dispatch; replaced, never changed in place
	serial  uint64

	owner atomic.Uintptr // the goroutine.ID, nobody, or closed

	// These belong to the owner.
	holds   int // how often it has acquired m
	phase   phase
	turn    []attached // the sources of this turn
	timeout time.Duration
	asked   *Source // the one whose Prepare is running
	errs    []error
	fds     []PollFD // for Iterate
	slice   timeslice.Slice
}

// attached is a source and what it had when it was put in its place.
type attached struct {
	source   *Source
	priority int
	serial   uint64
}

// What MainContext.owner holds if it is not the ID of a goroutine.
const (
	nobody uintptr = 0
	closed         = ^uintptr(0) // and never anybody again
)

// phase is the one that was called last.
type phase int

const (
	dispatched phase = iota // or dispatching, or none yet
	prepared
	queried
	checked
)

// NewMainContext returns a MainContext without sources. It takes one descriptor,
// and fails with EMFILE if there is none left.
func NewMainContext() (*MainContext, error) {
	n, err := aio.NewEventNotifier()
	if err != nil {
		return nil, err
	}
	return &MainContext{notifier: n}, nil
}

// Acquire makes the calling goroutine the owner, once more if it is already. It
// fails with ErrOwned and with ErrClosed.
func (m *MainContext) Acquire() error {
	if !m.owned() && !m.owner.CompareAndSwap(nobody, uintptr(goroutine.Current())) {
		return m.refuse(ErrOwned)
	}
	m.holds++
	return nil
}

// refuse returns err, or the better reason that m is closed.
func (m *MainContext) refuse(err error) error {
	if m.owner.Load() == closed {
		return ErrClosed
	}
	return err
}

// Release undoes one Acquire. It fails with ErrNotOwner.
func (m *MainContext) Release() error {
	if !m.owned() {
		return ErrNotOwner
	}
	if m.holds--; m.holds == 0 {
		m.owner.Store(nobody)
	}
	return nil
}

// Wakeup ends the wait of the current turn, or of the next if there is none. It
// makes a system call only if the loop waits. Any goroutine may call it.
func (m *MainContext) Wakeup() {
	m.gate.Count()
	if m.gate.Kick() != gate.Awake {
		_ = m.notifier.Set()
	}
}

// changed lets the loop take notice of a change to s. The owner needs no reminder,
// unless it is about to wait and has asked s already: it looks at everything in the
// next Prepare, and a source that changes itself in each turn must not keep the
// loop from waiting.
func (m *MainContext) changed(s *Source) {
	if m.owned() && (m.phase == dispatched || m.phase == checked || m.asked == s) {
		return
	}
	m.Wakeup()
}

// owned reports whether the caller is the owner.
func (m *MainContext) owned() bool { return m.owner.Load() == uintptr(goroutine.Current()) }

// Close closes the sources and releases the descriptor. It fails with ErrOwned
// if a goroutine, the caller too, owns the MainContext. A second call fails with
// ErrClosed.
func (m *MainContext) Close() error {
	if !m.owner.CompareAndSwap(nobody, closed) {
		return m.refuse(ErrOwned)
	}
	m.mu.Lock() // no source is inserted any more
	sources := m.sources
	m.mu.Unlock()
	for _, a := range sources {
		a.source.closeIn(m)
	}
	return m.notifier.Close()
}

// insert and remove change the list of sources. The caller holds the source's lock.
func (m *MainContext) insert(s *Source, priority int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner.Load() == closed {
		return ErrClosed
	}
	m.enlist(m.sources, s, priority)
	return nil
}

// move gives s another priority. The list never lacks s for another goroutine: Close
// closes what it finds in the list, and refuses what comes later.
func (m *MainContext) move(s *Source, priority int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.enlist(m.without(s), s, priority)
}

// enlist adds s to others, behind those of the same priority. The caller holds mu.
func (m *MainContext) enlist(others []attached, s *Source, priority int) {
	m.serial++
	m.sources = append(slices.Clone(others), attached{s, priority, m.serial})
	slices.SortFunc(m.sources, func(a, b attached) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.serial, b.serial))
	})
}

func (m *MainContext) remove(s *Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = m.without(s)
}

// without returns the other sources. The caller holds mu.
func (m *MainContext) without(s *Source) []attached {
	return slices.DeleteFunc(slices.Clone(m.sources), func(a attached) bool { return a.source == s })
}

// begin checks that the caller is the owner and that the phases come in order.
func (m *MainContext) begin(from, to phase) error {
	switch {
	case !m.owned():
		return m.refuse(ErrNotOwner)
	case m.phase != from:
		return ErrPhase
	}
	m.phase = to
	return nil
}

// current returns the sources of a turn that begins.
func (m *MainContext) current() []attached {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources
}

// Prepare begins a turn and returns how long the loop may wait: 0 if a source is
// ready, a negative duration if nothing but an event limits it. What goes wrong in
// a source is returned by this turn's Check.
func (m *MainContext) Prepare() (timeout time.Duration, err error) {
	if err := m.begin(dispatched, prepared); err != nil {
		return 0, err
	}
	m.gate.Announce(gate.Asleep) // from here on a Wakeup writes
	m.timeout = -1
	m.turn = m.current()
	for _, a := range m.turn {
		m.prepare(a.source)
	}
	if m.gate.Pending() {
		m.timeout = 0
	}
	return m.timeout, nil
}

func (m *MainContext) prepare(s *Source) {
	s.zeroTimeout = false
	if s.fresh.Load() {
		s.forget(m)
	}
	if !s.takesPart(m) {
		s.ready = false
		return
	}
	if s.funcs.Prepare != nil {
		m.ask(s)
	}
	if s.ready { // it says so, or an outer turn has not reached it
		m.limit(0)
	}
	if at := s.readyAt(); at != never {
		m.limit(max(at-sys.Monotonic(), 0))
	}
}

func (m *MainContext) ask(s *Source) {
	m.asked = s
	defer func() { m.asked = nil }()
	timeout, ready, err := s.funcs.Prepare()
	m.fail(s, -1, err)
	s.ready = s.ready || ready
	s.zeroTimeout = timeout == 0 && !ready && err == nil
	m.limit(s.limited(timeout))
}

// forget drops what s was ready for before it was attached.
func (s *Source) forget(m *MainContext) {
	s.mu.Lock() // or it might go to another MainContext in the meantime
	defer s.mu.Unlock()
	if s.ctx.Load() == m {
		s.fresh.Store(false)
		s.ready = false
	}
}

// takesPart reports whether s takes part in the turn. A source does not if it has been
// detached, even if it is back already, or if it is running and must not be entered again.
func (s *Source) takesPart(m *MainContext) bool {
	return s.ctx.Load() == m && !s.fresh.Load() && (s.running.Load() == 0 || s.recurse.Load())
}

// limit shortens the turn's timeout.
func (m *MainContext) limit(timeout time.Duration) {
	if timeout >= 0 && (m.timeout < 0 || timeout < m.timeout) {
		m.timeout = timeout
	}
}

// fail remembers an error of a source for the end of the phase.
func (m *MainContext) fail(s *Source, fd int, err error) {
	if err != nil {
		m.errs = append(m.errs, &SourceError{s.name, fd, err})
	}
}

// failed returns the errors of the sources.
func (m *MainContext) failed() error {
	if len(m.errs) == 0 {
		return nil
	}
	err := errors.Join(m.errs...)
	m.errs = nil
	return err
}

// Query appends the descriptors to wait for with ppoll(2), and what to wait for.
func (m *MainContext) Query(fds []PollFD) ([]PollFD, error) {
	if err := m.begin(prepared, queried); err != nil {
		return fds, err
	}
	start := len(fds)
	fds = append(fds, PollFD{Fd: int32(m.notifier.FD()), Events: unix.POLLIN})
	for _, a := range m.turn {
		fds = a.source.query(m, fds, start)
	}
	return fds, nil
}

func (s *Source) query(m *MainContext, fds []PollFD, start int) []PollFD {
	s.queried, s.first, s.last = nil, 0, 0
	if !s.takesPart(m) {
		return fds
	}
	s.queried = s.descriptors()
	s.offset = len(fds) - start
	for _, f := range s.queried {
		fds = append(fds, f.query())
	}
	if s.funcs.Query != nil {
		s.first = len(fds) - start
		fds = s.funcs.Query(fds)
		s.last = len(fds) - start
	}
	return fds
}

func (f *FD) query() PollFD {
	f.revents = 0
	if f.bad.Load() {
		return PollFD{Fd: -1}
	}
	return PollFD{Fd: int32(f.fd), Events: int16(f.events.Load())}
}

// Check ends the wait. fds is what this turn's Query has appended, with the
// revents that ppoll(2) has filled in. It reports whether a source is ready. An
// error is a *SourceError, or several that are joined: a descriptor that was
// closed while it was waited for (EBADF) is named and left out from then on; one
// that a source's Query has appended is named in each turn until Query leaves it out.
func (m *MainContext) Check(fds []PollFD) (ready bool, err error) {
	if err := m.begin(queried, checked); err != nil {
		return false, err
	}
	m.gate.Retract()
	m.gate.Accept()
	if fds[0].Revents != 0 {
		_, _ = m.notifier.TestAndClear()
	}
	for _, a := range m.turn {
		m.check(a.source, fds)
		ready = ready || a.source.ready
	}
	return ready, m.failed()
}

func (m *MainContext) check(s *Source, fds []PollFD) {
	if !s.takesPart(m) {
		s.ready = false
		return
	}
	for i, f := range s.queried {
		f.revents = fds[s.offset+i].Revents
		if f.revents&unix.POLLNVAL != 0 {
			f.bad.Store(true)
			m.fail(s, f.fd, unix.EBADF)
		}
		s.ready = s.ready || f.revents != 0
	}
	if at := s.readyAt(); at != never && at <= sys.Monotonic() {
		s.ready = true
	}
	own := fds[s.first:s.last]
	if s.funcs.Check != nil {
		ready, err := s.funcs.Check(own)
		m.fail(s, -1, err)
		s.ready = s.ready || ready
	}
	for i := range own { // what Check has not cleared: it knows what was removed since Query
		if own[i].Revents&unix.POLLNVAL != 0 {
			m.fail(s, int(own[i].Fd), unix.EBADF)
		}
	}
	m.fail(s, -1, s.checkRestless())
}

// Dispatch runs the sources that are ready. One of them may begin another turn:
// that one runs those that this one has not reached.
func (m *MainContext) Dispatch() (progress bool, err error) {
	if err := m.begin(checked, dispatched); err != nil {
		return false, err
	}
	for _, a := range m.turn {
		if a.source.dispatch(m) {
			progress = true
		}
	}
	return progress, m.failed()
}

// dispatch runs s if it is ready and still there.
func (s *Source) dispatch(m *MainContext) bool {
	if !s.ready {
		return false
	}
	s.ready = false
	if !s.takesPart(m) {
		return false
	}
	s.running.Add(1)
	defer s.finish()
	if s.ctx.Load() != m { // closed in the meantime, and perhaps finalized before it was running
		return false
	}
	if !s.funcs.Dispatch() {
		_ = s.Close()
	}
	return true
}

// finish ends a dispatch. A Close either finds it running and leaves
// Finalize to it, or is seen here.
func (s *Source) finish() {
	s.running.Add(-1)
	if s.isClosed.Load() {
		s.finalize()
	}
}

// Iterate does one turn and waits until there is something to do. It reports
// whether a source was dispatched. It fails with ErrOwned if another goroutine
// owns m, and with the errors of the sources, which do not keep the others from
// being dispatched.
func (m *MainContext) Iterate() (progress bool, err error) { return m.iterate(-1, noHooks{}) }

// TryIterate is Iterate without waiting.
func (m *MainContext) TryIterate() (progress bool, err error) { return m.iterate(0, noHooks{}) }

// observer takes part in the wait of a turn.
type observer interface {
	fill(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration)
	polled(fds []PollFD, err error)
}

type noHooks struct{}

func (noHooks) fill(fds []PollFD, timeout time.Duration) ([]PollFD, time.Duration) {
	return fds, timeout
}
func (noHooks) polled([]PollFD, error) {}

func (m *MainContext) iterate(limit time.Duration, o observer) (progress bool, err error) {
	if err := m.Acquire(); err != nil {
		return false, err
	}
	defer m.Release()
	if m.phase != dispatched {
		return false, ErrPhase
	}
	defer m.abandon()
	if limit != 0 {
		m.slice.Renew()
	}
	if _, err = m.Prepare(); err != nil {
		return false, err
	}
	m.limit(limit)
	fds, err := m.Query(m.fds[:0])
	if err != nil {
		return false, err
	}
	own := len(fds)
	fds, timeout := o.fill(fds, m.timeout)
	m.fds = fds // with the room that it has by now
	_, err = sys.PpollFor(fds, timeout)
	err = waitFailed(err, len(fds))
	o.polled(fds[own:], err)
	_, cerr := m.Check(fds[:own])
	progress, derr := m.Dispatch()
	if err == nil && cerr == nil && derr == nil {
		return progress, nil
	}
	return progress, errors.Join(err, cerr, derr)
}

// waitFailed says what is wrong with a wait for n descriptors.
func waitFailed(errno error, n int) error {
	if errno == unix.EINVAL { // the limit was lowered after they were opened
		return fmt.Errorf("mainloop: ppoll of %d descriptors: %w (RLIMIT_NOFILE allows fewer: raise `ulimit -n`)", n, errno)
	}
	return os.NewSyscallError("ppoll", errno)
}

// abandon lets the next turn begin after a panic in the middle of this one.
func (m *MainContext) abandon() {
	m.phase = dispatched
	m.gate.Retract()
}
