//go:build linux

package aio

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aioloop/aioloop/aio/internal/park"
	"github.com/aioloop/aioloop/backend"
	"github.com/aioloop/aioloop/internal/gate"
)

// port is the Poller and the abilities that it has. Add, Modify and Remove of the Poller
// may be called by any goroutine, all else belongs to the home goroutine.
type port struct {
	backend.Poller
	peeker    backend.Peeker    // nil if readiness does not show without a system call
	submitter backend.Submitter // nil if it runs no operations
	pollable  backend.Pollable  // nil if it has no descriptor that stands for all
	queryable backend.Queryable // nil if it does not name the descriptors that it waits for
	parker    *park.Parker      // nil in thread mode

	events []backend.Ready // room for those of one Wait
	// watched counts the handlers, as of the last refresh.
	watched int32
	// edge means that a reported event need not be read: the notifier's, for example.
	edge bool
	// askAgain means that the Poller may have something that it does not show.
	askAgain bool
	looks    uint8 // wraps
}

// askPeriod is how many looks in a row may take the place of a Wait.
const askPeriod = 64

// firstEvents is how many events a Wait can return at first. The room doubles when it is
// filled, up to maxEvents.
const (
	firstEvents = 4
	maxEvents   = 1024
)

func newPort(p backend.Poller, m Mode) port {
	t := port{Poller: p, events: make([]backend.Ready, firstEvents)}
	t.peeker, _ = p.(backend.Peeker)
	t.submitter, _ = p.(backend.Submitter)
	t.pollable, _ = p.(backend.Pollable)
	t.queryable, _ = p.(backend.Queryable)
	if e, ok := p.(backend.EdgeTriggered); ok {
		t.edge = e.EdgeTriggered()
	}
	if m == ModePark {
		t.parker = park.New(p.(park.Poller), t.edge)
	}
	return t
}

// binder returns the Poller if it binds itself to the home thread, else nil.
func (p *port) binder() backend.Binder {
	if p.parker != nil {
		return nil
	}
	binder, _ := p.Poller.(backend.Binder)
	return binder
}

// shows reports whether all that the Poller has shows in user space, once it was asked.
func (p *port) shows() bool { return p.peeker != nil }

// shown reports whether the Poller shows in user space that it has something.
func (p *port) shown() bool { return p.peeker != nil && p.peeker.Peek() }

// mustAsk reports whether the Poller may have something that it does not show.
func (p *port) mustAsk() bool { return p.askAgain || p.watched > 0 && p.peeker == nil }

// looksBusy reports whether a Poller that shows what it has shows something, or whether it is time to ask
// it all the same: it may have something to do, try again what the kernel has refused for example.
func (p *port) looksBusy() bool {
	p.looks++
	return p.peeker.Peek() || p.looks%askPeriod == 0
}

// changed takes notice of a new number of handlers.
func (p *port) changed(watched int32) { p.watched, p.askAgain = watched, true }

// idle reports whether no handler is watched.
func (p *port) idle() bool { return p.watched == 0 }

// mustAskAgain takes notice of an event that may still be there.
func (p *port) mustAskAgain() { p.askAgain = true }

// hides reports whether the Poller may have something that it does not show.
func (p *port) hides() bool { return p.askAgain }

// tellsOnce reports whether an event, once reported, need not be read.
func (p *port) tellsOnce() bool { return p.edge }

// ask is a Wait that does not sleep. It returns what is left of its events after those of
// the alarm. They are valid until the next Wait.
func (p *port) ask() ([]backend.Ready, error) {
	n, err := 0, error(nil)
	if p.parks() {
		n, err = p.parker.Ask(p.events)
	} else {
		n, err = p.Wait(p.events, 0)
	}
	if n == 0 { // what collected does most often
		p.askAgain = false
		return nil, err
	}
	return p.collected(n, err)
}

func (p *port) wait(timeout time.Duration) ([]backend.Ready, error) {
	n, err := p.Wait(p.events, timeout)
	return p.collected(n, err)
}

// collected returns the first n events.
func (p *port) collected(n int, err error) ([]backend.Ready, error) {
	if uint(n) >= uint(len(p.events)) {
		return p.filled(n, err)
	}
	p.askAgain = false
	return p.events[:n], err
}

// filled returns all events, and makes room for more.
func (p *port) filled(n int, err error) ([]backend.Ready, error) {
	if n != len(p.events) {
		return nil, p.tooMany(n, err)
	}
	events := p.events
	if p.askAgain = true; n < maxEvents {
		p.events = make([]backend.Ready, 2*n)
	}
	return events, err
}

// tooMany adds to err that a Wait reports more events than there is room for, or fewer than 0.
func (p *port) tooMany(n int, err error) error {
	return errors.Join(err, p.lies("reports %d events where there is room for %d", n, len(p.events)))
}

// lies says what a Poller has done against its contract.
func (p *port) lies(format string, args ...any) error {
	return fmt.Errorf("the Poller %s "+format, append([]any{p.Name()}, args...)...)
}

