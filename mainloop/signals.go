package mainloop

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/aioloop/aioloop/aio"
)

// Signals delivers signals to functions on the home goroutine, in the I/O handler
// context. One API, two ways, chosen per signal; Mode says which is in use:
//
//   - SignalFD, if the process was started with the signal blocked and each of its
//     threads blocks it now, which is looked up, not assumed. Then the signal stays
//     in the kernel until the loop reads it from a signalfd(2), with all that the
//     kernel knows about it. Real-time signals are queued, each with its value;
//     standard signals that come before the first was read are one. ReexecBlocked
//     starts the program again like that.
//   - SignalBridge otherwise, and always for SIGHUP, SIGINT, SIGQUIT, SIGABRT,
//     SIGTERM and SIGCHLD, which the Go runtime does not let a program block: package
//     os/signal hands it over. It tells the number and no more. Standard signals
//     that come before the first was delivered are one; real-time signals are
//     delivered one by one as a rule, but the Go runtime merges those that come
//     faster than it looks.
//
// # What to know about a signalfd
//
// It depends on the mask of all threads. A later os/signal.Notify for the signal,
// also one for all signals (with none named), unblocks it, and a thread of a C
// library may do the same: then those take signals away from the loop.
//
// Programs that are started by this one inherit the mask: to send them a signal
// that is blocked has no effect unless they unblock it. Package os/exec has no hook
// between fork and exec, and unblocking around Start would let the signal in here,
// so there is no helper for it. Start them through a program that unblocks first,
// for example
//
//	perl -MPOSIX -e 'sigprocmask(SIG_SETMASK, POSIX::SigSet->new); exec @ARGV' program arguments
//
// (a Go program can be that program itself, as executeClean in examples/supervisor shows),
// or let them start elsewhere (a service manager), or block only signals that
// they have no use for, such as real-time ones. os/signal.Notify unblocks, so a Go
// program that catches the signal in this way is not affected.
//
// The kernel refuses to queue more than RLIMIT_SIGPENDING signals per user
// (setrlimit(2)): the sender of a real-time signal gets EAGAIN, which is the
// sender's to handle. A signal sent to one thread (tgkill(2), a SIGPIPE or a
// thread's own timer) is for that thread only: a signalfd sees it only if the
// loop runs on it, the bridge always.
//
// Methods may be called from any goroutine.
type Signals struct {
	ctx      *aio.Context
	handlers [maxSignal + 1]atomic.Pointer[SignalHandler] // changed under mu

	mu     sync.Mutex // guards these
	routes [maxSignal + 1]*signalRoute
	fd     *signalFD    // nil until a signal needs it
	kept   []SignalInfo // read from fd while their signal had no handler
	closed bool
}

// signalRoute is how one signal gets here.
type signalRoute struct {
	mode   SignalMode
	reason string
	named  bool          // by WithSignals: it is kept while it has no handler
	bridge *signalBridge // with SignalBridge
}

// SignalHandler is a function that handles a signal.
type SignalHandler struct {
	signals *Signals
	sig     syscall.Signal
	fn      func(SignalInfo)
}

// WithSignals makes Init catch signals that will be handled. From then on none of
// them is lost: those that come while there is no handler wait for one. Other
// signals are caught from Handle on. Init fails with a *SignalError for a signal
// that cannot be handled.
func WithSignals(sigs ...syscall.Signal) Option {
	return func(o *options) error {
		o.signals = append(o.signals, sigs...)
		return nil
	}
}

// newSignals catches sigs. It is called before the loop runs.
func newSignals(c *aio.Context, sigs []syscall.Signal) (*Signals, error) {
	s := &Signals{ctx: c}
	for _, sig := range sigs {
		if err := checkSignal(sig); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sig := range sigs {
		s.catch(sig).named = true
	}
	return s, nil
}

// Handle calls fn on the home goroutine for each signal sig that the process
// receives, until the result is closed. fn may close it, handle other signals, and
// begin another turn of the MainContext. It panics if fn is nil.
//
// It fails with a *SignalError that wraps ErrSignalNumber, ErrSignalUncatchable,
// ErrSignalRuntime, or ErrSignalHandled if sig has a handler; with ErrClosed; and
// with EMFILE, ENFILE or ENOMEM if there can be no signalfd.
func (s *Signals) Handle(sig syscall.Signal, fn func(SignalInfo)) (*SignalHandler, error) {
	if fn == nil {
		panic("mainloop: Signals.Handle: the function is nil")
	}
	if err := checkSignal(sig); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.handlers[sig].Load() != nil:
		return nil, &SignalError{sig, ErrSignalHandled}
	}
	h := &SignalHandler{s, sig, fn}
	if err := s.add(h); err != nil {
		return nil, err
	}
	return h, nil
}

// add lets signals through to h, those first that have waited for it.
func (s *Signals) add(h *SignalHandler) error {
	r := s.catch(h.sig)
	s.handlers[h.sig].Store(h)
	if r.bridge != nil {
		r.bridge.resume()
		return nil
	}
	err := s.receive(h.sig)
	if err != nil {
		s.handlers[h.sig].Store(nil)
		s.release(h.sig)
		return fmt.Errorf("mainloop: signalfd for %s: %w", signalName(h.sig), err)
	}
	return nil
}

// receive lets the signalfd take sig from the kernel.
func (s *Signals) receive(sig syscall.Signal) (err error) {
	if s.fd == nil {
		if s.fd, err = newSignalFD(s.ctx, s.deliver, s.deliverKept); err != nil {
			return err
		}
	}
	if len(s.kept) > 0 {
		_ = s.fd.kept.Schedule() // fails only if the loop is closed
	}
	return s.fd.set(s.fd.mask | bit(sig))
}

// catch finds out how sig gets here, and begins to collect it.
func (s *Signals) catch(sig syscall.Signal) *signalRoute {
	if s.routes[sig] == nil {
		r := new(signalRoute)
		r.mode, r.reason = chooseSignalMode(sig)
		if r.mode == SignalBridge {
			r.bridge = newSignalBridge(s.ctx, sig, &s.handlers[sig])
		}
		s.routes[sig] = r
	}
	return s.routes[sig]
}

// Close ends the handling of the signal. On the home goroutine the function is not
// called again; elsewhere it may be running at this moment.
//
// A signal that WithSignals has named is kept for the next handler. Any other goes
// back to what it does in a Go program without a handler, unless another part of the program
// handles it with os/signal; with SignalFD it is still blocked, because the one that
// started the process wanted it so, and stays pending. A second Close fails with
// ErrClosed.
func (h *SignalHandler) Close() error {
	s := h.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.handlers[h.sig].CompareAndSwap(h, nil) {
		return ErrClosed
	}
	return s.release(h.sig)
}

// release leaves sig to its default action, or lets it wait if it was named.
func (s *Signals) release(sig syscall.Signal) (err error) {
	r := s.routes[sig]
	if r.mode == SignalFD && s.fd != nil {
		err = s.fd.set(s.fd.mask &^ bit(sig))
	}
	if r.named {
		return err
	}
	s.routes[sig] = nil
	if r.bridge != nil {
		r.bridge.stop()
	}
	return err
}

// deliver calls the handler of a signal that was read. It runs on the home goroutine.
func (s *Signals) deliver(info SignalInfo) {
	if h := s.handlers[info.Signal].Load(); h != nil {
		h.fn(info)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.routes[info.Signal]; r != nil && !s.closed {
		s.kept = append(s.kept, info)
		if s.handlers[info.Signal].Load() != nil { // it has got one in the meantime
			_ = s.fd.kept.Schedule()
		}
	}
}

// deliverKept calls handlers for what was kept, one at a time: they may panic, and
// they may begin another turn, which goes on here.
func (s *Signals) deliverKept() {
	for info, ok := s.nextKept(); ok; info, ok = s.nextKept() {
		s.deliver(info)
	}
}

func (s *Signals) nextKept() (info SignalInfo, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(k SignalInfo) bool { return s.handlers[k.Signal].Load() != nil })
	if i < 0 {
		return info, false
	}
	info = s.kept[i]
	s.kept = slices.Delete(s.kept, i, i+1)
	if len(s.kept) > 0 {
		_ = s.fd.kept.Schedule()
	}
	return info, true
}

// Mode says how sig gets here, and why in this way: a sentence for people. It is
// SignalNotHandled for a signal that has neither a handler nor been named with
// WithSignals.
func (s *Signals) Mode(sig syscall.Signal) (mode SignalMode, reason string) {
	if sig < 1 || sig > maxSignal {
		return SignalNotHandled, ErrSignalNumber.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.routes[sig]; r != nil {
		return r.mode, r.reason
	}
	return SignalNotHandled, "it has no handler, and WithSignals did not name it"
}

// close ends all handling, as if each handler were closed and no signal named. It
// is called when the loop does not run. What a signalfd has not been asked for
// stays pending in the kernel; what the bridge has not delivered is dropped.
func (s *Signals) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	var errs []error
	if s.fd != nil {
		errs = append(errs, s.fd.close())
		s.fd = nil
	}
	for sig, r := range s.routes {
		if r != nil {
			s.handlers[sig].Store(nil)
			r.named = false
			errs = append(errs, s.release(syscall.Signal(sig)))
		}
	}
	return errors.Join(errs...)
}