// unknownTag adds to err that an event has a tag that no handler has had.
func (p *port) unknownTag(tag backend.Tag, err error) error {
	return errors.Join(err, p.lies("reports an event of the unknown tag %#x", uint64(tag)))
}

// startWatcher has the Poller of a parked loop watched.
func (p *port) startWatcher() error {
	if !p.parks() {
		return nil
	}
	return p.parker.Watch()
}

func (p *port) close() error {
	if !p.parks() {
		return p.Close()
	}
	return errors.Join(p.parker.Close(), p.Close())
}

// resume and yield say that the home goroutine of a parked loop runs, or not.
func (p *port) resume() {
	if p.parks() {
		p.parker.Resume()
	}
}

func (p *port) yield() {
	if p.parks() {
		p.parker.Yield()
	}
}

// stay says that the home goroutine waits on its thread, and that Close is refused, until the
// call of what it returns.
func (p *port) stay() (end func() error) {
	s, ok := p.Poller.(backend.Stayer)
	if !ok || p.parks() {
		return func() error { return nil }
	}
	s.Stay()
	return s.Leave
}

// stopping calls f for a goroutine that waits for the loop right afterwards.
func (p *port) stopping(f func() error) error {
	if !p.parks() {
		return f()
	}
	return park.Stopping(f)
}

// unpark puts the token for a parked loop. Any goroutine may call it.
func (p *port) unpark() { p.parker.Wake() }

// sleepKind is how the loop sleeps.
func (p *port) sleepKind() gate.Sleep {
	if p.parks() {
		return gate.Parked
	}
	return gate.Asleep
}

// sharesEvents reports whether Go's poller asks the descriptors too: that of a parked loop watches
// the Poller's descriptor, and of epoll's it polls what is in it.
func (p *port) sharesEvents() bool { return p.parker != nil && p.peeker == nil }

// parks reports whether the loop sleeps in park mode.
func (p *port) parks() bool { return p.parker != nil }

// told reports whether the Poller of a parked loop has something, as the watcher knows it.
func (p *port) told() bool { return p.askAgain || p.parker.Readable() }

// sleepUnlessReadable waits for the token of a parked loop, or until the deadline, unless the
// Poller may have something. It reports whether that is so now; what only shows is seen before
// the next sleep.
func (p *port) sleepUnlessReadable(deadline time.Duration) (readable bool, err error) {
	if err := p.parker.Prepare(deadline < 0); err != nil {
		return false, err
	}
	if p.told() || p.shown() {
		return true, nil
	}
	err = p.parker.Sleep(deadline)
	return p.told(), err
}

// submit starts an operation.
func (p *port) submit(r *backend.Request) error {
	if p.submitter == nil {
		return fmt.Errorf("the %s backend runs no operations: %w", p.Name(), errors.ErrUnsupported)
	}
	return p.submitter.Submit(r)
}

// cancel asks for an early end of what was submitted, or completed without that.
func (p *port) cancel(r *backend.Request) error {
	if p.submitter == nil {
		return nil
	}
	return p.submitter.Cancel(r)
}

// supports reports whether the Poller runs operations with this code.
func (p *port) supports(code backend.OpCode) bool {
	return p.submitter != nil && p.submitter.Supports(code)
}

// completions takes what has completed. Something was submitted.
func (p *port) completions(done *backend.Requests) { p.submitter.Completions(done) }

// eachRequest calls f for what is under way.
func (p *port) eachRequest(f func(*backend.Request)) {
	if p.submitter != nil {
		p.submitter.Each(f)
	}
}

// registrar returns the Poller if files and buffers can be registered with it.
func (p *port) registrar() (backend.Registrar, error) {
	r, ok := p.Poller.(backend.Registrar)
	if !ok {
		return nil, fmt.Errorf("the %s backend registers no files and buffers: %w", p.Name(), errors.ErrUnsupported)
	}
	return r, nil
}

// canBeForeign returns an error if a foreign loop cannot wait for the Poller.
func (p *port) canBeForeign() error {
	if p.queryable == nil && p.pollable == nil {
		return fmt.Errorf("aio: a foreign loop cannot wait for the %s backend: %w", p.Name(), errors.ErrUnsupported)
	}
	return nil
}

// names reports whether the Poller names the descriptors that it waits for.
func (p *port) names() bool { return p.queryable != nil }

// query appends the descriptors of a Poller that names them.
func (p *port) query(fds []unix.PollFd) []unix.PollFd { return p.queryable.Query(fds) }

// collect returns the events of a wait for the descriptors of query.
func (p *port) collect(fds []unix.PollFd) ([]backend.Ready, error) {
	return p.collected(p.queryable.Collect(p.events, fds), nil)
}

// pollFD returns the descriptor that stands for all of them.
func (p *port) pollFD() int { return p.pollable.PollFD() }

// flush tells the kernel what a foreign loop, or the watcher of a parked one, waits for.
func (p *port) flush() error {
	if p.pollable == nil {
		return nil
	}
	return p.pollable.Flush()
}
